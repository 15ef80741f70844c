"""What a login is: pure rules, standard library only, no socket, file, clock, randomness or log of its own."""
