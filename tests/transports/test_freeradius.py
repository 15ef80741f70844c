"""Inside of FreeRADIUS, called as rlm_python3 calls: a real login behind it, and of it only what it brings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import structlog.testing
import yaml

from radius_mfa.core.errors import ConfigurationError, DirectoryError, KeyFileError, StoreError
from radius_mfa.core.messages import AccessRequest, Code, Nas, Reply, ReplyAttribute
from radius_mfa.core.policy import Policy
from radius_mfa.data import CONFIG
from radius_mfa.service.service import Service
from radius_mfa.service.texts import Texts
from radius_mfa.transports.freeradius import AUTH_TYPE, Answer, Inside, Module
from radius_mfa.transports.freeradius_lists import OURS, Lists, Pair, Updates
from radius_mfa.transports.loop_thread import LoopThread
from radius_mfa.wire.dictionary import Dictionary
from radius_mfa.wire.pairs import Pairs
from tests.adapters import PASSWORD, VPN, Fuse, House, always, house
from tests.wire.support import CountingMeter

LANGUAGES = {path.stem: yaml.safe_load(path.read_text()) for path in (CONFIG / "messages").glob("*.yaml")}
STAFF = Policy("staff", reply=always(ReplyAttribute("Class", "staff"), ReplyAttribute("Tunnel-Type:1", "VLAN")))
SIGNED = ("Message-Authenticator", ":=", "0x00")
SILENCE = (("Response-Packet-Type", ":=", "Do-Not-Respond"),)
SILENT = (("Response-Packet-Type", "Do-Not-Respond"),)

MakeAnswer = Callable[[AccessRequest], Coroutine[Any, Any, Reply | None]]


class Radiusd:
    """FreeRADIUS's module of that name, as far as we use it."""

    RLM_MODULE_REJECT, RLM_MODULE_FAIL, RLM_MODULE_OK, RLM_MODULE_HANDLED = range(4)
    RLM_MODULE_NOOP, RLM_MODULE_UPDATED = 7, 8
    L_ERR = 4

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []

    def radlog(self, level: int, text: str) -> None:
        self.lines.append((level, text))


REJECT, FAIL, OK, HANDLED = range(4)
NOOP, UPDATED = Radiusd.RLM_MODULE_NOOP, Radiusd.RLM_MODULE_UPDATED


@dataclass
class FreeRadius:
    """What is around the module, and behind it."""

    house: House
    radiusd: Radiusd
    module: Module
    meter: CountingMeter
    seen: list[tuple[str, str, bool]] = field(default_factory=list)
    inside: Inside | None = None
    stopped: int = 0
    ready: bool = True

    def lists(self, *request: Pair, client: str = "vpn", waited: float = 0.0, **said: str) -> Lists:
        """As the policy leaves them; `waited`: seconds since the packet came."""
        arrived = f"{self.house.clock.wall() - waited:.6f}"
        ours = {"client": client, "source": "192.0.2.1:1645", "arrived": arrived, **said}
        config = tuple((OURS, f"{name}={text}") for name, text in ours.items())
        return {"request": request, "reply": None, "config": config}

    def login(self, password: str, state: str = "", **said: Any) -> Lists:
        station = ("Calling-Station-Id", "02-00-00-00-00-01")
        held = (("State", state),) if state else ()
        return self.lists(("User-Name", "alice"), ("User-Password", password), station, *held, **said)

    def says(self, password: str, state: str = "", **said: Any) -> tuple[int, Updates]:
        answer = self.module.authenticate(self.login(password, state, **said))
        assert isinstance(answer, tuple)
        return answer

    def accepted(self) -> Updates:
        """alice is in."""
        code, updates = self.says(PASSWORD)
        assert code == HANDLED
        code, updates = self.says(self.house.code("alice"), texts(updates, "State")[0])
        assert code == OK
        return updates


def texts(updates: Updates, name: str, where: str = "reply") -> list[str]:
    return [text for each, _, text in updates.get(where, ()) if each == name]


def after(updates: Updates) -> Lists:
    """The lists that `post_auth` is called with, of what `authenticate` has returned."""
    pairs = {where: tuple((name, text) for name, _, text in each) for where, each in updates.items()}
    return {"request": (), "reply": pairs.get("reply") or None, "config": pairs.get("config") or None}


