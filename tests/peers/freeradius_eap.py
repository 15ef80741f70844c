"""Debian's FreeRADIUS as an 802.1X server that none of us wrote: EAP-TTLS and PEAP, with PAP or EAP-GTC inside.

    with FreeRadiusEap(certificate, {"alice": "sesame"}) as server:
        Supplicant(server.port, server.secret).log_in("ttls-pap", "alice", ["sesame"])

It takes sessions up again, which it keeps in files.  EAP-GTC has one question there, which is PROMPT.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.peers.freeradius import FreeRadius, write_private

PROMPT = "Password, Kennwort, パスワード: "

_CONFIGURATION = """
modules {{
    files {{
        filename = "{folder}/users"
    }}
    pap {{
    }}
    eap {{
        default_eap_type = ttls
        timer_expire = 60
        tls-config tunnel {{
            certificate_file = "{certificate}"
            private_key_file = "{certificate}"
            tls_min_version = "1.2"
            tls_max_version = "1.3"
            ecdh_curve = ""
            fragment_size = 1024
            cache {{
                enable = yes
                lifetime = 1
                name = "sessions"
                persist_dir = "{folder}/sessions"
            }}
        }}
        gtc {{
            challenge = "{prompt}"
            auth_type = PAP
        }}
        ttls {{
            tls = tunnel
            default_eap_type = gtc
            virtual_server = inner
        }}
        peap {{
            tls = tunnel
            default_eap_type = gtc
            virtual_server = inner
        }}
    }}
}}
server default {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {listening}
    }}
    authorize {{
        eap
    }}
    authenticate {{
        eap
    }}
    post-auth {{
        update reply {{
            &Session-Timeout := 28800
            &Reply-Message := "Welcome, %{{Calling-Station-Id}}"
            &Filter-Id := "%{{User-Name}}"
            &Class := 0x3031
        }}
    }}
}}
server inner {{
    authorize {{
        files
        eap {{
            ok = return
        }}
        pap
    }}
    authenticate {{
        Auth-Type PAP {{
            pap
        }}
        eap
    }}
}}
"""


class FreeRadiusEap(FreeRadius):
    """`certificate`: PEM, which begins with its key.  `users`: the password of each inner name."""

    required = True  # RFC 3579 §3.2

    def __init__(self, certificate: Path, users: Mapping[str, str]) -> None:
        super().__init__()
        self._certificate = certificate
        self._users = users

    def _served(self, folder: Path, port: int) -> str:
        (folder / "sessions").mkdir(0o700, exist_ok=True)
        lines = (f"{_quoted(name)} Cleartext-Password := {_quoted(word)}\n" for name, word in self._users.items())
        write_private(folder / "users", "".join(lines))
        values = {"prompt": PROMPT, "certificate": self._certificate}
        return _CONFIGURATION.format(folder=folder, listening=port, **values)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace("'", r"\'")
    return f"'{escaped}'"
