"""The command line: one file a command group, thin, heavy imports only when a command needs them."""
