"""What is to be read on a page of the portal: headings, labels and buttons, in their order."""

from __future__ import annotations

from html.parser import HTMLParser

_READ = frozenset({"h1", "h2", "h3", "label", "legend", "button"})


def shown(html: str) -> list[str]:
    """Each on one line."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return [" ".join(text.split()) for text in reader.shown]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []
        self._reading = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002  # as HTMLParser calls it
        if tag in _READ:
            self._reading = tag
            self.shown.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._reading:
            self._reading = ""

    def handle_data(self, data: str) -> None:
        if self._reading:
            self.shown[-1] += data
