"""What is remembered between requests, and how its secrets are sealed."""
