"""The benchmark: `make bench`.  A real OpenLDAP, the server as it is run, and a load of complete logins."""
