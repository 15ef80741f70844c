"""The soak: what a hostile network sends, more of it than a test has time for, and what must not come of it."""
