"""The ways in: sockets, and the processes behind them.  They know no directory, factor or store."""
