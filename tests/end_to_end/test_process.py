"""The process: killed, ended, told to read its configuration again, while logins are under way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.end_to_end.nas import ACCEPT, CHALLENGE, CLASS, REJECT, STATUS_SERVER
from tests.end_to_end.site import SECRET, SLOW, VPN, Site, told


@pytest.mark.parametrize("kind", ["radclient", "pyrad"])
def test_a_login_outlives_a_server_that_is_killed_between_its_rounds(university: Site, kind: str) -> None:
    user = university.staff()
    with university.another() as server:
        state = university.foreign(kind, server=server).ask(user.name, user.password).state
        server.kill()
    with university.another() as server:
        assert university.foreign(kind, server=server).ask(user.name, user.code(), state).code == ACCEPT


def test_what_was_spent_and_counted_outlives_it_too(university: Site) -> None:
    user = university.staff()
    with university.another() as server, university.nas(SLOW, server) as nas:
        first = nas.ask(user.name, user.password).state
        wrong = user.wrong_code()
        second = nas.ask(user.name, wrong, state=first)
        server.kill()
    assert university.show(user)["failures"] == 1
    with university.another() as server, university.nas(SLOW, server) as nas:
        assert nas.ask(user.name, user.code(), state=first).code == REJECT
        again = nas.ask(user.name, wrong, state=first)
        assert (again.code, again.state) == (CHALLENGE, second.state)
        code = user.code()
        assert nas.ask(user.name, code, state=second.state).code == ACCEPT
        server.kill()
    with university.another() as server, university.nas(server=server) as nas:
        state = nas.ask(user.name, user.password).state
        assert nas.ask(user.name, code, state=state).code == CHALLENGE
    assert university.outcomes(user.name)[-1] == "challenge code_used"


def test_what_the_server_writes_stays_whoever_else_opens_the_store(university: Site) -> None:
    """A command that leaves must not take the server's log of changes for its own to clear away."""
    user = university.staff()
    with university.nas() as nas:
        state = nas.ask(user.name, user.password).state
        for failures in (1, 2):
            state = nas.ask(user.name, user.wrong_code(), state=state).state
            assert university.show(user)["failures"] == failures
        assert nas.ask(user.name, user.code(), state=state).code == ACCEPT
    shown = university.show(user)
    assert shown["failures"] == 0
    assert shown["tokens"][0]["last_used"] is not None


def test_sigterm_finishes_what_is_in_flight(university: Site) -> None:
    user = university.staff()
    with university.another() as server, university.nas(SLOW, server) as nas:
        packet = nas.packet(user.name.encode(), b"wrong")
        nas.socket.send(packet)
        # Its answer comes at once, and says that the refusal is under way by now.
        status = nas.raw([], code=STATUS_SERVER)
        assert nas.exchange(status).code == ACCEPT
        server.terminate()
        server.wait_for("stopping")
        nas.socket.settimeout(30)
        assert nas.read(nas.socket.recv(4096), packet).code == REJECT
        assert server.ended() == 0
        assert "drain_cut_short" not in server.said()


def test_who_is_told_to_end_again_and_again_while_it_ends_is_not_killed_by_it(university: Site) -> None:
    with university.another() as server:
        while server.runs():
            server.terminate()
        assert server.ended() == 0
        assert "stopped" in server.said()


def test_sighup_reads_the_configuration_again(university: Site) -> None:
    before, after = university.staff(), university.staff()
    with university.another("reloaded.yaml") as server, university.nas(server=server) as nas:
        state = nas.ask(before.name, before.password).state
        university.write("reloaded.yaml", changed(university, reply={"Class": "changed"}))
        server.reload()
        assert server.wait_for("reloaded")["policies"] == 5
        # Round two is under the current configuration.
        accept = nas.ask(before.name, before.code(), state=state)
        assert (accept.code, accept.first(CLASS)) == (ACCEPT, b"changed")
        state = nas.ask(after.name, after.password).state
        assert nas.ask(after.name, after.code(), state=state).first(CLASS) == b"changed"


@pytest.mark.parametrize(
    "broken",
    ["listen: [", "listen: []", "", "clients: off", "\0", "policies: {}\npolicies: {}"],
)
def test_sighup_with_a_broken_configuration_keeps_the_old_one(university: Site, broken: str) -> None:
    user = university.staff()
    with university.another("broken.yaml") as server, university.nas(server=server) as nas:
        state = nas.ask(user.name, user.password).state
        (university.folder / "broken.yaml").write_text(broken)
        server.reload()
        problems = server.wait_for("reload_refused")["problems"]
        assert problems
        assert all("broken.yaml" in problem for problem in problems)
        accept = nas.ask(user.name, user.code(), state=state)
        assert (accept.code, accept.first(CLASS)) == (ACCEPT, b"staff")
        # Mended, it is taken.
        university.write("broken.yaml", changed(university, reply={"Class": "mended"}))
        server.reload()
        server.wait_for("reloaded")


def test_a_policy_that_is_gone_since_round_one_is_a_refusal(university: Site) -> None:
    user = university.staff()
    with university.another("gone.yaml") as server, university.nas(server=server) as nas:
        state = nas.ask(user.name, user.password).state
        university.write("gone.yaml", changed(university, name="renamed"))
        server.reload()
        server.wait_for("reloaded")
        reply = nas.ask(user.name, user.code(), state=state)
        assert (reply.code, reply.message) == (REJECT, told("policy_gone"))
        assert university.outcomes(user.name)[-1] == "reject policy_gone"


def test_a_client_that_is_gone_is_met_with_silence_and_a_new_one_is_served(university: Site) -> None:
    user = university.staff()
    with (
        university.another("clients.yaml") as server,
        university.nas(VPN, server) as nas,
        university.nas("127.0.0.98", server) as new,
    ):
        packet = new.packet(user.name.encode(), user.password.encode())
        assert university.unanswered(new, packet, server=server)
        clients = university.usual()["clients"]
        clients[0]["address"] = "127.0.0.98"
        university.write("clients.yaml", {"clients": clients})
        server.reload()
        server.wait_for("reloaded")
        assert new.exchange(packet).code == CHALLENGE
        gone = nas.packet(user.name.encode(), user.password.encode())
        assert university.unanswered(nas, gone, server=server)


def test_what_cannot_change_while_it_runs_is_said_and_stays(university: Site) -> None:
    user = university.staff()
    with university.another("listen.yaml") as server, university.nas(server=server) as nas:
        university.write("listen.yaml", {"listen": [{"udp": "127.0.0.1:1"}]})
        server.reload()
        assert server.wait_for("restart_needed")["key"] == "listen"
        server.wait_for("reloaded")
        assert nas.ask(user.name, user.password).code == CHALLENGE


def test_two_secrets_are_taken_while_one_is_being_replaced(university: Site) -> None:
    user = university.staff()
    clients = university.usual()["clients"]
    clients[0]["secret"] = ["the new secret of the gateway", SECRET]
    with university.another("secrets.yaml", {"clients": clients}) as server:
        with university.nas(server=server) as nas:
            state = nas.ask(user.name, user.password).state
        new = university.foreign("radclient", server=server, secret="the new secret of the gateway")
        assert new.ask(user.name, user.code(), state).code == ACCEPT


def changed(university: Site, **staff: Any) -> dict[str, Any]:
    """The usual policies, the first of them changed."""
    first, *rest = university.usual()["policies"]
    return {"policies": [{**first, **staff}, *rest]}
