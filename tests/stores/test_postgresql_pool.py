"""Where PostgreSQL is, the connections that are held, and its errors in words."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.stores.postgresql_pool import Connections, Place, Trial, is_passing, words
from tests.stores.postgresql import new_url


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://db/radius", "postgresql://db:5432/radius"),
        ("postgresql://radius:hunter2@db:5433/radius?sslmode=require", "postgresql://db:5433/radius"),
        ("postgresql://db/radius?port=5433&password=hunter2", "postgresql://db:5433/radius"),
        ("postgresql://radius@[2001:db8::1]/r", "postgresql://[2001:db8::1]:5432/r"),
        ("postgresql://[::1]:1,two:2,three/r", "postgresql://[::1]:1,two:2,three:5432/r"),
        ("postgresql:///radius", "postgresql:///radius"),
        ("postgresql://radius@/r?host=/run/pg", "postgresql:///r?host=/run/pg"),
        ("postgresql:///r?host=one,two", "postgresql://one:5432,two:5432/r"),
    ],
)
def test_a_place_is_called_by_host_and_database(url: str, name: str) -> None:
    assert str(Place(url, "hunter2")) == name


@given(st.text(min_size=8), st.sampled_from(["postgresql://u:{}@db/r", "postgresql://db/r?password={}"]))
def test_the_name_of_a_place_has_no_password_in_it(password: str, url: str) -> None:
    place = Place(url.format(quote(password, safe="", errors="replace")), None)
    assert str(place) == "postgresql://db:5432/r"


@pytest.mark.parametrize(
    ("repeatable", "committing", "due"),
    [
        (True, False, 104.0),  # some seconds of silence
        (True, True, 104.0),  # it can be done again
        (False, False, 104.0),
        (False, True, 110.0),  # to know is worth a wait
    ],
)
def test_a_try_is_cut_off_when_nothing_was_heard_for_long(repeatable: bool, committing: bool, due: float) -> None:
    assert Trial(200.0, repeatable, 100.0, committing).due() == due


@pytest.mark.parametrize(("heard", "due"), [(100.0, 103.0), (103.0, 104.5), (104.5, 106.0), (105.9, 106.0)])
def test_what_a_login_waits_for_leaves_time_for_another_try_and_ends_by_the_deadline(
    heard: float, due: float
) -> None:
    assert Trial(106.0, True, heard).due() == due


def test_what_no_login_waits_for_goes_on_for_as_long_as_the_server_answers() -> None:
    assert Trial(106.0, False, 200.0).due() == 204.0


SERVER = {
    "57P01": asyncpg.AdminShutdownError,
    "57P02": asyncpg.CrashShutdownError,
    "57P03": asyncpg.CannotConnectNowError,
    "53300": asyncpg.TooManyConnectionsError,
    "40001": asyncpg.SerializationError,
    "40P01": asyncpg.DeadlockDetectedError,
    "25P03": asyncpg.IdleInTransactionSessionTimeoutError,
    "08003": asyncpg.ConnectionDoesNotExistError,
}


@pytest.mark.parametrize("state", SERVER)
def test_what_is_wrong_with_the_moment_may_pass(state: str) -> None:
    error = SERVER[state]("what\nit says")
    assert error.sqlstate == state
    assert is_passing(error)
    assert words(error) == f"what it says (SQLSTATE {state})"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (TimeoutError(), "no answer"),
        (TimeoutError(110, "Connection timed out"), "Connection timed out"),
        (asyncpg.InterfaceError("connection is closed"), "cannot be asked that (InterfaceError)"),
        (asyncpg.TargetServerAttributeNotMatched("no host"), "no host"),
    ],
)
def test_a_server_that_is_not_there_may_come_back(error: Exception, said: str) -> None:
    assert is_passing(error)
    assert words(error) == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            asyncpg.InvalidPasswordError("password authentication failed"),
            "password authentication failed (SQLSTATE 28P01)",
        ),
        (asyncpg.UniqueViolationError('violates "pkey"'), 'violates "pkey" (SQLSTATE 23505)'),
        (
            asyncpg.InvalidTextRepresentationError('invalid input: "hunter2"'),
            "PostgreSQL refused (SQLSTATE 22P02)",
        ),
        (asyncpg.RaiseError("hunter2"), "PostgreSQL refused (SQLSTATE P0001)"),
        (
            asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT"),
            "takes no writes (is it a standby?); name the server that does",
        ),
        (asyncpg.ClientConfigurationError("no such mode"), "no such mode"),
    ],
)
def test_what_is_wrong_with_us_does_not_pass_and_no_value_is_repeated(error: Exception, said: str) -> None:
    assert not is_passing(error)
    assert words(error) == said
    assert "hunter2" not in words(error)


@pytest.mark.parametrize(("oldest", "same"), [(60.0, True), (-1.0, False)])
def test_a_connection_is_used_again_unless_it_was_free_for_too_long(oldest: float, same: bool) -> None:
    place = Place(new_url(), None)

    async def pids() -> list[int]:
        connections = Connections(place, 2, oldest)
        found = []
        for _ in range(2):
            connection = await connections.take(asyncio.get_running_loop().time() + 10)
            found.append(connection.get_server_pid())
            connections.give_back(connection, good=True)
        await connections.close(1)
        return found

    first, second = asyncio.run(pids())
    assert (first == second) is same
