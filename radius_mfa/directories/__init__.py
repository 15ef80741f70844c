"""Where accounts and passwords are looked up."""
