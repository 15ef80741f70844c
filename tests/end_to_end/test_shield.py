"""Wrong passwords that the directory never hears of, lest it lock the account."""

from __future__ import annotations

from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT
from tests.end_to_end.site import VPN, Site, told


def test_the_same_wrong_password_again_is_not_tried_again(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas:
        for _ in range(3):
            assert nas.ask(user.name, "wrong").message == told("refused")
        state = nas.ask(user.name, user.password).state
        assert nas.ask(user.name, user.code(), state=state).code == ACCEPT
    assert university.outcomes(user.name)[:3] == [
        "reject wrong_password",
        "reject wrong_password_again",
        "reject wrong_password_again",
    ]


def test_after_so_many_wrong_ones_none_is_tried_and_nobody_can_tell(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas:
        replies = [nas.ask(user.name, f"wrong {number}") for number in range(6)]
        replies.append(nas.ask(user.name, user.password))
    assert {(reply.code, reply.message) for reply in replies} == {(REJECT, told("refused"))}
    assert university.outcomes(user.name) == [
        *["reject wrong_password"] * 5,
        *["reject too_many_wrong_passwords"] * 2,
    ]


def test_one_users_wrong_passwords_are_nobody_elses(university: Site) -> None:
    user, other = university.staff(), university.staff()
    with university.nas() as nas:
        for number in range(6):
            nas.ask(user.name, f"wrong {number}")
        assert nas.ask(other.name, other.password).code == CHALLENGE


def test_octets_nobody_types_are_never_tried_and_the_log_names_the_shared_secret(university: Site) -> None:
    """RFC 2865 §5.2: a wrong secret shows in nothing but a password that is none."""
    user = university.staff()
    with university.another() as server, university.nas(VPN, server) as nas:
        for octets in (b"\xff\xfe password", b"bell \x07 in it"):
            assert nas.exchange(nas.packet(user.name.encode(), octets)).code == REJECT
        said = server.wait_for("password_unreadable")
        assert said["client"] == "vpn"
        assert "shared secret" in said["detail"]
    assert [record["event"] for record in server.log].count("password_unreadable") == 1
    assert university.outcomes(user.name) == []  # the name is masked: nobody has looked whose it is


def test_a_reload_forgets_no_wrong_password(university: Site) -> None:
    user = university.staff()
    with university.another() as server, university.nas(VPN, server) as nas:
        for number in range(5):
            nas.ask(user.name, f"wrong {number}")
        server.reload()
        server.wait_for("reloaded")
        assert nas.ask(user.name, user.password).code == REJECT
    assert university.outcomes(user.name)[-1] == "reject too_many_wrong_passwords"
