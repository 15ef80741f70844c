"""The ways in: sockets and host processes.  They know no directory, factor or store."""
