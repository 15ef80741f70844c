"""The second factors, one file each."""
