"""Octets to messages and back: RADIUS as it is on the wire."""
