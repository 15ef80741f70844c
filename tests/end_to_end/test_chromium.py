"""The browser of the tests, before pages of known faults: what it does not see, no test of the portal would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs

import pytest

from tests.peers.chromium import Chromium, Person

_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'"
_GOOD = """<main><h1>Hello</h1><noscript>no scripts here</noscript><p id="clock"></p>
<form method="post"><label for="who">Your name</label> <input id="who" name="who">
<label><input type="checkbox" name="loud"> Loudly</label> <button>Greet me</button></form>
<a href="/gone">Elsewhere</a></main><script src="/clock.js"></script>"""
_BAD = '<main><h1 style="color: red">Bad</h1><input><img src="http://192.0.2.1/pixel.png"></main>'


class _Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/clock.js":
            self._send("document.getElementById('clock').textContent = 'scripts run';", "text/javascript")
        elif self.path == "/bad":
            self._send(_page(_BAD))
        elif self.path == "/":
            asked = self.headers["Accept-Language"]
            self._send(_page(f"{_GOOD}<footer><p>in {asked}</p></footer>"))
        else:
            self._send(_page("<main><h1>Not found</h1></main>"), status=404)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        mark = "!" if "loud" in form else "."
        self._send(_page(f"<main><h1>Good day, {form['who'][0]}{mark}</h1></main>"))

    def _send(self, text: str, kind: str = "text/html", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Security-Policy", _POLICY)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


def _page(body: str) -> str:
    icon = '<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width">'
    return f'<!doctype html><html lang="en"><head><title>Greetings</title>{icon}</head><body>{body}</body></html>'


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_person_reads_types_and_presses(chromium: Chromium, pages: str, javascript: bool) -> None:
    with Person(chromium, pages, width=360, language="ja", javascript=javascript) as person:
        person.goes_to("/")
        assert person.title == "Greetings"
        assert person.sees("in ja-JP")
        assert person.sees("scripts run") is javascript
        assert person.sees("no scripts here") is not javascript
        assert not person.is_wide()
        assert person.accessibility() == []
        person.types("Your name", "太郎")
        person.ticks("Loudly")
        person.presses("Greet me")
        assert person.reads() == "Good day, 太郎!"
    assert person.complaints == []


def test_the_keyboard_alone_will_do(chromium: Chromium, pages: str) -> None:
    with Person(chromium, pages) as person:
        person.goes_to("/")
        assert person.tab_order() == ["Your name", "Loudly", "Greet me", "Elsewhere"]
        person.reaches("Your name")
        person.keys("Eve")
        person.reaches("Greet me")
        person.hits("Enter")
        assert person.reads() == "Good day, Eve."
        person.goes_back()
        with pytest.raises(AssertionError, match=r"Tab does not reach 'Greet you', but .*'Greet me'"):
            person.reaches("Greet you")


def test_what_is_wrong_with_a_page_is_found(chromium: Chromium, pages: str) -> None:
    with Person(chromium, pages, javascript=False) as person:
        person.goes_to("/bad")
        rules = {found.split(":")[0] for found in person.accessibility()}
        assert {"label", "image-alt"} <= rules
        inline, foreign = person.complaints[:1], person.complaints[1:]
    assert "inline style" in inline[0]
    assert foreign
    assert all("http://192.0.2.1/pixel.png" in complaint for complaint in foreign)


def test_a_page_with_an_error_status_is_read_and_no_complaint(chromium: Chromium, pages: str) -> None:
    with Person(chromium, pages) as person:
        person.goes_to("/")
        person.follows("Elsewhere")
        assert person.answer is not None
        assert (person.answer.status, person.path, person.reads()) == (404, "/gone", "Not found")
    assert person.complaints == []


def test_a_screenshot_is_an_artefact(
    chromium: Chromium, pages: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RADIUS_MFA_SCREENSHOTS", str(tmp_path / "shots"))
    with Person(chromium, pages, width=360) as person:
        person.goes_to("/")
        shot = person.screenshot("greeting")
    assert shot == tmp_path / "shots" / "greeting-360-en.png"
    assert shot.read_bytes().startswith(b"\x89PNG")


def test_people_act_beside_each_other_and_beside_a_loop(chromium: Chromium, pages: str) -> None:
    def greeted(name: str) -> str:
        with Person(chromium, pages) as person:
            person.goes_to("/")
            person.types("Your name", name)
            person.presses("Greet me")
            return person.reads()

    async def beside() -> list[str]:
        return list(await asyncio.gather(*(asyncio.to_thread(greeted, name) for name in ("Ann", "Bob"))))

    assert asyncio.run(beside()) == ["Good day, Ann.", "Good day, Bob."]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(greeted, ("Ann", "Bob"))) == ["Good day, Ann.", "Good day, Bob."]
