"""Makes docs/users/pictures anew, in a real browser before the real portal: `make docs ARGS=pictures`.

Beside the pictures of a language stands `shown.yaml`: what is to be read on each.  tests/portal/test_pictures.py
holds it against the present portal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from PIL import Image

from docs.site.shown import shown
from tests.cli.support import run_cli
from tests.end_to_end.portal_pages import Visitor
from tests.end_to_end.portal_site import PortalSite, portal_site
from tests.end_to_end.site import Account
from tests.peers.chromium import Chromium, Person

FOLDER = Path(__file__).parents[1] / "users" / "pictures"
SHOWN = "shown.yaml"
LANGUAGES = {"en": "hanako", "ja": "taro"}  # and who is in the pictures

_WIDTH = 440  # CSS pixels: a large telephone
_COLOURS = 48
_NO_ROOM_BELOW = "it => { it.style.flex = 'none'; it.style.paddingBlock = '1rem' }"


class Album:
    """The pictures of one language, taken of what `visitor` has before them."""

    def __init__(self, folder: Path, visitor: Visitor) -> None:
        self._folder = folder
        self._visitor = visitor
        self._shown: dict[str, list[str]] = {}

    def takes(self, name: str, of: str = "main") -> None:
        """The page as it stands, or that part of it: a PNG of few colours, and what is to be read on it."""
        person = self._visitor.person
        person.does(lambda page: page.locator("main").evaluate(_NO_ROOM_BELOW))
        taken = person.does(lambda page: page.locator(of).screenshot(animations="disabled"))
        few = Image.open(BytesIO(taken)).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
        few.save(self._folder / f"{name}.png", optimize=True)
        part: str = person.does(lambda page: page.locator(of).evaluate("it => it.outerHTML"))
        self._shown[name] = shown(part)

    def ends(self) -> None:
        """Write down what is to be read."""
        text = yaml.safe_dump(self._shown, allow_unicode=True, sort_keys=False, width=110)
        (self._folder / SHOWN).write_text(f"# Made by `make docs ARGS=pictures`, like the pictures.\n{text}")


def main() -> None:
    """Make the pictures of every language."""
    campus = {"networks": ["192.0.2.0/24"]}
    with (
        TemporaryDirectory() as folder,
        portal_site(Path(folder), contact="", enrolment=campus) as university,
        Chromium() as chromium,
    ):
        for language, name in LANGUAGES.items():
            with _album(university, chromium, language) as (album, visitor):
                account = university.newcomer(name=name)
                _sets_up(album, visitor, university, account)
                _comes_back(album, visitor, account)


@contextmanager
def _album(university: PortalSite, chromium: Chromium, language: str) -> Iterator[tuple[Album, Visitor]]:
    folder = FOLDER / language
    folder.mkdir(parents=True, exist_ok=True)
    with Person(chromium, university.url, language=language, width=_WIDTH) as person:
        visitor = Visitor(person, language, _WIDTH)
        album = Album(folder, visitor)
        yield album, visitor
        album.ends()


def _sets_up(album: Album, it: Visitor, university: PortalSite, account: Account) -> None:
    """A first set-up with a voucher, up to what there is then."""
    given = run_cli("--config", university.site.config, "user", "voucher", account.name, "--json").json
    it.person.goes_to("/sign-in")
    album.takes("sign-in")
    it.gives_password(account)
    album.takes("voucher")
    it.types("set_up.voucher_code", given["voucher"])
    it.presses("set_up.voucher_go")
    it.person.waits_for(it.says("set_up.clock_right"))
    album.takes("clock")
    it.presses("set_up.clock_go")
    album.takes("app", ".card >> nth=1")
    album.takes("app-code", ".card >> nth=2")
    it.types("tokens.code", it.scans(account).code())
    it.presses("tokens.confirm")
    album.takes("address")
    it.types("address.address", account.address)
    it.presses("address.send")
    it.types("address.code", university.mailbox(account).code())
    it.presses("address.confirm")
    it.presses("codes.make")
    album.takes("recovery-codes")
    it.follows("codes.kept")
    album.takes("done")
    it.follows("set_up.to_overview")
    album.takes("overview")
    it.presses("frame.sign_out")


def _comes_back(album: Album, it: Visitor, account: Account) -> None:
    """Later, with a code, and without any."""
    it.gives_password(account)
    album.takes("code")
    it.person.goes_to("/lost")
    album.takes("lost")


if __name__ == "__main__":
    main()
