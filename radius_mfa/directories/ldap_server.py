"""One LDAP server: a connection that all searches share, and some on which users' passwords are tried.

A bind changes who a connection is (RFC 4513 §4), and nothing else may run beside it, so passwords are
never tried on the shared one.  Nothing here has a time limit of its own but connecting; `until`, in the loop's
time, is when whoever asks gets a TimeoutError, None for never.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from radius_mfa.core.errors import DirectoryError
from radius_mfa.directories.ldap_connection import Answer, ConnectionLostError, LdapConnection
from radius_mfa.directories.ldap_messages import BUSY, MOST_ENTRIES, POLICY_WANTED, SUCCESS, UNAVAILABLE, Result
from radius_mfa.directories.ldap_tls import Tls
from radius_mfa.directories.slots import Slots


@dataclass(frozen=True, slots=True)
class LdapAddress:
    """Where a server is.  `tls`: from the first octet on."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ldaps' if self.tls else 'ldap'}://{host}:{self.port}"


class LdapServer:
    """`service`: the DN and password that search.  `limit`: connections that try passwords.

    `timeout`: seconds to connect, see `LdapConnection.connect`.  `tls`: None for clear text.
    `answered`: how many questions so far.
    """

    def __init__(
        self, address: LdapAddress, service: tuple[str, bytes], limit: int, timeout: float, tls: Tls | None = None
    ) -> None:
        if address.tls != (tls is not None and not tls.start):
            raise ValueError("TLS from the first octet is for ldaps:// and for nothing else")
        self.name = str(address)
        self.answered = 0
        self._address = address
        self._tls = tls
        self._service = service
        self._timeout = timeout
        self._open: set[LdapConnection] = set()
        self._shared: LdapConnection | None = None
        self._sharing = asyncio.Lock()
        self._idle: list[LdapConnection] = []
        self._slots = Slots(limit)
        self._closed = False

    async def search(
        self, request: bytes, most: int = MOST_ENTRIES, until: float | None = None, *, again: bool = True
    ) -> Answer:
        """Run an encoded search as the service; `most` entries are kept.  Raises DirectoryError.

        `again`: once more where the connection is lost, on a fresh one: it may have been idle for too long.
        """
        connection, heard = self._shared, -1
        try:
            if connection is None or not connection.usable:
                connection = await self._shared_connection(until)
            heard = connection.heard
            answer = await connection.search(request, most, until)
        except ConnectionLostError:
            if not again:
                raise
            return await self.search(request, most, until, again=False)
        except (asyncio.CancelledError, TimeoutError):
            if connection is not None:
                connection.given_up()
                # Not a word in all the time since it was asked: others should not wait here too.
                if connection.heard == heard:
                    connection.retire("the server was silent")
            raise
        self.answered += 1
        return answer

    async def bind(self, dn: str, password: bytes, until: float | None = None) -> Result:
        """Try a user's password on a connection of its own.  Raises DirectoryError."""
        if not self._slots.taken():
            await self._slots.wait(until)
        lost = False
        try:
            while True:
                connection: LdapConnection | None = None
                try:
                    connection = self._idle.pop() if self._idle and not lost else await self._connect_until(until)
                    result = await connection.bind(dn, password, POLICY_WANTED, until)
                except BaseException as failure:
                    if connection is not None:
                        connection.close()  # the answer may still come, and must not be taken for another's
                    if lost or not isinstance(failure, ConnectionLostError):
                        raise
                    lost = True  # it may have been idle for too long: once more, on a fresh one
                else:
                    self.answered += 1
                    self._idle.append(connection)
                    return result
        finally:
            self._slots.give()

    async def probe(self, request: bytes) -> None:
        """Connect, bind as the service, and have an encoded search answered.  Raises DirectoryError."""
        connection = await self._connect_as_service()
        try:
            result = (await connection.search(request)).result
        finally:
            connection.close()
        if result.code in (BUSY, UNAVAILABLE):
            raise DirectoryError(f"{self.name}: {result}")

    def give_up_connections(self) -> None:
        """Ask nothing more on those there are; what is in flight on them may still be answered."""
        if self._shared is not None:
            self._shared.retire("the server has failed")
        while self._idle:
            self._idle.pop().close()

    async def close(self) -> None:
        """Close every connection; what is still asked fails."""
        self._closed = True
        connections = list(self._open)
        for connection in connections:
            connection.close()
        if connections:
            await asyncio.wait([each.closed for each in connections], timeout=self._timeout)
        for connection in list(self._open):
            connection.abort("closed by us")

    async def _shared_connection(self, until: float | None) -> LdapConnection:
        """The one that is usable, made by whoever comes first."""
        async with asyncio.timeout_at(until), self._sharing:
            if self._shared is None or not self._shared.usable:
                self._shared = await self._connect_as_service()
            return self._shared

    async def _connect_as_service(self) -> LdapConnection:
        connection = await self._connect()
        try:
            result = await connection.bind(*self._service)
            if result.code != SUCCESS:
                raise DirectoryError(f"{self.name}: bind as {self._service[0]}: {result}")
        except BaseException:
            connection.close()
            raise
        return connection

    async def _connect_until(self, until: float | None) -> LdapConnection:
        async with asyncio.timeout_at(until):
            return await self._connect()

    async def _connect(self) -> LdapConnection:
        if self._closed:  # lest a question that was cut off be asked again
            raise DirectoryError(f"{self.name}: closed by us")
        host, port = self._address.host, self._address.port
        connection = await LdapConnection.connect(host, port, self.name, self._timeout, self._tls)
        self._open.add(connection)
        connection.closed.add_done_callback(lambda _: self._open.discard(connection))
        if self._closed:  # while it was being made
            connection.abort("closed by us")
        return connection
