"""The portal under load: requests a second, CPU, memory.

A page that nobody has signed in for, a whole signing in (a page, a password that OpenLDAP checks, a TOTP code),
and the first page of somebody who has signed in.  Browsers are sockets that each have one request going.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

from bench.directory import slapd
from bench.load import code
from bench.machine import Machine, openldap_version, this_machine
from bench.rig import Site, cpu, prepared, resident
from bench.running import Running, running
from bench.spread import Spread, spread
from tests.peers.ports import free_port

BROWSERS = 16
_PAGE, _SIGN_IN, _HOME = NAMES = ("a page", "a signing in", "the first page")
_HIDDEN = re.compile(rb'<input type="hidden" name="(\w+)" value="([^"]*)">')
_COOKIE = re.compile(rb"(?im)^set-cookie: (\w+)=([^;]*);")
_LENGTH = re.compile(rb"(?im)^content-length: (\d+)")

_YAML = """
portal: {{listen: "127.0.0.1:{port}", url: "http://127.0.0.1:{port}"}}
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """`runs` of so many `pages`, and of so many people who sign in."""

    runs: int
    pages: int
    people: int


FULL = Scale(runs=5, pages=4000, people=400)
QUICK = Scale(runs=2, pages=500, people=60)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one kind of request: how many a second, CPU microseconds for each, of the portal alone."""

    rate: Spread
    cpu: Spread


@dataclass(frozen=True, slots=True)
class Report:
    """As in the JSON.  `memory`: MB (10⁶ octets) at the start, and after each run.  `is_whole`: all went well."""

    machine: Machine
    openldap: str
    runs: int
    pages_a_run: int
    people_a_run: int
    browsers: int
    figures: Mapping[str, Figures]
    memory: Sequence[float]
    is_whole: bool


class Browser:
    """One connection to the portal, and one browser's cookies."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = f"127.0.0.1:{port}"
        self._reader, self._writer = reader, writer
        self.cookies: dict[str, str] = {}

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        return await self._ask("GET", path, b"")

    async def post(self, path: str, page: bytes, **fields: str) -> tuple[int, bytes]:
        """Send the form of a page, with what is hidden in it."""
        hidden = {name.decode(): value.decode() for name, value in _HIDDEN.findall(page)}
        return await self._ask("POST", path, urlencode(hidden | fields).encode())

    async def sign_in(self, number: int) -> bool:
        """Whether the user of that number was let in."""
        self.cookies = {}
        _, page = await self.get("/sign-in")
        _, page = await self.post("/sign-in", page, username=f"u{number}", password=f"pw{number}")
        status, _ = await self.post("/sign-in/code", page, code=code(number).decode())
        return status == 303 and "visit" in self.cookies

    def close(self) -> None:
        self._writer.close()

    async def _ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nCookie: {cookies}\r\n"
        if body:
            head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(head.encode() + b"\r\n" + body)
        said = await self._reader.readuntil(b"\r\n\r\n")
        for name, value in _COOKIE.findall(said):
            self.cookies[name.decode()] = value.decode()
        length = _LENGTH.search(said)
        return int(said.split(b" ", 2)[1]), await self._reader.readexactly(int(length[1]) if length else 0)


def measure(scale: Scale) -> Report:
    """Start OpenLDAP and the portal, load it, stop both."""
    with _portal(scale.runs * scale.people) as portal:
        return asyncio.run(_measured(portal, scale))


async def _measured(portal: Running, scale: Scale) -> Report:
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    memory, whole = [resident(portal.pid)], True
    port = portal.port
    browsers = [Browser(port, *await asyncio.open_connection("127.0.0.1", port)) for _ in range(BROWSERS)]
    for run in range(scale.runs):
        people = iter(range(run * scale.people, (run + 1) * scale.people))

        async def page(browser: Browser) -> bool:
            browser.cookies.pop("visit", None)  # of the run before
            return (await browser.get("/sign-in"))[0] == 200

        async def sign_in(browser: Browser, people: Iterator[int] = people) -> bool:
            return await browser.sign_in(next(people))

        async def home(browser: Browser) -> bool:
            return (await browser.get("/"))[0] == 200

        acts = {_PAGE: (scale.pages, page), _SIGN_IN: (scale.people, sign_in), _HOME: (scale.pages, home)}
        for name, act in acts.items():
            signed_in = [each for each in browsers if "visit" in each.cookies]
            rate, spent, right = await _load(portal.pid, signed_in if name is _HOME else browsers, *act)
            rates[name].append((rate, spent))
            whole = whole and right
        memory.append(resident(portal.pid))
    for browser in browsers:
        browser.close()
    figures = {
        name: Figures(spread([rate for rate, _ in each]), spread([spent for _, spent in each]))
        for name, each in rates.items()
    }
    return Report(
        this_machine(), openldap_version(), scale.runs, scale.pages, scale.people, BROWSERS, figures, memory, whole
    )


async def _load(
    pid: int, browsers: Sequence[Browser], count: int, act: Callable[[Browser], Awaitable[bool]]
) -> tuple[float, float, bool]:
    """So many a second, CPU microseconds for each, and whether all went well."""
    left, right = iter(range(count)), True

    async def browse(browser: Browser) -> None:
        nonlocal right
        for _ in left:
            right = await act(browser) and right

    began, spent = time.perf_counter(), cpu(pid)
    await asyncio.gather(*map(browse, browsers))
    return count / (time.perf_counter() - began), (cpu(pid) - spent) / count * 1e6, right


@contextmanager
def _portal(users: int) -> Iterator[Running]:
    with ExitStack() as stack:
        directory = stack.enter_context(slapd(users))
        config = stack.enter_context(prepared(users, directory, Site())).config
        port = free_port()
        config.write_text(config.read_text() + _YAML.format(port=port))
        command = [sys.executable, "-m", "radius_mfa", "--config", str(config), "portal"]
        yield stack.enter_context(
            running(command, lambda line: port if '"ready"' in line else None, lambda _: True)
        )


def lines(report: Report) -> Iterator[str]:
    """The figures for people."""
    yield f"machine   {report.machine}"
    yield f"load      {report.runs} runs of {report.pages_a_run} pages, {report.people_a_run} signings in"
    yield f"          {report.browsers} browsers at once, OpenLDAP {report.openldap}"
    yield ""
    yield f"{'':<24}{'a second':<24}CPU, µs each"
    for name, each in report.figures.items():
        yield f"{name:<24}{each.rate!s:<24}{each.cpu}"
    yield f"{'MB':<24}{', '.join(f'{each:.1f}' for each in report.memory)}"
