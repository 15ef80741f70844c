"""802.1X from the other side: the supplicant, the NAS before it, and a server to try both at."""
