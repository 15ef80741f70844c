"""Where the metrics are fetched: by whom says little for long, and where there are no descriptors."""

from __future__ import annotations

import http.client
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread
from threading import enumerate as enumerate_threads

import pytest
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bench.rig import cpu
from radius_mfa.observe import endpoint
from radius_mfa.observe.endpoint import MetricsEndpoint
from radius_mfa.observe.health import DIRECTORY, STORE
from radius_mfa.observe.metrics import Counts
from radius_mfa.observe.vitals import Stage, Vitals
from radius_mfa.transports.sockets import open_tcp

PROGRAM = """
import sys
from radius_mfa.observe.endpoint import MetricsEndpoint
from radius_mfa.transports.sockets import open_tcp
from radius_mfa.observe.metrics import Counts
from radius_mfa.observe.vitals import Vitals
endpoint = MetricsEndpoint(open_tcp("127.0.0.1", 0), Counts(), Vitals("server", dict))
print(endpoint.address[1], flush=True)
sys.stdin.read()
endpoint.close()
"""

INHERITED = """
import socket, sys
from radius_mfa.observe.endpoint import MetricsEndpoint
from radius_mfa.observe.metrics import Counts
from radius_mfa.observe.vitals import Vitals
endpoint = MetricsEndpoint(socket.socket(fileno=int(sys.argv[1])), Counts(), Vitals("server", dict))
print("ready", flush=True)
sys.stdin.read()
"""
_PATIENCE = 30.0  # seconds


def healthy() -> Vitals:
    """Those of a server that does what it is for."""
    vitals = Vitals("server", dict)
    vitals.stage = Stage.SERVING
    return vitals


def answer_to(address: tuple[str, int], method: str, path: str) -> tuple[int, str, str | None]:
    """Status, text, and the methods that there are where this one is none."""
    connection = http.client.HTTPConnection(*address, timeout=_PATIENCE)
    try:
        connection.request(method, path)
        reply = connection.getresponse()
        return reply.status, reply.read().decode(), reply.getheader("Allow")
    finally:
        connection.close()


def asked(address: tuple[str, int]) -> socket.socket:
    """A connection on which the metrics were asked for."""
    scraper = socket.create_connection(address, _PATIENCE)
    scraper.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    return scraper


def is_answered(scraper: socket.socket) -> bool:
    with scraper:
        return scraper.recv(15).startswith(b"HTTP/1.0 200")


def inheriting(sock: socket.socket) -> subprocess.Popen[str]:
    """A process that answers on a socket of ours."""
    command = [sys.executable, "-c", INHERITED, str(sock.fileno())]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[sock.fileno()]
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_answers_where_its_socket_listens(host: str) -> None:
    it = MetricsEndpoint(open_tcp(host, 0), Counts(), healthy())
    try:
        assert it.address[0] == host
        assert is_answered(asked(it.address))
    finally:
        it.close()
    with pytest.raises(ConnectionRefusedError):
        asked(it.address)


def test_an_address_that_somebody_has_is_an_error() -> None:
    with open_tcp("127.0.0.1", 0) as taken, pytest.raises(OSError, match="Address already in use"):
        open_tcp("127.0.0.1", taken.getsockname()[1])


def test_who_connects_before_it_is_made_is_answered_once_it_is() -> None:
    sock = open_tcp("127.0.0.1", 0)
    early = asked(sock.getsockname())
    it = MetricsEndpoint(sock, Counts(), healthy())
    try:
        assert is_answered(early)
    finally:
        it.close()


def test_one_that_is_closed_leaves_the_socket_to_the_others() -> None:
    sock = open_tcp("127.0.0.1", 0)
    first, second = MetricsEndpoint(sock.dup(), Counts(), healthy()), MetricsEndpoint(sock, Counts(), healthy())
    try:
        first.close()
        assert is_answered(asked(second.address))
    finally:
        second.close()


def test_of_two_on_one_socket_none_waits_for_a_connection_that_the_other_has_taken() -> None:
    sock = open_tcp("127.0.0.1", 0)
    both = MetricsEndpoint(sock.dup(), Counts(), healthy()), MetricsEndpoint(sock, Counts(), healthy())
    for _ in range(50):
        assert is_answered(asked(both[0].address))
    closing = [Thread(target=each.close) for each in both]
    for each in closing:
        each.start()
    for each in closing:
        each.join(_PATIENCE)
    assert not any(each.is_alive() for each in closing)


def test_who_comes_after_one_that_was_killed_answers_on_the_same_socket() -> None:
    with open_tcp("127.0.0.1", 0) as sock:
        for _ in range(2):
            with inheriting(sock) as process:
                assert is_answered(asked(sock.getsockname()))
                process.kill()
        meanwhile = asked(sock.getsockname())
        with inheriting(sock) as process:
            assert is_answered(meanwhile)
            process.communicate("")
            assert process.returncode == 0


def test_without_descriptors_it_waits_for_one_at_rest() -> None:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        most = max(map(int, os.listdir(f"/proc/{process.pid}/fd"))) + 1
        before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, before[1]))
        with socket.create_connection(("127.0.0.1", port)) as scraper:
            scraper.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            spent = cpu(process.pid)
            scraper.settimeout(2.0)
            try:
                answer = scraper.recv(15)
            except TimeoutError:
                answer = b""
            assert answer == b""
            assert cpu(process.pid) - spent < 0.5  # it asks for the connection now and then, and not all the time
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)
            scraper.settimeout(30.0)
            assert scraper.recv(15).startswith(b"HTTP/1.0 200")
        process.communicate("")
    assert process.returncode == 0


