"""Which worker a request belongs to: whichever of them is asked says the same."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.homes import home_of, state_of
from radius_mfa.core.messages import SESSION, AccessRequest, Attribute, Nas, Profile
from tests.adapters import COMMA, SIX, VPN, SeededEntropy, access_request, new_sealer

NASES = st.sampled_from([VPN, COMMA, SIX])
WORKERS = st.integers(2, 64)
SESSIONS = st.sampled_from(sorted(SESSION))
PORT = (int(Attribute.NAS_PORT), (7).to_bytes(4, "big"))
EAP = ((int(Attribute.EAP_MESSAGE), b"\x02\x01\x00\x0a\x01alice"),)

# The same question, asked in a process that hashes differently.
ANOTHER = """
from radius_mfa.core.homes import home_of
from tests.adapters import COMMA, access_request
print([home_of(access_request(COMMA, f"user {n}", "secret,1"), 7) for n in range(50)])
"""


def line(
    user_name: str = "alice",
    password: str | None = "correct horse,123456",
    *,
    nas: Nas = COMMA,
    station: bytes | None = b"02-00-00-00-00-01",
    extra: tuple[tuple[int, bytes], ...] = (),
    arrived: float = 1000.0,
    source: str = "192.0.2.1:1645",
) -> AccessRequest:
    """Password and code in one."""
    return access_request(nas, user_name, password, station=station, extra=extra, arrived=arrived, source=source)


# --- with a State ---------------------------------------------------------------------------------


@given(nas=NASES, workers=WORKERS, seed=st.integers(0, 1000), data=st.data())
def test_a_state_that_names_its_worker_is_at_home_there_and_nowhere_else(
    nas: Nas, workers: int, seed: int, data: st.DataObject
) -> None:
    worker = data.draw(st.integers(0, workers - 1))
    state = state_of(worker, SeededEntropy(seed))

    assert home_of(access_request(nas, state=state), workers) == worker
    assert (
        home_of(access_request(nas, user_name=None, password=None, station=None, state=state), workers) == worker
    )


def test_no_two_states_are_alike_and_each_has_room_for_itself() -> None:
    """RFC 2865 §5.24: a State is one attribute, 253 octets at most."""
    entropy = SeededEntropy()
    states = {state_of(number % 256, entropy) for number in range(1000)}

    assert len(states) == 1000
    assert {len(state) for state in states} == {19}


@given(worker=st.integers(2, 255), workers=st.integers(1, 2))
def test_a_worker_that_there_is_none_of_is_nobodys_home(worker: int, workers: int) -> None:
    """There were more before the server was started anew: whoever gets it says that it is not known."""
    assert home_of(access_request(state=state_of(worker, SeededEntropy())), workers) is None


def test_a_worker_has_a_number_that_is_one_octet() -> None:
    assert home_of(access_request(state=state_of(255, SeededEntropy())), 256) == 255
    with pytest.raises(ValueError, match="range"):
        state_of(256, SeededEntropy())


@given(nas=NASES, text=st.binary(max_size=60))
def test_a_sealed_state_has_no_home(nas: Nas, text: bytes) -> None:
    """What it says is in it and in the store: any worker goes on with it."""
    state = new_sealer().seal("state", text)

    assert home_of(access_request(nas, state=state), 256) is None


@given(nas=NASES, state=st.binary(max_size=253), workers=WORKERS)
def test_a_state_that_somebody_made_up_names_a_worker_there_is_or_none(
    nas: Nas, state: bytes, workers: int
) -> None:
    home = home_of(access_request(nas, state=state), workers)

    assert home is None or (home in range(workers) and state[2] == home and len(state) == 19)


@given(cut=st.integers(0, 18), more=st.binary(min_size=1, max_size=20))
def test_a_state_of_another_length_is_none_of_ours(cut: int, more: bytes) -> None:
    state = state_of(1, SeededEntropy())

    assert home_of(access_request(state=state[:cut]), 2) is None
    assert home_of(access_request(state=state + more), 2) is None


def test_of_two_states_the_first_decides() -> None:
    """RFC 2865 §5.44 allows one; what there is more of is refused later, by one worker."""
    entropy = SeededEntropy()
    second = (int(Attribute.STATE), state_of(1, entropy))

    assert home_of(access_request(state=state_of(0, entropy), extra=(second,)), 2) == 0


# --- without ------------------------------------------------------------------------------------


@given(nas=st.sampled_from([COMMA, SIX]), user=st.text(max_size=20), workers=WORKERS, words=st.lists(st.text()))
def test_one_line_sent_again_has_one_home_whatever_the_password(
    nas: Nas, user: str, workers: int, words: list[str]
) -> None:
    """A new code, a new Request Authenticator (it is nowhere in a request), another port: the same session."""
    homes = {
        home_of(line(user, word, nas=nas, arrived=1000.0 + at, source=f"192.0.2.1:{at}"), workers)
        for at, word in enumerate([None, "", *words])
    }

    assert len(homes) == 1
    assert homes <= set(range(workers))


@given(user=st.text(max_size=20), octets=st.binary(max_size=20))
def test_what_differs_from_one_sending_to_the_next_changes_no_home(user: str, octets: bytes) -> None:
    """RFC 2865 §5.33: Proxy-State is each proxy's own; RFC 2869 §5.3: Event-Timestamp says when."""
    changing = ((int(Attribute.PROXY_STATE), octets), (int(Attribute.EVENT_TIMESTAMP), octets))

    assert home_of(line(user, extra=changing), 7) == home_of(line(user), 7)