def why(answer: Answer) -> list[str]:
    assert isinstance(answer, tuple)
    assert answer[0] == REJECT
    return texts(answer[1], "Module-Failure-Message", "request")


@contextmanager
def freeradius(
    answer: MakeAnswer | None = None,
    *,
    fuse: Fuse | None = None,
    nas: Nas = VPN,
    most: float = 29.0,
    longest: float = 5.0,
    **rules: Any,
) -> Iterator[FreeRadius]:
    """`answer`: in the place of a real service."""
    with house([STAFF], **rules) as it:
        it.enrol("alice")
        it.wire(fuse)
        radiusd, meter = Radiusd(), CountingMeter()
        service = Service(
            it.conversation, Texts(LANGUAGES, contact="Desk 1234"), lambda _: None, it.clock, it.entropy, meter
        )

        def begin() -> Inside:
            around.inside = Inside(
                loop=LoopThread("inside", asyncio.new_event_loop),
                nas={nas.name: nas}.get,
                answer=answer or service.answer,
                is_ready=lambda: around.ready,
                saw=lambda *seen: around.seen.append(seen),
                most=most,
                longest=longest,
                stop=stop,
                vocabulary=Pairs(Dictionary.shipped()),
                meter=meter,
                clock=it.clock,
                jitter=lambda: 0.5,
            )
            return around.inside

        async def stop() -> None:
            around.stopped += 1

        around = FreeRadius(it, radiusd, Module(radiusd, begin), meter)
        assert around.module.instantiate(None) == OK
        try:
            yield around
        finally:
            while not around.stopped:
                around.module.detach(None)


def refusing(broken: Exception) -> tuple[int, list[str]]:
    """What `instantiate` says, and the log, where nothing can begin."""

    def begin() -> Inside:
        raise broken

    radiusd = Radiusd()
    module = Module(radiusd, begin)
    returned = module.instantiate(None)
    assert module.authorize({"request": (), "reply": (), "config": ()}) == FAIL
    assert module.detach(None) == OK
    assert {level for level, _ in radiusd.lines} == {Radiusd.L_ERR}
    return returned, [line for _, line in radiusd.lines]


class TestBeginning:
    def test_all_that_is_wrong_with_the_configuration_is_said_in_lines_and_freeradius_does_not_start(self) -> None:
        returned, lines = refusing(ConfigurationError("a.yaml:1: wrong", "a.yaml:2: wrong\nas well"))
        assert returned < 0
        assert lines == ["radius_mfa: a.yaml:1: wrong", "radius_mfa: a.yaml:2: wrong", "radius_mfa: as well"]

    @pytest.mark.parametrize("kind", [KeyFileError, StoreError])
    def test_nor_without_keys_or_store(self, kind: type[Exception]) -> None:
        returned, lines = refusing(kind("not to be had"))
        assert returned < 0
        assert lines == ["radius_mfa: not to be had"]

    def test_of_what_nobody_has_foreseen_it_is_said_where_but_not_what(self) -> None:
        returned, (line,) = refusing(ValueError("hunter2"))
        assert returned < 0
        assert line.startswith(f"radius_mfa: internal error: ValueError at {__file__}:")
        assert "hunter2" not in line

    def test_one_begins_for_all_instances_and_ends_with_the_last(self) -> None:
        with freeradius() as it:
            assert it.module.instantiate(None) == OK
            assert it.module.detach(None) == OK
            assert it.stopped == 0
            assert it.module.authorize(it.login(PASSWORD)) != FAIL
            assert it.module.detach(None) == OK
            assert it.stopped == 1
            assert it.module.detach(None) == OK
            assert it.stopped == 1
            assert it.module.authorize(it.login(PASSWORD)) == FAIL

    def test_an_end_that_goes_wrong_is_said_and_is_one(self) -> None:
        async def breaks() -> None:
            raise ValueError("hunter2")

        radiusd, loop = Radiusd(), LoopThread("breaks", asyncio.new_event_loop)
        with freeradius() as it:
            assert it.inside is not None
            inside = replace(it.inside, loop=loop, stop=breaks)
        module = Module(radiusd, lambda: inside)
        assert module.instantiate(None) == OK
        assert module.detach(None) == OK
        loop.stop()
        ((_, line),) = radiusd.lines
        assert line.startswith("radius_mfa: ValueError at ")
        assert "hunter2" not in line


