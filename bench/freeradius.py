"""FreeRADIUS 3.2, doing what ours does for a login: one search, one bind, a challenge, a TOTP code.

It reads the seed with the search, from `description`, keeps it with the challenge, and lets rlm_totp compare.
It does less besides: no audit file, no row of the login, no lock, no policy, and the same code is good again.
Its searches are anonymous, which costs least: it binds anew before it searches on a connection of a user's.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.directory import PEOPLE, Directory
from bench.rig import SECRET
from bench.running import Running, running
from tests.peers.ports import free_port

_PROGRAM = "/usr/sbin/freeradius"
PROGRAMS = (_PROGRAM, "/usr/lib/freeradius/rlm_ldap.so")  # the module is another package's
_NAME = "beside"  # -n: its configuration is beside.conf

_HEAD = """\
name = {name}
prefix = /usr
libdir = /usr/lib/freeradius
raddbdir = "{folder}"
logdir = "{folder}"
run_dir = "{folder}"
max_requests = 65536
max_request_time = 30
cleanup_delay = 5
log {{
    auth = no
}}
security {{
    reject_delay = 1
    max_attributes = 200
    allow_vulnerable_openssl = yes
}}
thread pool {{
    start_servers = 5
    min_spare_servers = 3
    max_spare_servers = 10
    max_servers = 32
    max_requests_per_server = 0
}}
client vpn {{
    ipaddr = 127.0.0.1
    secret = "{secret}"
    require_message_authenticator = yes
}}
"""

# As many connections to the directory as slapd has threads, kept; its own number of threads.
_LDAP = """\
    ldap {{
        server = "{url}"
        base_dn = "{people}"
        {tls}
        user {{
            base_dn = "${{..base_dn}}"
            filter = "(uid=%{{User-Name}})"
        }}
{update}        options {{
            chase_referrals = no
            rebind = yes
            net_timeout = 1
            res_timeout = 10
            srv_timelimit = 3
        }}
        pool {{
            start = 8
            min = 8
            spare = 8
            max = 32
            uses = 0
            lifetime = 0
            idle_timeout = 0
            connect_timeout = 3
        }}
    }}
"""

_SEED = """\
        update {
            control:TOTP-Secret := "description"
        }
"""

_LOGINS = """\
modules {{
{ldap}    totp {{
    }}
    always handled {{
        rcode = handled
    }}
}}
server logins {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {port}
    }}
    authorize {{
        if (&State) {{
            update {{
                control:Auth-Type := code
                control:TOTP-Secret := &session-state:TOTP-Secret
                request:TOTP-Password := &User-Password
            }}
        }}
        else {{
            ldap
            update control {{
                Auth-Type := password
            }}
        }}
    }}
    authenticate {{
        Auth-Type password {{
            ldap
            if (ok) {{
                update {{
                    session-state:TOTP-Secret := &control:TOTP-Secret
                    control:Response-Packet-Type := Access-Challenge
                    reply:Reply-Message := "Type the code that your app shows"
                }}
                handled
            }}
        }}
        Auth-Type code {{
            totp
        }}
    }}
}}
"""


def version() -> str:
    """Such as 3.2.1."""
    said = subprocess.run([_PROGRAM, "-v"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"FreeRADIUS Version ([\d.]+)", said)
    return found[1] if found else "of an unknown version"


@contextmanager
def freeradius(directory: Directory, starts: int) -> Iterator[tuple[Running, tuple[float, ...]]]:
    """Started so many times, and left running after the last; with the seconds until it was ready, of each."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="radius-mfa-freeradius-")))
        seconds = []
        for _ in range(starts - 1):
            with _serving(folder, directory) as it:
                seconds.append(it.ready)
        it = stack.enter_context(_serving(folder, directory))
        yield it, (*seconds, it.ready)


@contextmanager
def _serving(folder: Path, directory: Directory) -> Iterator[Running]:
    port = free_port()  # it cannot be told to take any: 0 is the usual one
    with serving(folder, head(folder) + _LOGINS.format(ldap=ldap(directory, _SEED), port=port), port) as it:
        yield it


def head(folder: Path) -> str:
    """What a configuration begins with, the client among it."""
    return _HEAD.format(name=_NAME, folder=folder, secret=SECRET.decode())


def ldap(directory: Directory, update: str = "") -> str:
    """The module that asks the directory.  `update`: what it takes from an entry."""
    tls = f'tls {{\n            ca_file = "{directory.ca_file}"\n            require_cert = demand\n        }}'
    return _LDAP.format(url=directory.url, people=PEOPLE, tls=tls if directory.ca_file else "", update=update)


@contextmanager
def serving(folder: Path, configuration: str, port: int) -> Iterator[Running]:
    """One that listens on that port, as its configuration says; stopped in the end."""
    file = folder / f"{_NAME}.conf"
    file.touch(0o600)  # it reads none that others may read
    file.write_text(configuration)
    command = [_PROGRAM, "-f", "-l", "stdout", "-d", str(folder), "-n", _NAME]
    with running(
        command,
        lambda line: port if "Ready to process requests" in line else None,
        lambda line: " : Error: " not in line,
    ) as it:
        yield it
