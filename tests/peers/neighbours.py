"""What stands beside a server: a directory, a mail server, a database, at the ports that belong to them.

    python -m tests.peers.neighbours CERTIFICATE directory mail database

A program, for a machine with a network of its own.  `tests.peers.slapd` says who is in the directory; alice is
beside them, of the staff.  Mails are shown as they come.  It says `the neighbours are there`.
"""

from __future__ import annotations

import signal
import sys
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from tests.peers.postgresql import Postgresql
from tests.peers.slapd import STAFF, Person, Slapd
from tests.peers.smtp import MailServer, Taken

LDAP_PASSWORD, USER_PASSWORD = "known to the directory", "correct horse"
READY = "the neighbours are there"
_ALICE = Person("alice", USER_PASSWORD, (STAFF,))
_SOCKET = Path("/run/postgresql/.s.PGSQL.5432")  # where Debian's commands look for it


def main() -> None:
    certificate, wanted = Path(sys.argv[1]), sys.argv[2:]
    makers = {"directory": _directory, "mail": _mail_server, "database": _database}
    with ExitStack() as ends:
        for name in wanted:
            ends.enter_context(makers[name](certificate))
        print(READY, flush=True)
        signal.pause()


def _directory(certificate: Path) -> AbstractContextManager[object]:
    slapd = Slapd(users=20, ldif=_ALICE.ldif(), certificate=certificate)
    slapd.bind_password = LDAP_PASSWORD
    slapd.port, slapd.tls_port = 389, 636
    return slapd


class _Shown(list[Taken]):
    def append(self, taken: Taken) -> None:
        super().append(taken)
        print(taken.message.get_body(("plain",)), flush=True)


def _mail_server(certificate: Path) -> AbstractContextManager[object]:
    return MailServer(certificate, port=587, mails=_Shown())


def _database(certificate: Path) -> AbstractContextManager[object]:
    database = Postgresql(certificate)
    database.port = 5432
    with ExitStack() as ends:
        ends.enter_context(database)
        _SOCKET.parent.mkdir()
        _SOCKET.symlink_to(database.folder / _SOCKET.name)
        return ends.pop_all()


if __name__ == "__main__":
    main()
