"""The pages, a module for each of what somebody comes to do; each lists its `ROUTES`."""
