"""What the server tells about itself: the log, the audit file, the counts."""
