"""The soak's packets, a few thousand of them: they come to nothing, and what is broken on purpose is found out."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from hashlib import md5
from ipaddress import ip_network
from random import Random

import pytest
from pyrad.packet import AuthPacket

from bench.soak.form import form_fault
from bench.soak.inside import Changed, clients_as_configured, try_inside
from bench.soak.mutate import Craft, Datagram
from bench.soak.octets import attributes_of, hidden, is_signed, packet, padded, signature
from bench.soak.oracle import Account, Client, Oracle, Question, Silence
from bench.soak.packets import try_packets
from bench.soak.site import CLIENTS, accounts
from bench.soak.tally import Figures, Tally
from radius_mfa.core.messages import AccessRequest, Attribute, Code, Reply
from radius_mfa.wire.clients import Clients
from radius_mfa.wire.exchange import Answer

SECRET = b"a secret of the test"
STEP = 60_000_000
NOON = STEP * 30.0
NAS = Client("vpn", (ip_network("192.0.2.1"),), (SECRET,), "require", window=20.0)


def test_a_small_run_in_all_three_ways_is_clean() -> None:
    figures = try_packets(3000, seed=3, workers=1)

    assert figures.failures == ()
    assert figures.troubles == 0
    assert figures.tried >= 3000
    assert set(figures.silent) == set(Silence)
    assert min(figures.answered[code] for code in ("accept", "reject", "challenge")) > 20
    assert sum(figures.answered.values()) + sum(figures.silent.values()) + figures.unanswered == figures.tried
    assert {"again", "noise", "answer", "password, octets", "answer, re-signed"} < set(figures.kinds)


def test_the_command_says_what_came_of_it_and_which_part_can_be_tried_alone() -> None:
    command = [sys.executable, "-m", "bench.soak.packets", "--packets", "300", "--only", "inside-0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    found = re.match(r"packets +(\d+) tried in ", done.stdout)
    assert found is not None
    assert 267 <= int(found[1]) < 280, "what is left for the one house there is, and perhaps the rest of a burst"

    nothing = subprocess.run([*command[:-1], "no such part"], capture_output=True, text=True, check=False)
    assert nothing.returncode == 1


def test_the_same_seed_makes_the_same_packets() -> None:
    """As long as no State is among them: those are the server's."""

    def made(seed: int) -> list[Datagram]:
        everybody = accounts()
        craft = Craft(Random(seed), Oracle(CLIENTS, everybody), everybody)
        return [craft.datagram() for _ in range(300)]

    assert [each.kind for each in made(1)] == [each.kind for each in made(1)]
    assert made(1) != made(2)


# --- servers that are broken on purpose -----------------------------------------------------------


def broken(change: Changed | None = None, clients: Clients | None = None, packets: int = 1500) -> Figures:
    """What is found out about a server that is not as it should be."""
    everybody = accounts()
    tally = Tally(Oracle(CLIENTS, everybody), "again")
    craft = Craft(Random(5), tally.oracle, everybody)
    if change is None:
        try_inside(tally, craft, everybody, packets, clients=clients)
    else:
        try_inside(tally, craft, everybody, packets, change=change, clients=clients)
    return tally.figures(0.0)


def accepting_everything(_answer: Answer) -> Answer:
    async def answer(_request: AccessRequest) -> Reply | None:
        return Reply(Code.ACCESS_ACCEPT)

    return answer


def accepting_any_state(answer: Answer) -> Answer:
    """A server that does not look at whose State it is, and whether it was used."""

    async def careless(request: AccessRequest) -> Reply | None:
        reply = await answer(request)
        if reply and reply.code is Code.ACCESS_REJECT and request.first(Attribute.STATE):
            return Reply(Code.ACCESS_ACCEPT)
        return reply

    return careless


def accepting_a_code_twice(answer: Answer) -> Answer:
    """A server that forgets which passwords in one field it has accepted."""
    accepted: set[tuple[str, bytes | None, bytes | None]] = set()

    async def forgetful(request: AccessRequest) -> Reply | None:
        reply = await answer(request)
        login = request.nas.name, request.first(Attribute.USER_NAME), request.password
        if reply and reply.code is Code.ACCESS_ACCEPT and request.nas.profile.suffix:
            accepted.add(login)
        return Reply(Code.ACCESS_ACCEPT) if login in accepted else reply

    return forgetful


def challenging_everybody(answer: Answer) -> Answer:
    async def eager(request: AccessRequest) -> Reply | None:
        reply = await answer(request)
        rejected = reply is not None and reply.code is Code.ACCESS_REJECT
        return Reply(Code.ACCESS_CHALLENGE, b"a State of no use") if rejected else reply

    return eager


def raising(_answer: Answer) -> Answer:
    async def answer(request: AccessRequest) -> Reply | None:
        raise ValueError(request.source)

    return answer


@pytest.mark.parametrize("change", [accepting_everything, accepting_any_state])
def test_who_is_accepted_wrongly_is_found_out(change: Changed) -> None:
    figures = broken(change)

    assert figures.wrong_accepts > 20
    assert figures.replies_to_silent == figures.exceptions == 0
    assert figures.failures[0].startswith("wrong accept: Access-Accept ")
    assert "packet 01" in figures.failures[0]
    assert figures.failures[0].endswith("; again: again")


