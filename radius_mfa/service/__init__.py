"""One request's way, the same for every transport."""
