"""The benchmark: `make bench`.  A real OpenLDAP, our server as it is run, FreeRADIUS, a load of whole logins."""
