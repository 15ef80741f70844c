"""The portal as it is run: a process of its own beside the server's, over the same configuration file."""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from tests.peers.server import Server

_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')
_PATIENCE = 30.0  # seconds; a loaded machine may take its time


@dataclass(frozen=True, slots=True)
class Answered:
    """`headers`: by name, in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str


class PortalProcess(Server):
    """`radius-mfa portal`, and requests to it as a browser or a proxy sends them."""

    verb = "portal"

    def __init__(
        self,
        config: Path,
        environment: dict[str, str] | None = None,
        within: Sequence[str] = (),
        *,
        tls: ssl.SSLContext | None = None,
        name: str = "",
    ) -> None:
        """`tls`: what it is spoken to with.  `name`: the host as a browser calls it, else where it listens."""
        super().__init__(config, environment, within)
        self._tls = tls
        self._name = name

    def connection(self) -> http.client.HTTPConnection:
        """A browser's."""
        if self._tls is not None:
            return http.client.HTTPSConnection(*self.addresses[0], timeout=_PATIENCE, context=self._tls)
        return http.client.HTTPConnection(*self.addresses[0], timeout=_PATIENCE)

    def get(self, path: str, **headers: str) -> Answered:
        """What is answered; `X_Forwarded_For` in `headers` is X-Forwarded-For."""
        return self._ask("GET", path, "", headers)

    def sign_in(self, username: str, password: str, **headers: str) -> Answered:
        """Send the form of the first page, as a browser does that has just been shown it."""
        page = self.get("/sign-in", **headers)
        form = dict(_HIDDEN.findall(page.body)) | {"username": username, "password": password}
        cookie = page.headers["set-cookie"].partition(";")[0]
        given = headers | {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", "/sign-in", urlencode(form), given)

    def _ask(self, method: str, path: str, body: str, headers: Mapping[str, str]) -> Answered:
        connection = self.connection()
        given = {"Host": self._name} if self._name else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body or None, given)
            answer = connection.getresponse()
            said = {name.lower(): value for name, value in answer.getheaders()}
            return Answered(answer.status, said, answer.read().decode())
        finally:
            connection.close()