async def _never(_: AccessRequest) -> Reply | None:
    await asyncio.Event().wait()
    return None


async def _breaks(_: AccessRequest) -> Reply | None:
    raise ValueError("hunter2")


class TestWhatIsCalled:
    def test_nothing_is_begun_where_freeradius_only_looks_whether_it_could_start(self) -> None:
        radiusd = Radiusd()
        module = Module(radiusd, lambda: None)
        assert module.instantiate(None) == OK
        assert module.authorize({"request": (), "reply": None, "config": None}) == FAIL
        assert module.detach(None) == OK
        assert radiusd.lines == []

    def test_lists_in_another_form_are_a_failure_and_it_is_said_how_to_have_them(self) -> None:
        with freeradius() as it, structlog.testing.capture_logs() as logs:
            for _ in range(2):
                answers = {
                    it.module.authorize((("User-Name", "alice"),)),  # type: ignore[arg-type]
                    it.module.authorize(None),  # type: ignore[arg-type]
                }
                assert answers == {FAIL}
        (line,) = logs  # once a minute
        assert "pass_all_vps_dict = yes" in line["note"]


class TestAuthorize:
    def test_a_login_by_password_is_ours_whatever_another_module_has_said(self) -> None:
        with freeradius() as it:
            lists = it.login(PASSWORD)
            claimed = (UPDATED, {"config": (("Auth-Type", ":=", AUTH_TYPE),)})
            assert it.module.authorize(lists) == claimed
            others = {**lists, "config": (*(lists["config"] or ()), ("Auth-Type", "Accept"))}
            assert it.module.authorize(others) == claimed

    @pytest.mark.parametrize(
        ("request_", "config"),
        [
            ((("User-Name", "alice"), ("CHAP-Password", "0x00")), ()),
            ((("User-Name", "alice"), ("EAP-Message", "0x02")), ()),
            ((("User-Name", "alice"), ("User-Password", "x"), ("EAP-Message", "0x02")), ()),
            ((("User-Name", "alice"), ("User-Password", "x")), (("Auth-Type", "Reject"),)),
            (None, None),
        ],
    )
    def test_another_method_or_what_is_refused_already_is_not(
        self, request_: tuple[Pair, ...] | None, config: tuple[Pair, ...] | None
    ) -> None:
        with freeradius() as it:
            assert it.module.authorize({"request": request_, "reply": None, "config": config}) == NOOP

    @pytest.mark.parametrize(("ready", "answer"), [(True, OK), (False, HANDLED)])
    def test_who_only_looks_finds_nobody_where_no_login_can_be_decided_on(self, ready: bool, answer: int) -> None:
        """RFC 5997 §4.2: there is no reply; FreeRADIUS's `handled` is none."""
        with freeradius() as it:
            it.ready = ready
            assert (
                it.module.authorize({"request": (), "reply": None, "config": ((OURS, "asks=status"),)}) == answer
            )

    @pytest.mark.parametrize(
        ("client", "hint"),
        [("stranger", "no client of radius-mfa.yaml has the name"), ("", "policy radius_mfa has to run")],
    )
    def test_a_client_that_is_none_of_ours_is_refused_and_it_is_said_what_to_do(
        self, client: str, hint: str
    ) -> None:
        with freeradius() as it, structlog.testing.capture_logs() as logs:
            for section in (it.module.authorize, it.module.authenticate):
                assert why(section(it.login(PASSWORD, client=client))) == ["radius_mfa: unknown_client"]
        (line,) = logs  # once a minute
        assert (line["event"], line["client"]) == ("unknown_client", client)
        assert hint in line["note"]


