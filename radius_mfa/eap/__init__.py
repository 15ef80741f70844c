"""802.1X inside RADIUS: EAP-TTLS and PEAP, through whose tunnel a name and a text come that are like PAP's."""
