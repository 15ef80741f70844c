"""One request's way: deadline, decision, words, audit and counts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import structlog.testing
import yaml

from radius_mfa.core.errors import StoreError
from radius_mfa.core.messages import AccessRequest, AuditEvent, Code, Reply, ReplyAttribute
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import Policy
from radius_mfa.core.ports import Clock, Entropy, Password
from radius_mfa.data import CONFIG
from radius_mfa.observe.metrics import Counts
from radius_mfa.service.service import Service
from radius_mfa.service.texts import Texts
from tests.adapters import PASSWORD, VPN, WIFI, Fuse, House, access_request, always, house

LANGUAGES = {path.stem: yaml.safe_load(path.read_text()) for path in (CONFIG / "messages").glob("*.yaml")}
WORDED = {"anyconnect": {"en": {"challenged": "The code, please", "refused": "No."}}}

REFUSED = "Login refused. Check your user name and password, or try again in a few minutes."


@dataclass
class Reception:
    """A service in front of a house: what it replies, and what it writes down."""

    house: House
    service: Service
    counts: Counts
    events: list[AuditEvent] = field(default_factory=list)

    def answer(self, request: AccessRequest) -> Reply | None:
        return self.house.run(self.service.answer(request))

    def says(
        self, text: str | None, state: bytes | None = None, user_name: str | bytes = "alice", **more: Any
    ) -> Reply:
        reply = self.answer(
            access_request(VPN, user_name, text, state, arrived=self.house.clock.monotonic(), **more)
        )
        assert reply is not None
        return reply


@contextmanager
def reception(
    fuse: Fuse | None = None, is_ready: Callable[[], bool] = lambda: True, **rules: Any
) -> Iterator[Reception]:
    """alice has a token; the fuse is in every call of the conversation."""
    with house(**rules) as it:
        it.enrol("alice")
        it.wire(fuse)
        events: list[AuditEvent] = []
        counts = Counts()
        clock: Clock = it.clock
        entropy: Entropy = it.entropy
        texts = Texts(LANGUAGES, contact="Desk 1234", profiles=WORDED)
        service = Service(it.conversation, texts, events.append, clock, entropy, counts, is_ready)
        yield Reception(it, service, counts, events)


def test_a_login_in_words() -> None:
    reply = (ReplyAttribute("Class", "staff"),)
    with reception(policies=[Policy("staff", reply=always(*reply))]) as desk:
        asked = desk.says(PASSWORD)
        assert (asked.code, asked.delayed) == (Code.ACCESS_CHALLENGE, False)
        assert asked.messages == ("Enter the 6-digit code from your authenticator app",)

        again = desk.says(desk.house.wrong_code("alice"), asked.state)
        assert (again.code, again.delayed) == (Code.ACCESS_CHALLENGE, True)
        assert again.messages[0].startswith("That code is not right.")
        assert again.state not in {None, asked.state}

        accepted = desk.says(desk.house.code("alice"), again.state)
        assert accepted == Reply(Code.ACCESS_ACCEPT, attributes=reply)


def test_every_refusal_is_delayed() -> None:
    with reception() as desk:
        assert desk.says("wrong") == Reply(Code.ACCESS_REJECT, messages=(REFUSED,), delayed=True)


def test_refusals_before_the_right_password_cannot_be_told_apart() -> None:
    with reception() as desk:
        directory = desk.house.directory
        directory.users["twins"] = Outcome.AMBIGUOUS_USER
        directory.users["noid"] = Outcome.USER_ID_UNUSABLE
        directory.verdicts["alice"] = Password.LOCKED
        replies = [
            desk.says("wrong", user_name=name)
            for name in ("eve", "twins", "noid", "carol", "alice", "bob", b"\xff")
        ]
        replies += [
            desk.says(PASSWORD),
            desk.says(None),
            desk.says("\x00"),
            desk.says(None, extra=[(3, bytes(17))]),
        ]
        replies += [desk.says("123456", state) for state in (b"", bytes(100))]

    assert len({event.outcome for event in desk.events}) == 11
    assert set(replies) == {Reply(Code.ACCESS_REJECT, messages=(REFUSED,), delayed=True)}


def test_silence_is_no_reply_and_still_an_event() -> None:
    with reception(Fuse(0, StoreError, "facts"), discard_when_broken=True) as desk:
        assert desk.answer(access_request()) is None
        assert [event.decision for event in desk.events] == ["discard"]


def test_what_is_broken_is_in_the_log_once_a_minute() -> None:
    class Burnt(Fuse):
        def pass_through(self, call: str, quoted: object) -> None:
            if call == "facts":
                raise StoreError("the disk is full")

    with reception(Burnt(-1, StoreError)) as desk, structlog.testing.capture_logs() as logged:
        for seconds in (0, 59, 1, 59):
            desk.house.clock.advance(seconds)
            desk.says(PASSWORD)

    line = {"event": "store_failed", "log_level": "error", "detail": "the disk is full", "client": "vpn"}
    assert logged == [line, line]


def test_a_password_nobody_typed_is_in_the_log_once_a_minute_and_client() -> None:
    """RFC 2865 §5.2: the one sign of a wrong shared secret."""
    with reception() as desk, structlog.testing.capture_logs() as logged:
        for nas in (VPN, VPN, WIFI, WIFI):
            desk.answer(access_request(nas, password=b"\xff\xfe"))

    assert [(line["event"], line["client"]) for line in logged] == [
        ("password_unreadable", "vpn"),
        ("password_unreadable", "wifi"),
    ]
    assert "shared secret" in logged[0]["detail"]


def test_a_method_that_is_not_offered_is_in_the_log_with_what_to_change() -> None:
    """Nobody can log in there, and the audit file is not what is looked at first."""
    with reception() as desk, structlog.testing.capture_logs() as logged:
        for _ in range(3):
            desk.says(None, extra=[(3, bytes(17))])

    (line,) = logged
    assert (line["event"], line["log_level"], line["client"]) == ("method_not_offered", "error", "vpn")
    assert line["detail"] == "CHAP came, which is not served: set it to PAP"
    assert [event.detail for event in desk.events] == [line["detail"]] * 3


@pytest.mark.parametrize(("shows", "prompt"), [(True, "Echo"), (False, "No-Echo"), (None, None)])
def test_a_challenge_says_whether_to_show_what_is_typed(shows: bool | None, prompt: str | None) -> None:
    """RFC 2869 §5.10."""
    nas = replace(VPN, profile=replace(VPN.profile, shows_answer=shows))
    wanted = (ReplyAttribute("Prompt", prompt),) if prompt else ()
    with reception() as desk:
        asked = desk.answer(access_request(nas, arrived=desk.house.clock.monotonic()))
        assert asked is not None
        assert asked.attributes == wanted

        again = desk.answer(access_request(nas, password=desk.house.wrong_code("alice"), state=asked.state))
        assert again is not None
        assert again.attributes == wanted

        accepted = desk.answer(access_request(nas, password=desk.house.code("alice"), state=again.state))
        assert accepted == Reply(Code.ACCESS_ACCEPT)
        refused = desk.answer(access_request(nas, password="wrong"))
        assert refused is not None
        assert refused.attributes == ()


def test_each_gateway_is_spoken_to_in_its_own_words() -> None:
    with reception() as desk:
        asa = replace(VPN, profile=replace(VPN.profile, name="anyconnect"))
        reply = desk.answer(access_request(asa, arrived=desk.house.clock.monotonic()))
        assert reply is not None
        assert reply.messages == ("The code, please",)
        refused = desk.answer(access_request(asa, password="wrong"))
        assert refused is not None
        assert refused.messages == ("No.",)


def test_the_conversation_has_the_nas_window_less_a_tenth() -> None:
    deadlines = []

    class Watch(Fuse):
        def pass_through(self, call: str, quoted: object) -> None:
            if call == "find" and isinstance(quoted, tuple):
                deadlines.append(quoted[1])

    with reception(Watch(-1, RuntimeError)) as desk:
        desk.says(PASSWORD)

        assert deadlines == [pytest.approx(desk.house.clock.monotonic() + VPN.window * 0.9)]


def test_each_request_is_written_down_and_counted() -> None:
    with reception() as desk:
        asked = desk.says(PASSWORD)
        desk.house.clock.advance(2.5)
        desk.answer(access_request(password=desk.house.code("alice"), state=asked.state))

        assert [(event.decision, event.outcome, event.round, event.duration) for event in desk.events] == [
            ("challenge", "challenged", 1, 0.0),
            ("accept", "accepted", 1, 2.5),
        ]
        assert desk.counts.total("decisions") == 2
        labels = (("client", "vpn"), ("decision", "accept"), ("outcome", "accepted"), ("factor", "totp"))
        assert desk.counts.counted["decisions", labels] == 1
        assert desk.counts.durations["decision", (("client", "vpn"),)].seconds == 2.5


PROBED = replace(VPN, probe_users=frozenset({"probe"}))


@pytest.mark.parametrize("name", ["probe", "PROBE", " probe ", "ｐｒｏｂｅ"])
def test_who_only_looks_whether_we_are_there_is_refused_at_once_and_nobody_is_asked(name: str) -> None:
    fuse = Fuse(0, RuntimeError)  # in directory, store, clock, seal and factors
    with reception(fuse) as desk:
        for password in (PASSWORD, None):
            reply = desk.answer(access_request(PROBED, name, password))
            assert reply == Reply(Code.ACCESS_REJECT)
            assert not reply.delayed
        assert fuse.blown == ""
        assert desk.house.directory.asked == []
        assert desk.events == []
        assert desk.counts.total("decisions") == 0
        assert desk.counts.counted["probes", (("client", "vpn"), ("answered", "yes"))] == 2


@pytest.mark.parametrize("name", [None, b"", b" ", b"\xff", b"probe\x00", b"prob", b"probe@example.org"])
def test_a_name_that_only_looks_like_a_probes_is_a_login(name: bytes | None) -> None:
    careless = replace(VPN, probe_users=frozenset({"probe", ""}))
    with reception() as desk:
        reply = desk.answer(access_request(careless, name))
        assert reply is not None
        assert reply.delayed
        assert len(desk.events) == 1


def test_a_node_that_is_not_ready_does_not_say_it_is_there() -> None:
    with reception(is_ready=lambda: False) as desk:
        assert desk.answer(access_request(PROBED, "probe")) is None
        assert desk.counts.counted["probes", (("client", "vpn"), ("answered", "no"))] == 1
        assert desk.says(PASSWORD).code is Code.ACCESS_CHALLENGE  # whoever asks for more is served


def test_elsewhere_the_same_name_is_a_login() -> None:
    with reception() as desk:
        assert desk.says(PASSWORD, user_name="probe").delayed
        assert desk.house.directory.asked[0] == ("find", "probe")
        assert desk.answer(access_request(PROBED, "alice", PASSWORD)) is not None
        assert ("find", "alice") in desk.house.directory.asked


def test_a_state_is_vouched_for_by_the_conversation() -> None:
    with reception() as desk:
        state = desk.says(PASSWORD).state
        assert desk.service.vouches(access_request(state=state))
        assert not desk.service.vouches(access_request(nas=WIFI, state=state))


def test_the_same_login_again_gets_the_same_challenge_and_asks_the_directory_once() -> None:
    """RFC 5080 §2.2.2."""
    with reception() as desk:
        first = desk.says(PASSWORD)

        assert desk.says(PASSWORD, source="192.0.2.1:40000") == first
        assert [call for call, _ in desk.house.directory.asked] == ["find", "check", "groups"]
        assert len(desk.events) == 1


def test_whatever_goes_wrong_ends_in_a_refusal_and_no_secret_is_logged() -> None:
    """Each call of a login fails in turn, with an exception that quotes all it was given."""
    blown = set()
    for at in range(100):
        fuse = Fuse(at, RuntimeError, *PORTS)
        with reception(fuse) as desk, structlog.testing.capture_logs() as logged:
            # Whoever asks for trust is not judged in the transaction that reserves, and `settle` is called.
            secrets = [PASSWORD, code := f"{desk.house.code('alice')} trust"]
            replies = [asked := desk.says(PASSWORD)]
            if asked.state:
                secrets.append(asked.state.hex())
                replies.append(desk.says(code, asked.state))
        if not fuse.blown:
            break
        blown.add(fuse.blown)

        refused = replies[-1]
        assert (refused.code, refused.delayed, refused.state) == (Code.ACCESS_REJECT, True, None)
        assert refused.messages == (REFUSED,)
        assert desk.events[-1].outcome is Outcome.INTERNAL_ERROR
        assert [entry["event"] for entry in logged] == ["internal_error"]
        assert logged[0]["error"] == "RuntimeError"
        assert not any(secret in f"{logged} {desk.events}" for secret in secrets)

    assert blown == set(PORTS)


PORTS = ("find", "check_password", "facts", "spend", "settle", "open", "seal", "digest", "usable", "judge")
