"""The administrator's YAML: what it may say, and reading it with line numbers."""