def test_a_code_that_is_accepted_twice_is_found_out() -> None:
    figures = broken(accepting_a_code_twice, packets=6000)

    assert figures.wrong_accepts > 0
    assert any("right and unused" in each for each in figures.failures)


def test_a_challenge_without_a_right_password_is_found_out() -> None:
    assert broken(challenging_everybody).wrong_challenges > 20


def test_an_exception_is_found_out_though_it_is_caught() -> None:
    figures = broken(raising)

    assert figures.exceptions > 100
    assert "answer_failed" in figures.failures[0]


def test_a_server_that_does_not_demand_message_authenticator_is_found_out() -> None:
    """CVE-2024-3596: its administrator was told that it does."""
    figures = broken(clients=clients_as_configured(message_authenticator="off"))

    assert figures.replies_to_silent > 20
    assert figures.failures[0].startswith("reply to what must be discarded: Message-Authenticator missing")
    assert figures.wrong_discards == 0


def test_a_server_that_demands_it_of_everybody_is_found_out() -> None:
    figures = broken(clients=clients_as_configured(message_authenticator="require"))

    assert figures.wrong_discards > 20
    assert figures.replies_to_silent == 0


# --- the oracle -----------------------------------------------------------------------------------


class Login:
    """alice at a NAS; pyrad makes the packets, and the replies of a server that says what it is told."""

    def __init__(self) -> None:
        self.alice = Account("alice", "sesame", b"a seed of 20 octets.")
        self.oracle = Oracle([NAS], [self.alice, Account("bob", "sesame", b"another seed of his.")])
        self._identifier = 0

    def says(
        self,
        typed: str,
        code: int,
        *,
        state: bytes = b"",
        name: bytes = b"alice",
        new: bytes = b"",
        at: float = NOON,
    ) -> str:
        """What is wrong with that answer to a request with that in it, by the oracle."""
        self._identifier += 1
        salt = bytes([self._identifier]) * 16
        asked = AuthPacket(id=self._identifier, secret=SECRET, authenticator=salt, message_authenticator=True)
        asked[1], asked[2] = [name], [asked.PwCrypt(typed.encode())]
        asked[24] = [state] if state else []
        octets = asked.RequestPacket()
        question = self.oracle.read(octets, "192.0.2.1")
        assert isinstance(question, Question)
        assert question.password == typed.encode()
        reply = AuthPacket(packet=octets, secret=SECRET).CreateReply()
        reply.code = code
        if new:
            reply[24] = [new]
        made: bytes = reply.ReplyPacket()
        assert attributes_of(made) is not None
        return self.oracle.fault(question, 1812, made, at, at)


def test_a_login_that_is_right_is_right_once() -> None:
    it = Login()
    now, later = it.alice.code(STEP), it.alice.code(STEP + 1)

    assert it.says("sesame", 11, new=b"first") == ""
    assert it.says(now, 2, state=b"first") == ""
    assert it.says(now, 2, state=b"first") == "", "RFC 5080 §2.2.2: the same login under another Identifier"
    assert it.says(later, 2, state=b"first") == "Access-Accept to a State that was spent"
    assert it.says("sesame", 11, new=b"second") == ""
    assert it.says(now, 2, state=b"second") == "Access-Accept without a code that is right and unused"


def test_of_two_answers_at_once_one_leads_on() -> None:
    """Neither is known to be the first."""
    it = Login()
    assert it.says("sesame", 11, new=b"first") == ""
    assert it.says("000000", 11, state=b"first", new=b"second") == ""
    assert (
        it.says(it.alice.code(STEP), 2, state=b"first", at=NOON - 1) == "Access-Accept to a State that was spent"
    )


def test_a_status_server_is_no_answer() -> None:
    """RFC 5997 §4.2: it is answered, and nothing else is done, whatever else is in it."""
    it = Login()
    assert it.says("sesame", 11, new=b"first") == ""
    status = AuthPacket(code=12, id=99, secret=SECRET, authenticator=bytes(16), message_authenticator=True)
    status[1], status[2], status[24] = [b"alice"], [status.PwCrypt("000000")], [b"first"]
    question = it.oracle.read(status.RequestPacket(), "192.0.2.1")
    assert isinstance(question, Question)

    it.oracle.decided(question, 1812, NOON)

    assert it.says(it.alice.code(STEP), 2, state=b"first", at=NOON + 1) == ""


