"""What a browser keeps for us: three random values, its language, and what to tell it once.

**`visit`** names a visit.  It is new each time password and factor are shown, and nobody has seen it before: what
a stranger has put into somebody's browser never becomes a visit (fixation).  **`browser`** is there before anybody
has signed in.  Either proves with a form that the page it came from was ours (`csrf`).  **`known`** says that
somebody of some name was once let in there with a factor: others who guess at that name do not keep them out, and
it gives nothing else.  Over TLS all begin with `__Host-`: no other host of the domain, and nothing without TLS,
can set or read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hmac import compare_digest

from starlette.requests import Request
from starlette.responses import Response

from radius_mfa.core.ports import Entropy, Sealer

_OCTETS = 32
_KNOWN_OCTETS = 8
_OURS = re.compile(r"[A-Za-z0-9_.]{1,64}")
_YEAR = 365 * 86400
VISIT, BROWSER, KNOWN, LANGUAGE, SAID = "visit", "browser", "known", "language", "said"
_KEPT = frozenset({KNOWN, LANGUAGE})
_KNOWN = "known browser"  # what is digested for it


class Cookies:
    """Reads and sets them.  `secure`: the portal is reached over TLS, as everywhere but on the machine itself."""

    def __init__(self, sealer: Sealer, entropy: Entropy, *, secure: bool) -> None:
        self._sealer = sealer
        self._entropy = entropy
        self._secure = secure

    def new_value(self) -> str:
        """A value that nobody has seen."""
        return self._entropy.octets(_OCTETS).hex()

    def read(self, request: Request, name: str) -> str:
        """What the browser has, "" for nothing that could be ours."""
        value = request.cookies.get(self._name(name), "")
        return value if _OURS.fullmatch(value) else ""

    def set(self, response: Response, name: str, value: str) -> None:
        """Have the browser keep it: what is no secret of a visit for a year, the rest until it is closed."""
        response.set_cookie(
            self._name(name),
            value,
            max_age=_YEAR if name in _KEPT else None,
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def drop(self, response: Response, name: str) -> None:
        """Have the browser forget it."""
        response.delete_cookie(self._name(name), secure=self._secure, httponly=True, samesite="lax")

    def visit_id(self, value: str) -> str:
        """What the store knows a visit by: whoever reads the store cannot take it up."""
        return self._sealer.digest("visit id", value.encode()).hex()

    def csrf(self, value: str) -> str:
        """What a form of ours carries, for the browser that has `value`."""
        return self._sealer.digest("csrf", value.encode()).hex()

    def is_ours(self, value: str, token: str) -> bool:
        """Whether the form came from a page of ours in that browser."""
        expected = [self._sealer.digest("csrf", value.encode())]
        expected += self._sealer.other_digests("csrf", value.encode())  # made before the key was changed
        return bool(value) and _is_one_of(expected, token)

    def new_known(self, name: str) -> str:
        """What a browser keeps in which somebody of that (folded) name was let in with a factor."""
        value = self._entropy.octets(_KNOWN_OCTETS).hex()
        return f"{value}.{self._sealer.digest(_KNOWN, name.encode(), value.encode()).hex()}"

    def known(self, request: Request, name: str) -> str:
        """Which browser it is of those in which somebody of that (folded) name was let in; "" for none."""
        value, _, digest = self.read(request, KNOWN).partition(".")
        expected = [self._sealer.digest(_KNOWN, name.encode(), value.encode())]
        expected += self._sealer.other_digests(_KNOWN, name.encode(), value.encode())
        return value if _is_one_of(expected, digest) else ""

    def _name(self, name: str) -> str:
        return f"__Host-{name}" if self._secure else name


def _is_one_of(expected: Iterable[bytes], said: str) -> bool:
    octets = said.encode()  # as octets: it may be anything
    return any(compare_digest(each.hex().encode(), octets) for each in expected)
