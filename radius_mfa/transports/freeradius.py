"""Inside of FreeRADIUS: what its rlm_python3 calls, in threads of FreeRADIUS.

FreeRADIUS has received the packet, verified and decoded it, and sends the reply.  Between the two it asks here, in
the order of its sections: `authorize` claims a login, `authenticate` decides on it, and `post_auth` looks whether
what is about to be accepted is what was decided.

Its rules, which are rlm_python3's:

- It takes an exception for `fail`, and one in `instantiate` for a start that went well: none leaves this module.
- It leaves an attribute that it does not know out of the reply, and goes on: so `post_auth` looks.
- What no packet can bring comes in its list `control`: see `freeradius_lists`.
- One call is let in at a time, from whichever thread, and holds up all others until it returns.  So none waits for
  longer than it must: FreeRADIUS itself holds an Access-Reject back, and nobody an Access-Challenge.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import structlog

from radius_mfa.core.errors import ConfigurationError, RadiusMfaError, place_of
from radius_mfa.core.messages import AccessRequest, Code, Nas, Reply
from radius_mfa.core.ports import Clock, Meter
from radius_mfa.core.seldom import Seldom
from radius_mfa.transports.freeradius_lists import (
    OURS,
    Given,
    Lists,
    Said,
    Update,
    Updates,
    Vocabulary,
    because,
    is_signed,
    pausing,
    reply_of,
    request_of,
)
from radius_mfa.transports.loop_thread import LoopThread

AUTH_TYPE = "radius_mfa"  # what FreeRADIUS calls `authenticate`

_MOST_ACCEPTED = 1024  # that `post_auth` was not asked about
_MOST_LINES = 64  # of the log, in a minute
_SILENCE = "Do-Not-Respond"  # a Response-Packet-Type of FreeRADIUS's
_BEHIND = "one login at a time is let in: a directory is slow, or too much comes (docs/freeradius.md)"
_GRACE = 0.5  # seconds after its deadline in which a decision comes
_TO_END = 30.0  # seconds
_IN_A_TUNNEL = (
    0.1  # seconds from the arrival of a password until its refusal is said, up to as many more by chance
)
_MOST_DELAY = 10_000_000  # µs that FreeRADIUS holds an Access-Reject back

Answer = int | tuple[int, Updates]
"""What rlm_python3 takes: one of RLM_MODULE_…, and what is to be put into which list."""

log = structlog.get_logger()


class Radiusd(Protocol):
    """The module `radiusd`, which rlm_python3 brings."""

    RLM_MODULE_REJECT: int
    RLM_MODULE_FAIL: int
    RLM_MODULE_OK: int
    RLM_MODULE_HANDLED: int
    RLM_MODULE_NOOP: int
    RLM_MODULE_UPDATED: int
    L_ERR: int

    def radlog(self, level: int, text: str, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Inside:
    """What stands behind the module.

    `nas`: the client of that name.  `answer`: decides, within `loop`; `stop`: ends it all, likewise.
    `is_ready`: whether those who look are to find us there (RFC 5997).  `saw`: told of a client and its address
    whether a request was signed.  `most`: seconds from its arrival in which FreeRADIUS waits for a decision;
    `longest`: those in which one login may hold up the others.  `jitter`: a number from 0 to 1.
    """

    loop: LoopThread
    nas: Callable[[str], Nas | None]
    answer: Callable[[AccessRequest], Coroutine[Any, Any, Reply | None]]
    is_ready: Callable[[], bool]
    saw: Callable[[str, str, bool], None]
    most: float
    longest: float
    stop: Callable[[], Coroutine[Any, Any, None]]
    vocabulary: Vocabulary
    meter: Meter
    clock: Clock
    jitter: Callable[[], float]


class Module:
    """What FreeRADIUS calls; all its instances of the module share one."""

    def __init__(self, radiusd: Radiusd, begin: Callable[[], Inside | None]) -> None:
        """`begin`: opens everything; None where FreeRADIUS only looks whether that could be.

        Raises ConfigurationError, KeyFileError, StoreError.
        """
        self._radiusd = radiusd
        self._begin = begin
        self._inside: Inside | None = None
        self._instances = 0
        self._accepted: dict[str, Sequence[Given]] = {}  # what each is to carry, by its number in `control`
        self._numbers = count(1)
        self._lines = Seldom(_MOST_LINES)
        self._lock = threading.Lock()  # several instances let in several threads

    # --- what FreeRADIUS calls --------------------------------------------------------------------

    def instantiate(self, _lists: object) -> int:
        """Begin, for the first of the instances; negative, with why in FreeRADIUS's log, where that cannot be."""
        try:
            if self._inside is None:
                self._inside = self._begin()
        except ConfigurationError as wrong:
            return self._cannot_begin(*wrong.problems)
        except RadiusMfaError as broken:
            return self._cannot_begin(str(broken))
        except Exception as broken:  # its text may quote anything
            return self._cannot_begin(f"internal error: {type(broken).__name__} at {place_of(broken)}")
        self._instances += 1
        return self._radiusd.RLM_MODULE_OK

    def detach(self, _lists: object) -> int:
        """End, with the last of the instances."""
        self._instances -= 1
        inside = self._inside
        if inside is None or self._instances > 0:
            return self._radiusd.RLM_MODULE_OK
        self._inside = None
        try:
            inside.loop.run(inside.stop(), _TO_END)
            inside.loop.stop()
        except Exception as broken:
            self._say(f"{type(broken).__name__} at {place_of(broken)}")
        return self._radiusd.RLM_MODULE_OK

    def authorize(self, lists: Lists) -> Answer:
        """Claim a login by password."""
        return self._safely(self._authorize, lists)

    def authenticate(self, lists: Lists) -> Answer:
        """Decide on it."""
        return self._safely(self._authenticate, lists)

    def post_auth(self, lists: Lists) -> Answer:
        """Let an Access-Accept go that is one of ours, and whole."""
        return self._safely(self._post_auth, lists)

    def _safely(self, section: Callable[[Inside, Said, Lists], Answer], lists: Lists) -> Answer:
        inside = self._inside
        if inside is None:
            return self._radiusd.RLM_MODULE_FAIL
        try:
            if isinstance(lists, Mapping):
                return section(inside, Said.of(lists), lists)
            self._complain(inside, "lists_unreadable", note="set pass_all_vps_dict = yes in FreeRADIUS's module")
        except Exception as broken:
            self._complain(inside, "internal_error", error=type(broken).__name__, where=place_of(broken))
        return self._radiusd.RLM_MODULE_FAIL

    def _cannot_begin(self, *problems: str) -> int:
        for line in "\n".join(problems).splitlines():
            self._say(line)
        return -1

    def _say(self, line: str) -> None:
        """Where there is no log of ours, or none any more."""
        self._radiusd.radlog(self._radiusd.L_ERR, f"radius_mfa: {line}")

    # --- authorize --------------------------------------------------------------------------------

    def _authorize(self, inside: Inside, said: Said, lists: Lists) -> Answer:
        if said.asks == "status":  # RFC 5997 §4.2: silence, where a login had better be sent elsewhere
            return self._radiusd.RLM_MODULE_OK if inside.is_ready() else self._radiusd.RLM_MODULE_HANDLED
        request, config = dict(lists["request"] or ()), dict(lists["config"] or ())
        # Other methods are for other modules; EAP is for FreeRADIUS's own, until it is out of a tunnel.
        if "User-Password" not in request or "EAP-Message" in request or config.get("Auth-Type") == "Reject":
            return self._radiusd.RLM_MODULE_NOOP
        if inside.nas(said.client) is None:
            return self._of_nobody(inside, said)
        # Also where another module has chosen already: it knows nothing of a second factor.
        return self._radiusd.RLM_MODULE_UPDATED, {"config": (("Auth-Type", ":=", AUTH_TYPE),)}

    def _of_nobody(self, inside: Inside, said: Said) -> Answer:
        if said.client:
            note = "no client of radius-mfa.yaml has the name that FreeRADIUS gives it: name it there, or here"
        else:
            note = "FreeRADIUS's policy radius_mfa has to run in authorize: see deploy/freeradius"
        self._complain(inside, "unknown_client", client=said.client, note=note)
        return self._refusal("unknown_client")

    # --- authenticate -----------------------------------------------------------------------------

    def _authenticate(self, inside: Inside, said: Said, lists: Lists) -> Answer:
        nas = inside.nas(said.client)
        if nas is None:
            return self._of_nobody(inside, said)
        if said.is_inner:
            nas = nas.in_one_field()
        now = inside.clock.monotonic()
        arrived = now - said.age(inside.clock.wall())
        deadline = min(arrived + min(nas.patience, inside.most), now + inside.longest)
        if deadline <= now:  # it has waited to be let in, and nobody waits for it any more
            self._complain(inside, "too_late", client=nas.name, note=_BEHIND)
            return self._silence(said)
        request = request_of(nas, lists, said, arrived, deadline, inside.vocabulary)
        deciding = self._decide(inside, request, is_signed(lists))
        try:
            reply = inside.loop.run(deciding, deadline - now + _GRACE)
        except TimeoutError:
            self._complain(inside, "no_decision", client=nas.name, note="in all the time that FreeRADIUS gives")
            reply = None
        return self._silence(said) if reply is None else self._worded(inside, request, reply)

    async def _decide(self, inside: Inside, request: AccessRequest, signed: bool) -> Reply | None:
        """In the loop.  `signed`: whether the packet was."""
        client = request.nas.name
        inside.meter.count("requests", client=client, code="access_request")
        if request.outer_name is None:  # within a tunnel there is no packet
            inside.saw(client, request.source.rpartition(":")[0], signed)
        reply = await inside.answer(request)
        if reply is None:
            inside.meter.count("discarded", client=client, reason="withheld")
        else:
            inside.meter.count("replies", client=client, code=reply.code.name.lower())
        return reply

    def _worded(self, inside: Inside, request: AccessRequest, reply: Reply) -> Answer:
        """A decision as FreeRADIUS takes it."""
        radiusd, outside = self._radiusd, request.outer_name is None
        given = [inside.vocabulary.given(each) for each in reply.attributes]
        carried = reply_of(reply, given, inside.vocabulary, signed=outside)
        if reply.code is Code.ACCESS_ACCEPT:
            config = ((OURS, "+=", f"accepted={self._remember(given)}"),)
            why = (("Module-Success-Message", "+=", f"radius_mfa: {reply.outcome}"),)
            return radiusd.RLM_MODULE_OK, {"reply": carried, "config": config, "request": why}
        if reply.code is Code.ACCESS_CHALLENGE and outside:
            config = (("Response-Packet-Type", ":=", "Access-Challenge"),)
            return radiusd.RLM_MODULE_HANDLED, {"reply": carried, "config": config}
        delay = _delay(inside, request) if reply.delayed else 0.0
        later = ("FreeRADIUS-Response-Delay-USec", ":=", str(min(int(delay * 1e6), _MOST_DELAY)))
        answer, updates = self._refusal(reply.outcome, *carried, later)
        if not outside:
            updates["config"] = (pausing(_pause(inside, request)),)
        return answer, updates

    def _remember(self, given: Sequence[Given]) -> str:
        """The number of an accepted login, of which `post_auth` is to see that it is whole."""
        with self._lock:
            if len(self._accepted) >= _MOST_ACCEPTED:
                del self._accepted[next(iter(self._accepted))]
            number = str(next(self._numbers))
            self._accepted[number] = given
        return number

    def _refusal(self, outcome: str, *carried: Update) -> tuple[int, Updates]:
        return self._radiusd.RLM_MODULE_REJECT, {"reply": carried, "request": (because(outcome),)}

    def _silence(self, said: Said) -> Answer:
        """No reply; within a tunnel there has to be one."""
        if said.is_inner:
            return self._refusal("no_decision")
        return self._radiusd.RLM_MODULE_HANDLED, {"config": (("Response-Packet-Type", ":=", _SILENCE),)}

    # --- post_auth --------------------------------------------------------------------------------

    def _post_auth(self, inside: Inside, said: Said, lists: Lists) -> Answer:
        config = dict(lists["config"] or ())
        if (
            config.get("Post-Auth-Type") in ("Reject", "Challenge")
            or config.get("Response-Packet-Type") == _SILENCE
        ):
            return self._radiusd.RLM_MODULE_NOOP  # it is no Access-Accept
        with self._lock:
            given = self._accepted.pop(said.accepted, None)
        if given is None:
            auth_type = config.get("Auth-Type", "")
            note = "an Access-Accept that another module wanted, without a second factor: it is refused"
            if auth_type == AUTH_TYPE:
                note = "FreeRADIUS's policy radius_mfa has to be called in authenticate, under this Auth-Type"
            self._complain(inside, "not_accepted_here", auth_type=auth_type, note=note)
            return self._refusal("not_accepted_here")
        if missing := [*inside.vocabulary.missing(given, lists["reply"] or ())]:
            note = "FreeRADIUS does not know what a policy returns, or another module took it away: it is refused"
            self._complain(inside, "reply_incomplete", attributes=missing, note=note)
            return self._refusal("reply_incomplete")
        return self._radiusd.RLM_MODULE_NOOP

    def _complain(self, inside: Inside, event: str, **details: object) -> None:
        """In the log, once a minute."""
        with self._lock:
            may_say = self._lines.may_say((event, str(details)), inside.clock.monotonic())
        if may_say:
            log.error(event, **details)


def _pause(inside: Inside, request: AccessRequest) -> float:
    """Seconds until it may be said within a tunnel, which is soon: a thread of FreeRADIUS waits for it."""
    return max(0.0, request.arrived + _IN_A_TUNNEL * (1 + inside.jitter()) - inside.clock.monotonic())


def _delay(inside: Inside, request: AccessRequest) -> float:
    """Seconds until a refusal may leave."""
    left = request.arrived + request.nas.refusal_delay(inside.jitter()) - inside.clock.monotonic()
    return max(0.0, left)