def test_an_answer_spends_its_state_before_any_reply_is_seen() -> None:
    """A refusal is delayed, and whoever guessed must not be let in by the next code meanwhile."""
    it = Login()
    assert it.says("sesame", 11, new=b"first") == ""
    asked = AuthPacket(id=99, secret=SECRET, authenticator=bytes(16), message_authenticator=True)
    asked[1], asked[2], asked[24] = [b"alice"], [asked.PwCrypt("000000")], [b"first"]
    question = it.oracle.read(asked.RequestPacket(), "192.0.2.1")
    assert isinstance(question, Question)

    it.oracle.decided(question, 1812, NOON)

    assert "was spent" in it.says(it.alice.code(STEP), 2, state=b"first", at=NOON + 1)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (lambda it: it.says("sesame", 2), "without the right password and a code"),
        (lambda it: it.says("wrong", 11, new=b"x"), "Access-Challenge without the right password"),
        (lambda it: it.says("sesame", 11, name=b"carol", new=b"x"), "Access-Challenge without the right password"),
        (lambda it: it.says("sesame", 11), "Access-Challenge without one State"),
        (lambda it: it.says("000000", 2, state=b"first"), "without a code that is right"),
        (lambda it: it.says(it.alice.code(STEP - 2), 2, state=b"first"), "without a code that is right"),
        (lambda it: it.says(it.alice.code(STEP), 2, state=b"firsu"), "none of ours"),
        (lambda it: it.says(it.alice.code(STEP), 2, state=b"first", name=b"bob"), "a State of another user"),
        (lambda it: it.says(it.alice.code(STEP + 20), 2, state=b"first", at=NOON + 600), "has expired"),
        (lambda it: it.says("\0" + it.alice.code(STEP), 2, state=b"first"), "nobody can have typed"),
    ],
)
def test_what_is_wrong_is_said(wrong: Callable[[Login], str], why: str) -> None:
    it = Login()
    assert it.says("sesame", 11, new=b"first") == ""
    assert why in wrong(it)


def test_a_reply_has_message_authenticator_first_and_proxy_state_last() -> None:
    """CVE-2024-3596; RFC 2865 §5.33."""
    it = AuthPacket(id=1, secret=SECRET, authenticator=bytes(16), message_authenticator=True)
    it[1], it[33] = [b"alice"], [b"one", b"two"]
    octets = it.RequestPacket()
    question = Oracle([NAS], []).read(octets, "192.0.2.1")
    assert isinstance(question, Question)

    def reply(*attributes: tuple[int, bytes]) -> bytes:
        made = AuthPacket(packet=octets, secret=SECRET).CreateReply()
        made.code = 3
        made.pop(33, None)
        for number, value in attributes:
            made.setdefault(number, []).append(value)
        packed: bytes = made.ReplyPacket()
        return packed

    assert form_fault(question, reply((33, b"one"), (33, b"two"))) == ""
    assert form_fault(question, reply((33, b"two"), (33, b"one"))) == "Proxy-State not as it came"
    assert form_fault(question, reply((33, b"one"), (33, b"two"), (18, b"text"))) == "Proxy-State not as it came"
    assert form_fault(question, reply((18, b"\xff"), (33, b"one"), (33, b"two"))) == "Reply-Message is no text"
    assert form_fault(question, reply()[:-1]) == "not one packet"
    assert form_fault(question, b"\x03\x02" + reply()[2:]) == "Response Authenticator wrong"


@pytest.mark.parametrize(
    ("attributes", "fault"),
    [
        ([], ""),
        ([(79, b"\4\1\0\4")], ""),
        ([(79, b"\4\1"), (79, b"\0\4"), (24, b"s")], ""),
        ([(79, b"\4\1"), (24, b"s"), (79, b"\0\4")], "EAP-Messages are not consecutive"),
        ([(79, b"\4\1\0\5")], "not one EAP packet"),
        ([(79, b"")], "not one EAP packet"),
        ([(18, b"text"), (79, b"\4\1\0\4")], "Reply-Message or Prompt beside EAP"),
        ([(79, b"\4\1\0\4"), (76, bytes(4))], "Reply-Message or Prompt beside EAP"),
    ],
)
def test_eap_in_a_reply_is_one_packet_in_order_and_speaks_for_itself(
    attributes: list[tuple[int, bytes]], fault: str
) -> None:
    """RFC 3579 §2.6.5, §3.1, RFC 3748 §4.  By hand, for pyrad would put its pieces together."""
    asked = AuthPacket(id=1, secret=SECRET, authenticator=bytes(16), message_authenticator=True)
    asked[1] = [b"alice"]
    question = Oracle([NAS], []).read(asked.RequestPacket(), "192.0.2.1")
    assert isinstance(question, Question)
    signed = signature(packet(3, 1, bytes(16), [(80, bytes(16)), *attributes]), SECRET)
    reply = packet(3, 1, bytes(16), [(80, signed), *attributes])
    reply = reply[:4] + md5(reply + SECRET).digest() + reply[20:]

    assert form_fault(question, reply) == fault


def test_octets_are_hidden_and_signed_as_pyrad_does_it() -> None:
    theirs = AuthPacket(id=1, secret=SECRET, authenticator=bytes(range(16)), message_authenticator=True)
    theirs[2] = [theirs.PwCrypt("a password of more than 16 octets")]
    octets = theirs.RequestPacket()

    assert (2, hidden(padded(b"a password of more than 16 octets"), SECRET, bytes(range(16)))) in (
        attributes_of(octets) or ()
    )
    assert is_signed(octets, SECRET)
    assert not is_signed(octets, b"another")
