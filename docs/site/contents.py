"""What the site has, in the order in which somebody needs it who is new.

Pages by their path below docs/, without `.md`.  A page that is not here ends the build, and so does one here that
is not there.
"""

from __future__ import annotations

CONTENTS: dict[str, tuple[str, ...]] = {
    "Start": ("quick-start", "first-vpn"),
    "Set up": (
        "gateways/README",
        "eap",
        "freeradius",
        "radsec",
        "directory",
        "policies",
        "messages",
        "portal",
    ),
    "Users' guide": ("users/en", "users/ja"),
    "Operate": (
        "operating",
        "factors",
        "help-desk",
        "systemd",
        "containers",
        "workers",
        "storage",
        "keys",
        "backup",
        "upgrading",
        "metrics",
        "audit",
    ),
    "How it is made": ("security", "performance", "architecture", "packaging"),
    "Reference": ("reference/yaml", "reference/cli", "reference/reasons", "reference/audit", "reference/metrics"),
}

# Below another page.
WITHIN: dict[str, tuple[str, ...]] = {
    "gateways/README": (
        "gateways/anyconnect",
        "gateways/fortigate",
        "gateways/globalprotect",
        "gateways/ivanti",
        "gateways/mikrotik",
        "gateways/netscaler",
        "gateways/ocserv",
        "gateways/openvpn",
        "gateways/opnsense",
        "gateways/pfsense",
        "gateways/strongswan",
        "gateways/pam_radius",
        "gateways/wifi",
        "gateways/captive-portal",
        "gateways/other",
    ),
}

# Whose own title says too little in a list, or too much.
CALLED = {"eap": "Wi-Fi (802.1X)", "security": "Security"}
