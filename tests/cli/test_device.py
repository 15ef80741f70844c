"""`radius-mfa device`: devices that users came to trust at the running server."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from tests.cli.support import Ran, run_cli, user
from tests.end_to_end.nas import ACCEPT, CALLING_STATION_ID, CHALLENGE, RawNas
from tests.end_to_end.site import CAMPUS, Account, Site, now

_numbers = count(1)


def device(university: Site, *arguments: str) -> Ran:
    return run_cli("--config", university.config, "device", *arguments)


def station() -> str:
    """A device that nobody else has."""
    return f"02-00-00-00-01-{next(_numbers):02X}"


def first_round(nas: RawNas, account: Account, at: str) -> str:
    return nas.ask(account.name, account.password, (CALLING_STATION_ID, at.encode())).code


def trust(university: Site, account: Account, at: str, step: int = 0) -> None:
    """Log in with a code, and ask not to be asked again."""
    with university.nas(CAMPUS) as nas:
        said = (CALLING_STATION_ID, at.encode())
        asked = nas.ask(account.name, account.password, said)
        assert asked.code == CHALLENGE
        code = account.code(now() + step)
        assert nas.ask(account.name, f"{code} trust", said, state=asked.state).code == ACCEPT
        assert first_round(nas, account, at) == ACCEPT


class TestList:
    def test_of_one_user_with_where_it_is_trusted(self, university: Site) -> None:
        account, at = university.staff(), station()
        trust(university, account, at)
        (listed,) = device(university, "list", account.name, "--json").json
        assert set(listed) == {"id", "user_id", "username", "station", "scopes", "client", "created", "until"}
        assert (listed["username"], listed["client"]) == (account.name, "campus")
        assert listed["station"] == f"mac:{at.replace('-', '').lower()}"
        assert listed["scopes"] == ["group:wifi"]
        header, line = device(university, "list", account.name).worked().out.splitlines()
        assert header.split() == ["name", "device", "station", "until", "trusted", "at"]
        assert line.split() == [account.name, listed["id"], listed["station"], listed["until"], "group:wifi"]
        assert university.show(account)["trusted_devices"] == 1

    def test_of_everybody(self, university: Site) -> None:
        accounts = [university.staff(), university.staff()]
        for account in accounts:
            trust(university, account, station())
        names = [each["username"] for each in device(university, "list", "--json").json]
        assert {account.name for account in accounts} <= set(names)

    def test_who_trusts_none(self, config: Path) -> None:
        assert run_cli("device", "list", "alice", "--json", "--config", config).json == []
        assert len(run_cli("device", "list", "--config", config).worked().out.splitlines()) == 1

    def test_by_id(self, university: Site) -> None:
        account = university.staff()
        trust(university, account, station())
        (listed,) = device(university, "list", "--id", university.show(account)["id"], "--json").json
        assert listed["username"] == account.name

    def test_an_id_that_is_not_given_is_a_usage_error(self, config: Path) -> None:
        assert "--id needs a USER" in run_cli("device", "list", "--id", "--config", config).line(2)


class TestRevoke:
    def test_one_is_asked_for_a_code_again_and_the_other_is_not(self, university: Site) -> None:
        account, lost, kept = university.staff(), station(), station()
        trust(university, account, lost)
        trust(university, account, kept, step=1)
        newest, oldest = device(university, "list", account.name, "--json").json
        out = device(university, "revoke", account.name, oldest["id"]).worked().out
        assert out == f"{account.name}: 1 device revoked; TLS sessions ended\n"
        with university.nas(CAMPUS) as nas:
            assert first_round(nas, account, lost) == CHALLENGE
            assert first_round(nas, account, kept) == ACCEPT
        assert device(university, "list", account.name, "--json").json == [newest]

    def test_all_of_them(self, university: Site) -> None:
        account, stations = university.staff(), (station(), station())
        for step, at in zip((0, 1), stations, strict=True):
            trust(university, account, at, step)
        said = device(university, "revoke", account.name, "--all", "--json").json
        assert (said["username"], said["revoked"]) == (account.name, 2)
        with university.nas(CAMPUS) as nas:
            assert [first_round(nas, account, at) for at in stations] == [CHALLENGE, CHALLENGE]

    def test_a_reset_revokes_them_too_and_says_so(self, university: Site) -> None:
        account, at = university.staff(), station()
        trust(university, account, at)
        assert "1 token, 1 trusted device" in user(university, "reset", account.name).worked().out
        assert device(university, "list", account.name, "--json").json == []

    @pytest.mark.parametrize("given", ["0123456789abcdef", "\n", "\udcff"])
    def test_what_is_not_there_is_one_line(self, config: Path, given: str) -> None:
        line = run_cli("device", "revoke", "alice", given, "--config", config).line(1)
        assert line.startswith("Alice: trusts no device ")
        assert line.isprintable()

    def test_all_of_none_ends_what_else_spares_the_code(self, config: Path) -> None:
        ran = run_cli("device", "revoke", "alice", "--all", "--config", config).worked()
        assert ran.out == "Alice: 0 devices revoked; TLS sessions ended\n"

    def test_another_users_device_is_not_theirs(self, university: Site) -> None:
        account, other = university.staff(), university.staff()
        trust(university, account, station())
        (listed,) = device(university, "list", account.name, "--json").json
        assert "trusts no device" in device(university, "revoke", other.name, listed["id"]).line(1)
        assert device(university, "list", account.name, "--json").json == [listed]

    @pytest.mark.parametrize("arguments", [[], ["0123456789abcdef", "--all"]])
    def test_it_is_one_or_all(self, config: Path, arguments: list[str]) -> None:
        ran = run_cli("device", "revoke", "alice", *arguments, "--config", config)
        assert "give a DEVICE, or --all" in ran.line(2)
