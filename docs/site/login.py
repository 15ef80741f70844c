"""Makes docs/login.svg, the login that the README shows: what `radius-mfa demo` prints, line by line.

make docs ARGS=login
"""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

FILE = Path(__file__).parents[1] / "login.svg"
COMMAND = "radius-mfa demo"

_SIZE, _ADVANCE, _LEADING, _EDGE = 13, 7.83, 18, 16  # pixels: of the type, a character, a line, around it all
_BROAD = 104  # characters a line may have
_PAUSE, _TYPING = 0.25, 2.0  # seconds from line to line, and until a user has found the code

_STYLE = """\
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
text { fill: #1f2328; white-space: pre }
rect { fill: #f6f8fa; stroke: #d1d9e0 }
.title { font-weight: 700 }
.sent { fill: #0550ae } .got { fill: #116329 } .user { fill: #953800 } .quiet { fill: #59636e }
g { animation: come .01s both }
@keyframes come { from { visibility: hidden } to { visibility: visible } }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } rect { fill: #151b23; stroke: #3d444d }
  .sent { fill: #79c0ff } .got { fill: #7ee787 } .user { fill: #ffa657 } .quiet { fill: #9198a1 }
}
@media (prefers-reduced-motion: reduce) { g { animation: none } }
"""
_KINDS = {"→": "sent", "←": "got", "1": "title", "$": "title", "the user": "user"}


def printed() -> str:
    """All that the demo prints."""
    command = [sys.executable, "-m", "radius_mfa", "demo", "--once"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True)  # noqa: S603
    return ran.stdout


def first_login(said: str) -> list[str]:
    """The first of its logins, line by line."""
    return said.strip().partition("\n\n")[0].splitlines()


def picture(lines: Sequence[str]) -> str:
    """An SVG in which they come one after the other, in the colours of light or dark.

    Who wants no movement has them all at once.
    """
    rows = [row for line in (f"$ {COMMAND}", *lines) for row in _broken(line)]
    wide, high = round(_BROAD * _ADVANCE) + 2 * _EDGE, len(rows) * _LEADING + 2 * _EDGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}">\n'
        f"<title>A login, packet by packet</title>\n<style>\n{_STYLE}</style>\n"
        f'<rect x=".5" y=".5" width="{wide - 1}" height="{high - 1}" rx="8"/>\n'
        f"{''.join(_drawn(rows))}</svg>\n"
    )


def _drawn(rows: Sequence[str]) -> Iterator[str]:
    at = 0.0
    for number, row in enumerate(rows):
        kind = next((kind for begin, kind in _KINDS.items() if row.strip().startswith(begin)), "quiet")
        at += _TYPING if kind == "user" else _PAUSE
        y = _EDGE + number * _LEADING + _SIZE
        text = f'<text x="{_EDGE}" y="{y}" class="{kind}">{escape(row)}</text>'
        yield f'<g style="animation-delay:{at:.2f}s">{text}</g>\n'


def _broken(line: str) -> Iterator[str]:
    """A long line, at its blanks; what goes on is set in further."""
    assert not any(unicodedata.east_asian_width(each) == "W" for each in line)
    inset = " " * (len(line) - len(line.lstrip()) + 4)
    while len(line) > _BROAD:
        at = line.rindex(" ", len(inset), _BROAD)
        yield line[:at]
        line = inset + line[at + 1 :]
    yield line


def main() -> None:
    """Record it."""
    FILE.write_text(picture(first_login(printed())), "utf-8")


if __name__ == "__main__":
    main()
