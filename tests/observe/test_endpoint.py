"""Where the metrics are fetched: by whom says little for long, and where there are no descriptors."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys

from bench.rig import cpu
from radius_mfa.observe import endpoint
from radius_mfa.observe.metrics import Counts

PROGRAM = """
import sys
from radius_mfa.observe.endpoint import MetricsEndpoint
from radius_mfa.observe.metrics import Counts
endpoint = MetricsEndpoint("127.0.0.1", 0, Counts())
print(endpoint.address[1], flush=True)
sys.stdin.read()
endpoint.close()
"""


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


def test_who_sends_an_octet_now_and_then_is_cut_off() -> None:
    it = endpoint.MetricsEndpoint("127.0.0.1", 0, Counts(), deadline=0.2)
    try:
        with socket.create_connection(it.address) as scraper:
            scraper.sendall(b"G")
            scraper.settimeout(endpoint._PATIENCE - 1)  # in which nobody is taken for gone
            assert scraper.recv(1) == b""
    finally:
        it.close()