class Long(Collector):
    """More than the kernel holds for whoever reads nothing."""

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("long", "x" * (8 << 20), value=1)


@contextmanager
def patient(collector: Collector, **seconds: float) -> Iterator[MetricsEndpoint]:
    """One that waits for whoever is slow, unless somebody wants their place or `seconds` say how long."""
    vitals, waits = healthy(), {"patience": 300.0, "deadline": 300.0}
    it = MetricsEndpoint(open_tcp("127.0.0.1", 0), collector, vitals, **waits | seconds)
    try:
        yield it
    finally:
        it.close()


def test_a_whole_request_has_to_be_there_in_time_however_often_an_octet_comes() -> None:
    with patient(Counts(), patience=0.2) as it, socket.create_connection(it.address, _PATIENCE) as scraper:
        scraper.sendall(b"GET /healthz HTTP/1.0\r\n")
        assert scraper.recv(1) == b""


def test_an_answer_has_to_be_taken_in_time() -> None:
    before = set(enumerate_threads())
    with patient(Long(), deadline=1.0) as it, asked(it.address) as scraper:
        assert scraper.recv(15).startswith(b"HTTP/1.0 200")
        for each in set(enumerate_threads()) - before:
            if each.name != "metrics":
                each.join(_PATIENCE)
                assert not each.is_alive()


def drip(address: tuple[str, int], over: Event) -> None:
    """Say one letter after another, never a whole request; connect anew at once when cut off."""
    while not over.is_set():
        with suppress(OSError), socket.create_connection(address, _PATIENCE) as connection:
            connection.settimeout(0.1)
            while not over.is_set():
                connection.sendall(b"G")
                with suppress(TimeoutError):
                    connection.recv(1)


def test_neither_letters_now_and_then_nor_answers_not_taken_keep_out_who_asks_whether_all_is_well() -> None:
    over = Event()
    with patient(Long(), to_ask=0.4, to_take=1.0) as it, ExitStack() as stack:  # for a machine that is busy
        for _ in range(endpoint._MOST_AT_ONCE):
            stack.enter_context(asked(it.address)).recv(15)
        drippers = [Thread(target=drip, args=(it.address, over)) for _ in range(40)]
        for each in drippers:
            each.start()
        try:
            answers = [answer_to(it.address, "GET", "/healthz") for _ in range(5)]
        finally:
            over.set()
            for each in drippers:
                each.join(_PATIENCE)
    assert answers == [(200, "ok\n", None)] * 5


def test_the_newest_are_listened_to_and_no_more_of_them_than_there_is_room_for() -> None:
    with patient(Counts()) as it, ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(it.address, _PATIENCE)) for _ in range(60)]
        assert answer_to(it.address, "GET", "/healthz")[0] == 200
        kept = endpoint._MOST_AT_ONCE - 1  # one has made room for the question
        for each in silent[:-kept]:
            assert each.recv(1) == b""
        for each in silent[-kept:]:
            each.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert is_answered(each)


# --- whether all is well ----------------------------------------------------------------------------


def test_health_is_a_word_and_what_keeps_from_it_a_line_each() -> None:
    works = {DIRECTORY: True, STORE: True}
    vitals = Vitals("server", lambda: works)
    it = MetricsEndpoint(open_tcp("127.0.0.1", 0), Counts(), vitals)
    try:
        assert answer_to(it.address, "GET", "/healthz") == (200, "ok\n", None)
        assert answer_to(it.address, "GET", "/readyz") == (503, "server: it is starting\n", None)
        vitals.stage = Stage.SERVING
        assert answer_to(it.address, "GET", "/readyz?verbose") == (200, "ok\n", None)
        works[STORE] = False
        vitals.stage = Stage.STOPPING
        said = "server: it is stopping\nstore: it does not work\n"
        assert answer_to(it.address, "GET", "/readyz") == (503, said, None)
        assert answer_to(it.address, "HEAD", "/readyz") == (503, "", None)
        assert answer_to(it.address, "GET", "/healthz")[0] == 200
    finally:
        it.close()


def test_there_are_three_paths_and_two_methods() -> None:
    """RFC 9110 §15.5.6: who is told that a method is none is told which there are; §9.3.2 for HEAD."""
    it = MetricsEndpoint(open_tcp("127.0.0.1", 0), Counts(), healthy())
    try:
        for path in ("/metrics", "/healthz", "/readyz"):
            assert answer_to(it.address, "GET", path)[0] == 200
            assert answer_to(it.address, "HEAD", path) == (200, "", None)
            assert answer_to(it.address, "POST", path)[::2] == (405, "GET, HEAD")
        for path in ("/", "/healthz/", "/metrics/x"):
            assert answer_to(it.address, "GET", path)[0] == 404
        assert "process_cpu_seconds_total" in answer_to(it.address, "GET", "/metrics?and=more")[1]
    finally:
        it.close()


def test_without_metrics_there_is_health_alone() -> None:
    it = MetricsEndpoint(open_tcp("127.0.0.1", 0), None, healthy())
    try:
        assert answer_to(it.address, "GET", "/readyz") == (200, "ok\n", None)
        assert answer_to(it.address, "GET", "/metrics") == (404, "/healthz and /readyz are all there is\n", None)
    finally:
        it.close()