@given(user=st.text(max_size=20), session=SESSIONS, octets=st.binary(min_size=1, max_size=20))
def test_each_attribute_that_says_which_session_it_is_gives_a_home(user: str, session: int, octets: bytes) -> None:
    """RFC 2865 §5.5, §5.31, RFC 2866 §5.5, RFC 2869 §5.17."""
    assert home_of(line(user, station=None, extra=((int(session), octets),)), 7) in range(7)


@given(user=st.text(max_size=20), octets=st.binary(max_size=20))
def test_without_a_session_there_is_no_home(user: str, octets: bytes) -> None:
    """Nobody knows whether it is the same login: then it is another one wherever it comes."""
    nas_address = (int(Attribute.NAS_IP_ADDRESS), octets)

    assert home_of(line(user, station=None, extra=(nas_address,)), 7) is None


@given(user=st.text(max_size=20), workers=WORKERS)
def test_where_the_code_is_asked_for_a_login_begins_anywhere(user: str, workers: int) -> None:
    assert home_of(line(user, nas=VPN), workers) is None


@given(
    nas=NASES,
    other=NASES,
    workers=WORKERS,
    station=st.binary(min_size=1, max_size=20),
    eap=st.lists(st.binary(max_size=253), min_size=1, max_size=3),
)
def test_eap_begins_with_the_worker_of_its_device_whichever_nas_and_user_it_comes_with(
    nas: Nas, other: Nas, workers: int, station: bytes, eap: list[bytes]
) -> None:
    """That one remembers its TLS session; also where the profile has the code come with the password."""
    pieces = [(int(Attribute.EAP_MESSAGE), piece) for piece in eap]
    home = home_of(access_request(nas, "anonymous", None, station=station, extra=pieces), workers)

    assert home in range(workers)
    assert home_of(access_request(other, "alice", None, station=station, extra=EAP), workers) == home


def test_a_device_has_one_home_however_a_nas_writes_its_address() -> None:
    """RFC 3580 §3.21 asks for 00-10-A4-23-19-C0; not all do that."""
    written = (b"00-10-A4-23-19-C0", b"00:10:a4:23:19:c0", b"0010.a423.19c0", b" 0010a42319c0 ")
    homes = {home_of(access_request(password=None, station=each, extra=EAP), 64) for each in written}

    assert len(homes) == 1


@pytest.mark.parametrize("station", [None, b""])
def test_eap_of_a_device_that_nothing_is_said_of_begins_anywhere(station: bytes | None) -> None:
    for nas in (VPN, COMMA):
        assert home_of(access_request(nas, password=None, station=station, extra=(PORT, *EAP)), 7) is None


@given(nas=NASES, worker=st.integers(0, 6))
def test_eap_with_a_state_goes_on_with_the_worker_that_gave_it(nas: Nas, worker: int) -> None:
    """... and anywhere, if there is no such worker any more."""
    state = state_of(worker, SeededEntropy())

    assert home_of(access_request(nas, password=None, state=state, extra=EAP), 7) == worker
    assert home_of(access_request(nas, password=None, state=state, extra=EAP), worker) is None


def test_devices_spread_over_all_workers() -> None:
    stations = [b"02-00-00-00-%02X-%02X" % divmod(number, 256) for number in range(400)]
    homes = [home_of(access_request(password=None, station=each, extra=EAP), 4) for each in stations]

    assert all(60 < homes.count(worker) < 140 for worker in range(4))


def test_lines_spread_over_all_workers_by_user_session_and_client() -> None:
    users = [home_of(line(f"user {number}"), 4) for number in range(400)]
    ports = [home_of(line(extra=((PORT[0], number.to_bytes(4, "big")),)), 4) for number in range(400)]
    clients = [home_of(line(nas=Nas(f"nas {number}", Profile("x", suffix=","))), 4) for number in range(400)]

    for homes in (users, ports, clients):
        assert all(60 < homes.count(worker) < 140 for worker in range(4))


@pytest.mark.parametrize("hashing", ["0", "1", "random"])
def test_every_process_says_the_same(hashing: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER],
        capture_output=True,
        check=True,
        env={"PYTHONHASHSEED": hashing, "PYTHONPATH": ":".join(sys.path)},
        timeout=30,
    )

    here = [home_of(access_request(COMMA, f"user {n}", "secret,2"), 7) for n in range(50)]
    assert done.stdout.decode() == f"{here}\n"
