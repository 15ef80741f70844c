"""radius_mfa: a second factor for VPN gateways and Wi-Fi controllers that speak RADIUS."""

__version__ = "0.1.0"
