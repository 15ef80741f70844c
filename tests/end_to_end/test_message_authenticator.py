"""A NAS that sends no Message-Authenticator (CVE-2024-3596), under each rule a client may have."""

from __future__ import annotations

from tests.end_to_end.nas import (
    ACCEPT,
    CHALLENGE,
    MESSAGE_AUTHENTICATOR,
    PROXY_STATE,
    REJECT,
    STATUS_SERVER,
    RawNas,
)
from tests.end_to_end.site import OFF, Account, Site


def unsigned(nas: RawNas, user: Account, *extra: tuple[int, bytes]) -> bytes:
    """Round one, without Message-Authenticator.  The octets differ every time: it is no retransmission."""
    return nas.packet(user.name.encode(), user.password.encode(), *extra, sign=False)


def log_in_unsigned(nas: RawNas, user: Account) -> str:
    challenge = nas.exchange(unsigned(nas, user))
    assert challenge.code == CHALLENGE
    packet = nas.packet(user.name.encode(), user.code().encode(), state=challenge.state, sign=False)
    return nas.exchange(packet).code


def test_where_it_is_required_there_is_silence_without(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas:
        assert university.unanswered(nas, unsigned(nas, user))
        assert nas.ask(user.name, user.password).code == CHALLENGE
    assert university.outcomes(user.name) == ["challenge challenged"]


def test_where_the_rule_is_off_both_are_served_for_ever(university: Site) -> None:
    with university.nas(OFF) as nas:
        assert log_in_unsigned(nas, university.staff()) == ACCEPT
        user = university.staff()
        assert nas.ask(user.name, user.password).code == CHALLENGE
        assert log_in_unsigned(nas, university.staff()) == ACCEPT


def test_auto_serves_a_nas_until_it_has_once_sent_one(university: Site) -> None:
    source, user = university.source(), university.staff()
    with university.nas(source) as nas:
        assert log_in_unsigned(nas, university.staff()) == ACCEPT
        assert nas.ask(user.name, user.password).code == CHALLENGE
        assert university.unanswered(nas, unsigned(nas, user))
        assert nas.ask(user.name, user.password).code == CHALLENGE
    # Per source address: what another NAS of the same client does is not held against this one.
    with university.nas(university.source()) as other:
        assert log_in_unsigned(other, university.staff()) == ACCEPT


def test_auto_remembers_over_a_restart(university: Site) -> None:
    source, user = university.source(), university.staff()
    with university.another() as server, university.nas(source, server) as nas:
        assert nas.exchange(unsigned(nas, user)).code == CHALLENGE
        assert nas.ask(user.name, user.password).code == CHALLENGE
    with university.another() as server, university.nas(source, server) as nas:
        assert university.unanswered(nas, unsigned(nas, user), server=server)
        assert nas.ask(user.name, user.password).code == CHALLENGE


def test_a_wrong_one_and_a_forged_signer_prove_nothing(university: Site) -> None:
    """Only what verifies may change what is remembered; Status-Server and EAP must have one anyway."""
    source, user = university.source(), university.staff()
    with university.nas(source) as nas:
        signed = nas.packet(user.name.encode(), user.password.encode())
        assert signed[20] == MESSAGE_AUTHENTICATOR
        tampered = signed[:22] + bytes(16) + signed[38:]
        assert university.unanswered(nas, tampered)
        assert nas.exchange(nas.raw([], code=STATUS_SERVER)).code == ACCEPT
        assert log_in_unsigned(nas, user) == ACCEPT


def test_proxy_state_without_one_is_where_the_collision_goes(university: Site) -> None:
    user = university.staff()
    with university.nas(university.source()) as nas:
        assert university.unanswered(nas, unsigned(nas, user, (PROXY_STATE, b"x" * 200)))
        assert nas.exchange(unsigned(nas, user)).code == CHALLENGE


def test_proxy_state_comes_back_unmodified_in_order_and_last(university: Site) -> None:
    """RFC 2865 §5.33."""
    user = university.staff()
    proxies = [(PROXY_STATE, b"first"), (PROXY_STATE, b"\0second"), (PROXY_STATE, b"first")]
    with university.nas() as nas:
        challenge = nas.ask(user.name, user.password, *proxies)
        assert list(challenge.attributes[-3:]) == proxies
        accept = nas.ask(user.name, user.code(), *proxies, state=challenge.state)
        assert (accept.code, list(accept.attributes[-3:])) == (ACCEPT, proxies)
        reject = nas.ask(user.name, "wrong", *proxies)
        assert list(reject.attributes[-3:]) == proxies


def test_a_wrong_shared_secret_is_met_with_silence_or_refused(university: Site) -> None:
    """Signed, it does not verify; unsigned, only the password comes out as rubbish."""
    user = university.staff()
    with university.nas() as nas, university.nas(OFF) as off:
        signed = RawNas(("127.0.0.1", university.server.port), b"another secret", "127.0.0.1")
        assert university.unanswered(nas, signed.packet(user.name.encode(), user.password.encode()))
        signed.socket.close()
        packet = off.packet(user.name.encode(), user.password.encode(), sign=False)
        other_salt = packet[:4] + bytes(16) + packet[20:]
        off.socket.send(other_salt)
        assert off.read(off.socket.recv(4096), other_salt).code == REJECT
