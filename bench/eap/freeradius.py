"""FreeRADIUS 3.2 as a server of EAP-TTLS and PEAP: a search and a bind within the tunnel, and no second factor.

Its TLS sessions are files, the only way it has; a resumed one asks the directory nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.directory import Directory
from bench.freeradius import head, ldap, serving
from bench.running import Running
from tests.peers.ports import free_port

# The modules of EAP are in its main package.
_TUNNELS = """\
modules {{
{ldap}    eap {{
        default_eap_type = {default}
        timer_expire = 60
        max_sessions = 65536
        tls-config common {{
            certificate_file = "{certificate}"
            private_key_file = "{key}"
            tls_min_version = "{tls}"
            tls_max_version = "{tls}"
            cipher_list = "DEFAULT"
            ecdh_curve = ""
            fragment_size = {fragment}
            cache {{
                enable = {resumes}
                lifetime = 24
                name = "bench"
                persist_dir = "{sessions}"
            }}
        }}
        ttls {{
            tls = common
            default_eap_type = gtc
            virtual_server = inner
        }}
        peap {{
            tls = common
            default_eap_type = gtc
            virtual_server = inner
        }}
    }}
    eap inner-eap {{
        default_eap_type = gtc
        timer_expire = 60
        max_sessions = 65536
        gtc {{
            challenge = "Password: "
            auth_type = LDAP
        }}
    }}
}}
server tunnels {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {port}
    }}
    authorize {{
        eap
    }}
    authenticate {{
        eap
    }}
}}
server inner {{
    authorize {{
        inner-eap {{
            ok = return
        }}
        ldap
        if (!&control:Auth-Type) {{
            update control {{
                Auth-Type := LDAP
            }}
        }}
    }}
    authenticate {{
        Auth-Type LDAP {{
            ldap
        }}
        inner-eap
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Tunnels:
    """How it speaks.  `fragment`: octets of its longest TLS fragment; `default`: the method it proposes first."""

    certificate: Path
    key: Path
    tls: str = "1.2"
    fragment: int = 1024
    resumes: bool = True
    default: str = "ttls"


@contextmanager
def freeradius_with_eap(directory: Directory, tunnels: Tunnels) -> Iterator[Running]:
    """One that serves, stopped in the end; its secret is `bench.rig`'s."""
    with TemporaryDirectory(prefix="radius-mfa-freeradius-") as temporary:
        folder, port = Path(temporary), free_port()
        sessions = folder / "sessions"
        sessions.mkdir()
        text = _TUNNELS.format(
            ldap=ldap(directory),
            default=tunnels.default,
            certificate=tunnels.certificate,
            key=tunnels.key,
            tls=tunnels.tls,
            fragment=tunnels.fragment,
            resumes="yes" if tunnels.resumes else "no",
            sessions=sessions,
            port=port,
        )
        with serving(folder, head(folder) + text, port) as it:
            yield it
