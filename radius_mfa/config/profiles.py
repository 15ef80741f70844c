"""The gateways we know: how each wants to be spoken to, and what it does of its own accord.

The facts are the vendors' own, from their documentation and public source, and hold for what comes out of the
box; those that somebody has seen here say so.  Where a gateway's patience is not known for certain the shorter
figure stands: a window shorter than the gateway's only has us give up early.
What to tell one, and what its users see, is in `docs/gateways`; packets such as it sends, in `tests/gateways`.
"""

from __future__ import annotations

from dataclasses import dataclass

from radius_mfa.config.forms import Form, written
from radius_mfa.core.messages import Profile


@dataclass(frozen=True, slots=True)
class Gateway:
    """A make of gateway.

    `timeout`, in seconds, and `retries`: how long it waits, and what it sends after the first try.  `signs`:
    whether its Access-Requests have a Message-Authenticator; None: it depends, or is not known.
    `shows_challenge`: whether its users get to see an Access-Challenge; False: it takes one for a refusal;
    None: not known.  `title`: what people call it.
    """

    profile: Profile
    timeout: float = 5.0
    retries: int = 3
    signs: bool | None = None
    shows_challenge: bool | None = None
    title: str = ""

    @property
    def window(self) -> float:
        """Seconds from the first packet until the gateway gives up."""
        return self.timeout * (self.retries + 1)


GENERIC = "generic"

_PALO_ALTO_CLIENT_SOURCE_IP = (25461, 7)