class TestAuthenticate:
    def test_a_login_of_two_rounds(self) -> None:
        with freeradius() as it:
            code, updates = it.says(PASSWORD)
            assert code == HANDLED
            assert updates["config"] == (("Response-Packet-Type", ":=", "Access-Challenge"),)
            assert updates["reply"][0] == SIGNED
            assert texts(updates, "Reply-Message") == ["Enter the 6-digit code from your authenticator app"]
            code, updates = it.says(it.house.code("alice"), texts(updates, "State")[0])
            assert code == OK
            assert updates["reply"] == (SIGNED, ("Class", ":=", "0x7374616666"), ("Tunnel-Type:1", "+=", "13"))
            assert updates["request"] == (("Module-Success-Message", "+=", "radius_mfa: accepted"),)
            assert it.module.post_auth(after(updates)) == NOOP
            assert it.meter.counts["requests", "vpn", "access_request"] == 2
            assert it.meter.counts["replies", "vpn", "access_challenge"] == 1
            assert it.meter.counts["replies", "vpn", "access_accept"] == 1
            assert it.seen == [("vpn", "192.0.2.1", False)] * 2

    def test_whether_the_packet_was_signed_is_told(self) -> None:
        with freeradius() as it:
            it.module.authenticate(it.lists(("Message-Authenticator", "0x00"), ("User-Password", "x")))
            assert it.seen == [("vpn", "192.0.2.1", True)]

    @pytest.mark.parametrize(("waited", "delay"), [(0.0, 1_050_000), (0.25, 800_000), (3.0, 0)])
    def test_a_refusal_is_held_back_by_freeradius_from_its_arrival_on(self, waited: float, delay: int) -> None:
        with freeradius() as it:
            answer = it.says("wrong", waited=waited)
            assert why(answer) == ["radius_mfa: wrong_password"]
            assert answer[1]["reply"][0] == SIGNED
            (held,) = texts(answer[1], "FreeRADIUS-Response-Delay-USec")
            assert int(held) == pytest.approx(delay, abs=2)

    def test_what_is_not_to_be_delayed_is_not(self) -> None:
        probed = replace(VPN, probe_users=frozenset({"alice"}))
        with freeradius(nas=probed) as it:
            assert texts(it.says("x")[1], "FreeRADIUS-Response-Delay-USec") == ["0"]

    def test_what_has_waited_until_nobody_waits_for_it_is_not_decided_on(self) -> None:
        with freeradius() as it, structlog.testing.capture_logs() as logs:
            for _ in range(2):
                answer = it.module.authenticate(it.login(PASSWORD, waited=VPN.window))
                assert answer == (HANDLED, {"config": SILENCE})
            assert [line["event"] for line in logs] == ["too_late"]
            assert it.house.directory.asked == []

    @pytest.mark.parametrize(
        ("waited", "most", "longest", "left"),
        [(0.0, 29.0, 99.0, 18.0), (2.0, 29.0, 99.0, 16.0), (2.0, 9.0, 99.0, 7.0), (2.0, 9.0, 5.0, 5.0)],
    )
    def test_it_is_due_before_anybody_gives_up_and_holds_up_the_others_for_no_longer_than_it_may(
        self, waited: float, most: float, longest: float, left: float
    ) -> None:
        due: list[float] = []

        async def asked(request: AccessRequest) -> Reply | None:
            due.append(request.deadline)
            return None

        patient = replace(VPN, timeout=5.0, retries=3)
        with freeradius(asked, nas=patient, most=most, longest=longest) as it:
            it.says(PASSWORD, waited=waited)
            assert due == [pytest.approx(it.house.clock.monotonic() + left, abs=1e-3)]

    def test_what_was_not_decided_in_time_is_silence(self) -> None:
        quick = replace(VPN, timeout=0.01, retries=0)
        with freeradius(_never, nas=quick) as it, structlog.testing.capture_logs() as logs:
            assert it.says(PASSWORD) == (HANDLED, {"config": SILENCE})
            assert [line["event"] for line in logs] == ["no_decision"]

    def test_silence_that_was_decided_on_is_silence(self) -> None:
        blown = Fuse(0, DirectoryError, "find")
        with freeradius(fuse=blown, discard_when_broken=True) as it:
            assert it.says(PASSWORD) == (HANDLED, {"config": SILENCE})
            assert it.meter.discarded("withheld") == 1

    def test_what_breaks_is_a_failure_whose_text_is_nowhere(self) -> None:
        with freeradius(_breaks) as it, structlog.testing.capture_logs() as logs:
            assert it.module.authenticate(it.login(PASSWORD)) == FAIL
            (line,) = logs
            assert (line["event"], line["error"]) == ("internal_error", "ValueError")
            assert "hunter2" not in str(line) + str(it.radiusd.lines)


