"""Debian's Chromium, and people who sit before it.

    with Chromium() as chromium, Person(chromium, "https://mfa.example.org", language="ja") as person:
        person.goes_to("/")
        person.types("Password", "pw0")
        person.presses("Sign in")
        assert person.sees("Your factors")
    assert person.complaints == []

Playwright drives it from a thread with a loop of its own, so that a test may run another, or let several people
act at once from several threads.  The browser resolves no name: no page reaches anybody who is not on loopback.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Coroutine
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import yaml
from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, Route, async_playwright

_PATIENCE = 20.0  # seconds that a loaded machine may take for one act
_START = 60.0  # and to start the browser, or to end it
_TALLEST_TAB_ORDER = 300  # elements; a page has fewer

_LOCALES = {"en": "en-GB", "ja": "ja-JP"}
_HEIGHT = 800
_FOLDER = Path(__file__).resolve().parents[2] / "build" / "screenshots"

T = TypeVar("T")
Act = Coroutine[Any, Any, T]


class Chromium:
    """One browser, headless, from `__enter__` to `__exit__`; each `Person` has cookies of their own in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chromium")

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._playwright = self.do(async_playwright().start(), _START)
            self.browser = self.do(self._launched(), _START)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.do(self.browser.close(), _START)
        finally:
            self._end()

    def do(self, act: Act[T], patience: float = 2 * _PATIENCE) -> T:
        """What comes of it, done by the thread of the browser."""
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(patience)

    async def _launched(self) -> Browser:
        where = shutil.which("chromium")
        assert where is not None, "Chromium is not installed: apt-get install chromium"
        options = [
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--disable-dev-shm-usage",
            "--disable-gpu",
        ]
        return await self._playwright.chromium.launch(executable_path=where, args=options)

    def _end(self) -> None:
        try:
            if hasattr(self, "_playwright"):
                self.do(self._playwright.stop(), _START)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_START)
            self._loop.close()