_GATEWAYS = (
    # Nothing is known of these three but what their names say.
    Gateway(Profile(GENERIC), title="any other that shows a challenge"),
    Gateway(Profile("one-field", suffix=","), title="any other that has one field: password,123456"),
    Gateway(Profile("one-field-6", suffix=6), title="any other that has one field: password123456"),
    # `remoteauthtimeout` is 5 s for all tries together.  SSL VPN shows a challenge, IPsec none.  With auth-type
    # auto it tries PAP, then MS-CHAPv2, then CHAP: after a wrong password the others come as well.  Whether it
    # signs depends on the release.
    Gateway(
        Profile("fortigate", towards_pap="on the FortiGate, set auth-type pap in config user radius"),
        timeout=5.0,
        retries=0,
        shows_challenge=True,
        title="Fortinet FortiGate",
    ),
    # Three retries, of which it is not clear that they come after a first try.  The client's own address is in a
    # vendor's attribute, and only where that is switched on.
    Gateway(
        Profile(
            "globalprotect",
            station=_PALO_ALTO_CLIENT_SOURCE_IP,
            towards_pap="on the firewall, choose PAP in the RADIUS server profile (Authentication Protocol)",
        ),
        timeout=3.0,
        retries=2,
        shows_challenge=True,
        title="Palo Alto GlobalProtect",
    ),
    # ASA and FTD.  `timeout` and `retry-interval` are 10 s both, which leaves one try.  Where password-management
    # is on, it sends MS-CHAPv2.
    Gateway(
        Profile("anyconnect", towards_pap="on the ASA, remove password-management from the tunnel-group"),
        timeout=10.0,
        retries=0,
        shows_challenge=True,
        title="Cisco ASA and FTD, AnyConnect",
    ),
    # radcli.  Measured: no Message-Authenticator, each round from a new source port, challenges work.
    Gateway(
        Profile("ocserv", towards_pap="ocserv sends PAP: look whether another program uses this address"),
        timeout=5.0,
        retries=2,
        signs=False,
        shows_challenge=True,
        title="ocserv, OpenConnect",
    ),
    # xauth-radius: XAuth asks once, and libradius takes a challenge for a failure.  It tries after 2 s, and waits
    # 1.4 times as long each time: 4 tries take longer than these 8 s.
    Gateway(
        Profile("strongswan", suffix=",", towards_pap="in strongSwan, take xauth-radius instead of eap-radius"),
        timeout=2.0,
        retries=3,
        signs=True,
        shows_challenge=False,
        title="strongSwan",
    ),
    # A challenge is a failed login to both.  Three tries, and then they go on to the next server.
    Gateway(
        Profile(
            "opnsense",
            suffix=",",
            towards_pap="in OPNsense, choose PAP as the server's Protocol under System > Access > Servers",
        ),
        timeout=10.0,
        retries=2,
        shows_challenge=False,
        title="OPNsense",
    ),
    Gateway(
        Profile(
            "pfsense",
            suffix=",",
            towards_pap="in pfSense, choose PAP as Protocol under System > User Manager > Authentication Servers",
        ),
        timeout=5.0,
        retries=2,
        shows_challenge=False,
        title="pfSense",
    ),
    # Debian's RADIUS plugin: `wait` and `retry` of its sample configuration are 1 and 1.  A challenge is denied.
    # Measured: no Message-Authenticator, each try from a new port with a new Request Authenticator.
    Gateway(
        Profile("openvpn", suffix=",", towards_pap="the plugin sends PAP: look whether another program is there"),
        timeout=1.0,
        retries=0,
        signs=False,
        shows_challenge=False,
        title="OpenVPN with the RADIUS plugin",
    ),
    # L2TP, SSTP and the like: PAP within PPP is one question and one answer (RFC 1334 §2).  300 ms are too few
    # for most directories; raise them at both ends.
    Gateway(
        Profile(
            "mikrotik",
            suffix=",",
            towards_pap="on the router, allow nothing but pap: authentication=pap of the L2TP, SSTP or PPP server",
        ),
        timeout=0.3,
        retries=2,
        shows_challenge=False,
        title="MikroTik RouterOS",
    ),
    # authservRetry is 3, but tries may have to share the 3 s.
    Gateway(
        Profile("netscaler", towards_pap="on the NetScaler, set -passEncoding pap of the radiusAction"),
        timeout=3.0,
        retries=0,
        shows_challenge=True,
        title="NetScaler (Citrix)",
    ),
    # A custom RADIUS rule has to show the login page on Access-Challenge; then it works.
    Gateway(
        Profile("ivanti", towards_pap="on the Ivanti gateway, have the sign-in page ask for the password (PAP)"),
        timeout=5.0,
        retries=0,
        title="Ivanti, Pulse, Juniper",
    ),
    # Measured: a challenge works, with State and Reply-Message; Debian's 2.0.0 does not sign, others may.  Prompt
    # is obeyed with its option prompt_attribute; a code that works once may be seen, as it is without that option.
    Gateway(
        Profile("pam_radius", shows_answer=True, towards_pap="pam_radius sends PAP: look what else is there"),
        timeout=3.0,
        retries=0,
        shows_challenge=True,
        title="pam_radius",
    ),
    # Web logins of a controller are PAP, and so is what EAP-TTLS/PAP has inside; 802.1X is served where there is
    # `eap`.  hostapd waits 3 s, then twice as long.  EAP has to be signed (RFC 3579 §3.2); web logins need not be.
    Gateway(
        Profile(
            "wifi",
            suffix=",",
            towards_pap="add eap: to the configuration, or have the controller's web login use PAP",
        ),
        timeout=3.0,
        retries=2,
        shows_challenge=False,
        title="Wi-Fi controllers",
    ),
    # One page with a name and a password, whoever makes it: none is known to show a challenge.
    Gateway(
        Profile("captive-portal", suffix=",", towards_pap="have the portal use PAP for its RADIUS logins"),
        timeout=3.0,
        retries=1,
        shows_challenge=False,
        title="captive portals",
    ),
)

GATEWAYS = {gateway.profile.name: gateway for gateway in _GATEWAYS}


@written(Form(longest=len("none")))
def how_to_split(text: str) -> str | int | None:
    """How one field is split: `none` at all, `6` digits, or at a separator no code could have in it."""
    if text in ("none", "6"):
        return 6 if text == "6" else None
    if len(text) != 1 or text.isalnum() or text.isspace() or text == "-" or not text.isprintable():
        raise ValueError(
            "must be none, 6, or one character that is no letter, digit, space or hyphen, "
            "since codes may be typed with those, not {it}"
        )
    return text
