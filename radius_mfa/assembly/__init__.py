"""The one place that puts it together: from a configuration to things that run."""