class TestWithinATunnel:
    def test_password_and_code_are_in_one_field_and_nothing_is_signed(self) -> None:
        with freeradius() as it:
            code, updates = it.says(f"{PASSWORD},{it.house.code('alice')}", outer="anonymous")
            assert code == OK
            assert texts(updates, "Class") == ["0x7374616666"]
            assert texts(updates, "Message-Authenticator") == []
            assert it.seen == []  # there is no packet

    @pytest.mark.parametrize(("waited", "pause"), [(0.0, 0.15), (0.05, 0.1), (3.0, 0.0)])
    def test_a_refusal_says_how_long_it_is_to_wait_from_its_arrival_on(self, waited: float, pause: float) -> None:
        with freeradius() as it:
            _, updates = it.says("wrong,123456", outer="anonymous", waited=waited)
            ((name, _, text),) = updates["config"]
            assert name == "Tmp-String-8"
            assert float(text) == pytest.approx(pause, abs=1e-3)

    def test_there_is_no_challenge(self) -> None:
        async def asks(_: AccessRequest) -> Reply:
            return Reply(Code.ACCESS_CHALLENGE, b"state", ("a code, please",), outcome="challenged")

        with freeradius(asks) as it:
            assert why(it.says(PASSWORD, outer="")) == ["radius_mfa: challenged"]

    def test_silence_is_a_refusal(self) -> None:
        with freeradius() as it:
            assert why(it.says(PASSWORD, outer="", waited=VPN.window)) == ["radius_mfa: no_decision"]


class TestPostAuth:
    @pytest.mark.parametrize("kind", ["Reject", "Challenge"])
    def test_what_is_no_access_accept_goes(self, kind: str) -> None:
        with freeradius() as it:
            assert it.module.post_auth({"request": (), "reply": (), "config": (("Post-Auth-Type", kind),)}) == NOOP

    def test_nor_is_silence(self) -> None:
        with freeradius() as it:
            assert it.module.post_auth({"request": (), "reply": None, "config": SILENT}) == NOOP

    def test_where_the_site_forgets_to_authenticate_it_is_said_so(self) -> None:
        with freeradius() as it, structlog.testing.capture_logs() as logs:
            config = (("Auth-Type", AUTH_TYPE),)
            answer = it.module.post_auth({"request": (), "reply": None, "config": config})
            assert why(answer) == ["radius_mfa: not_accepted_here"]
            assert "has to be called in authenticate" in logs[0]["note"]

    def test_what_was_not_accepted_here_is_refused(self) -> None:
        with freeradius() as it, structlog.testing.capture_logs() as logs:
            config = (("Auth-Type", "PAP"),)
            for _ in range(2):
                answer = it.module.post_auth({"request": (), "reply": None, "config": config})
                assert why(answer) == ["radius_mfa: not_accepted_here"]
            assert [(line["event"], line["auth_type"]) for line in logs] == [("not_accepted_here", "PAP")]
            nobody = it.module.post_auth({"request": (), "reply": None, "config": None})
            assert why(nobody) == ["radius_mfa: not_accepted_here"]

    def test_what_was_accepted_goes_once(self) -> None:
        with freeradius() as it:
            lists = after(it.accepted())
            assert it.module.post_auth(lists) == NOOP
            assert why(it.module.post_auth(lists)) == ["radius_mfa: not_accepted_here"]

    def test_what_has_lost_an_attribute_on_the_way_is_refused(self) -> None:
        with freeradius() as it, structlog.testing.capture_logs() as logs:
            lists = after(it.accepted())
            lacking = {**lists, "reply": tuple(each for each in lists["reply"] or () if each[0] != "Class")}
            assert why(it.module.post_auth(lacking)) == ["radius_mfa: reply_incomplete"]
            assert [line["attributes"] for line in logs if line["event"] == "reply_incomplete"] == [["Class"]]

    def test_what_freeradius_does_not_say_is_empty(self) -> None:
        with freeradius() as it:
            lists = {**after(it.accepted()), "reply": None}
            assert why(it.module.post_auth(lists)) == ["radius_mfa: reply_incomplete"]

    def test_of_what_was_accepted_and_never_asked_about_the_oldest_is_forgotten(self) -> None:
        async def accepts(_: AccessRequest) -> Reply:
            return Reply(Code.ACCESS_ACCEPT, outcome="accepted")

        most = 1024
        with freeradius(accepts) as it:
            accepted = [after(it.says(PASSWORD)[1]) for _ in range(most + 1)]
            assert why(it.module.post_auth(accepted[0])) == ["radius_mfa: not_accepted_here"]
            assert [it.module.post_auth(each) for each in accepted[1:]] == [NOOP] * most