class Person:
    """Somebody with a browser window on the site `url`, from `__enter__` to `__exit__`.

    `width`: of the window, in CSS pixels.  `language`: `en` or `ja`, which the browser asks for.  They act by what
    they read: labels, and names of buttons and links, whole.
    """

    def __init__(
        self,
        chromium: Chromium,
        url: str,
        *,
        width: int = 1280,
        language: str = "en",
        javascript: bool = True,
        ignore_https_errors: bool = False,
    ) -> None:
        self.url = url
        self._chromium = chromium
        self._width, self._language = width, language
        self._usual: dict[str, Any] = {
            "base_url": url,
            "locale": _LOCALES[language],
            "viewport": {"width": width, "height": _HEIGHT},
            "ignore_https_errors": ignore_https_errors,
            "reduced_motion": "reduce",
        }
        self._javascript = javascript
        self._messages: list[tuple[str, str]] = []  # the address it is about, and the text
        self._refused: set[str] = set()
        self._examiner: Page | None = None
        self._examined_html = ""
        self.answer: Response | None = None  # the last one that was a page: status and headers

    def __enter__(self) -> Self:
        self._chromium.do(self._sit_down())
        return self

    def __exit__(self, *_: object) -> None:
        self._chromium.do(self._leave())

    async def _leave(self) -> None:
        if self._examiner is not None:
            await self._examiner.context.close()
        await self._context.close()

    async def _sit_down(self) -> None:
        self._context = await self._chromium.browser.new_context(
            **self._usual, java_script_enabled=self._javascript
        )
        self._context.set_default_timeout(_PATIENCE * 1000)
        self._context.on("console", self._note)
        self._context.on("weberror", lambda error: self._messages.append(("", str(error.error))))
        self._context.on("request", self._note_request)
        self._context.on("response", self._note_response)
        self._page = await self._context.new_page()

    # --- what they do ---------------------------------------------------------------------------

    def goes_to(self, path: str) -> None:
        """Type an address; the page is there afterwards, as after all that leads to another."""
        self.does(lambda page: page.goto(path))

    def goes_back(self) -> None:
        """The browser's own button."""
        self.does(lambda page: page.go_back())

    def types(self, label: str, text: str) -> None:
        """Into the field that is called so, in place of what stood there."""
        self.does(lambda page: page.get_by_label(label, exact=True).fill(text))

    def ticks(self, label: str) -> None:
        """A box or a choice."""
        self.does(lambda page: page.get_by_label(label, exact=True).check())

    def chooses(self, label: str, option: str) -> None:
        """Of a list."""
        self.does(lambda page: page.get_by_label(label, exact=True).select_option(label=option))

    def presses(self, name: str, *, stays: bool = False) -> None:
        """A button; `stays`: it leads to no other page."""
        self._clicks("button", name, stays)

    def follows(self, name: str, *, stays: bool = False, last: bool = False) -> None:
        """A link; `last`: that of several."""
        self._clicks("link", name, stays, last)

    def _clicks(self, role: Any, name: str, stays: bool, last: bool = False) -> None:
        async def clicked(page: Page) -> None:
            found = page.get_by_role(role, name=name, exact=True)
            await (found.last if last else found).click()

        self.does(clicked if stays else lambda page: _leading_on(page, clicked(page)))

    def does(self, act: Callable[[Page], Act[T]]) -> T:
        """Whatever else Playwright can do with the page."""
        return self._chromium.do(act(self._page))

    # --- what they do with the keyboard alone ---------------------------------------------------

    def tab_order(self) -> list[str]:
        """The accessible names of all that the Tab key reaches, from the first to the last."""

        async def walked(page: Page) -> list[str]:
            for _ in range(_TALLEST_TAB_ORDER):  # to the end of the page, from wherever we are
                await page.keyboard.press("Tab")
                if await _focused(page) is None:
                    break
            names: list[str] = []
            while len(names) < _TALLEST_TAB_ORDER:
                await page.keyboard.press("Tab")
                name = await _focused(page)
                if name is None:
                    break
                names.append(name)
            return names

        return self.does(walked)

    def reaches(self, name: str) -> None:
        """Press Tab until that is focused; an error with all that were, if it never is."""

        async def reached(page: Page) -> list[str] | None:
            passed: list[str] = []
            rounds = 0
            while rounds < 2:
                await page.keyboard.press("Tab")
                focused = await _focused(page)
                if focused == name:
                    return None
                rounds += focused is None
                passed.append(focused or "(nothing)")
            return passed

        passed = self.does(reached)
        assert passed is None, f"Tab does not reach {name!r}, but {passed}"

    def keys(self, text: str) -> None:
        """Type into what is focused, key by key."""
        self.does(lambda page: page.keyboard.type(text))

    def hits(self, key: str = "Enter", *, stays: bool = False) -> None:
        """One key; `stays`: it leads to no other page."""

        async def hit(page: Page) -> None:
            await page.keyboard.press(key)

        self.does(hit if stays else lambda page: _leading_on(page, hit(page)))

    # --- what they see --------------------------------------------------------------------------

    @property
    def title(self) -> str:
        return self.does(lambda page: page.title())

    @property
    def path(self) -> str:
        """Where they are, query and fragment included."""
        return self._page.url.removeprefix(self.url)

    def reads(self) -> str:
        """The visible text of `main`, its lines as they are shown."""
        return self.does(lambda page: page.locator("main").inner_text())

    def sees(self, text: str) -> bool:
        """Whether it can be read on the page, however the lines are broken."""
        shown = self.does(lambda page: page.locator("body").inner_text())
        return _in_one_line(text) in _in_one_line(shown)

    def waits_for(self, text: str) -> None:
        """Until it can be read, where a script shows it."""
        self.does(lambda page: page.get_by_text(text).first.wait_for())

    def is_wide(self) -> bool:
        """Whether the page has to be scrolled sideways."""
        overflow: int = self.does(
            lambda page: page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        )
        return overflow > 0

    def cookies(self) -> dict[str, dict[str, Any]]:
        """By name; their attributes as Playwright has them."""
        return {str(each["name"]): dict(each) for each in self._chromium.do(self._context.cookies())}

    def screenshot(self, name: str) -> Path:
        """The whole page, as a PNG among the artefacts."""
        folder = Path(os.environ.get("RADIUS_MFA_SCREENSHOTS", _FOLDER))
        path = folder / f"{name}-{self._width}-{self._language}.png"
        self.does(lambda page: page.screenshot(path=path, full_page=True, animations="disabled"))
        return path

    def accessibility(self) -> list[str]:
        """What axe finds wrong with the page as it stands: the rule, its text, and where."""
        return self._chromium.do(self._examined())

    async def _examined(self) -> list[str]:
        # In a window of its own: where the person's runs no scripts or forbids foreign ones, axe has to.
        self._examined_html = await self._page.content()
        if self._examiner is None:
            context = await self._chromium.browser.new_context(**self._usual, bypass_csp=True)
            self._examiner = await context.new_page()
            await self._examiner.route("**/*", self._same)
        await self._examiner.goto(self._page.url)
        await self._examiner.evaluate(_axe())
        found = (await self._examiner.evaluate("() => axe.run()"))["violations"]
        return [f"{each['id']}: {each['help']}: {_places(each)}" for each in found]

    async def _same(self, route: Route) -> None:
        """The page as the person sees it, without its scripts."""
        if route.request.is_navigation_request():
            await route.fulfill(body=self._examined_html, content_type="text/html; charset=utf-8")
        elif route.request.resource_type == "script":
            await route.abort()
        else:
            await route.continue_()

    # --- what the browser has against it --------------------------------------------------------

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings of the browser, refusals by the page's own policy (CSP), requests to another origin.

        That a page came with an error status is none: the person reads it.
        """
        failed = "Failed to load resource: the server responded"
        return [text for url, text in self._messages if not (text.startswith(failed) and url in self._refused)]

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._messages.append((str(message.location["url"]), message.text))

    def _note_request(self, request: Request) -> None:
        if urlsplit(request.url).scheme not in {"data", "blob"} and _origin(request.url) != _origin(self.url):
            self._messages.append((request.url, f"a request to {request.url}"))

    def _note_response(self, response: Response) -> None:
        if response.request.is_navigation_request():
            self.answer = response
            if response.status >= 400:
                self._refused.add(response.url)


async def _leading_on(page: Page, act: Act[None]) -> None:
    async with page.expect_navigation():
        await act


async def _focused(page: Page) -> str | None:
    """The accessible name of what is focused; its tag where it has none; None where nothing is."""
    focused = page.locator(":focus")
    if not await focused.count():
        return None
    shown = yaml.safe_load(await focused.aria_snapshot())
    first = shown[0] if shown else ""
    words, value = next(iter(first.items())) if isinstance(first, dict) else (first, "")
    if words == "text":
        return str(value)
    found = re.match(r'\S+ ("(?:[^"\\]|\\.)*")', words)
    return str(json.loads(found[1])) if found else f"<{await focused.evaluate('it => it.localName')}>"


@lru_cache
def _axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


def _places(violation: dict[str, Any]) -> str:
    return ", ".join(" ".join(map(str, node["target"])) for node in violation["nodes"])


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
