"""`radius-mfa explain --against`: what another configuration changes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from radius_mfa.cli.audit import moment
from radius_mfa.cli.common import REFUSED, refuse, utf8
from radius_mfa.cli.explain_asked import Asked, known_clients
from radius_mfa.core.errors import DirectoryError

if TYPE_CHECKING:
    from radius_mfa.assembly.explaining import Explainer, Question
    from radius_mfa.assembly.explaining_changes import Change
    from radius_mfa.assembly.explaining_ports import People
    from radius_mfa.config.load import Loaded
    from radius_mfa.observe.audit_search import Search

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Against:
    """`list_`: a file of names.  `audit`: an audit file, "" for the configured one; None: none is read."""

    asked: Asked
    list_: Path | None
    audit: str | None
    since: str | None
    as_json: bool

    async def compare(self, loaded: Loaded, other: Loaded) -> int:
        """Tell what changes; the exit status."""
        from radius_mfa.assembly.explaining import Explainer
        from radius_mfa.assembly.explaining_changes import changes

        status = 0
        async with self.asked.people(loaded, other) as people:
            before, after = Explainer(loaded, people), Explainer(other, people)
            clients = known_clients(self.asked.clients, before, after)
            try:
                if self.audit is None:
                    names = [*self.asked.users, *names_in(self.list_)] if self.list_ else self.asked.users
                    asked = self.asked.questions(before, names, clients)
                    questions = await _of_somebody(asked, (before, after), people)
                else:
                    questions, status = await self._audited(before, after, people)
                await self._tell(changes(before, after, questions, people), len(questions))
            except DirectoryError as broken:
                refuse(f"directory: {broken}")
        return status

    async def _tell(self, found: AsyncIterator[Change], looked_at: int) -> None:
        from radius_mfa.cli.explain_words import change_line, change_record

        told: dict[str, None] = {}
        records = []
        count = 0
        async for change in found:
            count += 1
            records.append(change_record(change))
            line = change_line(change)
            if not self.as_json and line not in told:  # the same from another station, or at another time
                click.echo(line)
            told[line] = None
        if self.as_json:
            click.echo(utf8(json.dumps(records, ensure_ascii=False)))
        elif count:
            click.echo(f"{_many(looked_at, 'login')} looked at, {_many(count, 'change')}")
        else:
            click.echo(f"no change: {_many(looked_at, 'login')} looked at")

    async def _audited(self, before: Explainer, after: Explainer, people: People) -> tuple[list[Question], int]:
        """The logins of the audit file, with what there is to know about them told on stderr; the exit status."""
        from radius_mfa.assembly.explaining_changes import audited, not_audited, without_who_has_left

        search = self._search(before)
        questions = audited(search.hits(0), (before, after))
        for path, why in search.unread.items():
            click.echo(f"{path}: {why}", err=True)
        if not questions and not search.unread:
            _must_have_events(self._file(before))
        if missing := not_audited((before, after)):
            click.echo(
                f"not in the audit file, and so taken for not sent: {', '.join(missing)}, which policies look at",
                err=True,
            )
        known, left = await without_who_has_left(questions, before, people)
        if left:
            users = "1 user is" if left == 1 else f"{left:,} users are"
            click.echo(f"{users} not in the directory any more, and left out", err=True)
        return known, REFUSED if search.unread else 0

    def _search(self, before: Explainer) -> Search:
        from radius_mfa.observe.audit_search import Query, Search

        since = moment("--since", self.since, before.rules.zone)
        query = Query(users=self.asked.users, clients=self.asked.clients, decisions=("accept",), since=since)
        return Search(self._file(before), query)

    def _file(self, before: Explainer) -> Path:
        path = Path(self.audit) if self.audit else before.configuration.audit.file
        if path is None:
            refuse("audit: no file is configured; --audit=FILE names one")
        return path


def _must_have_events(path: Path) -> None:
    """A file that is another, in which nothing is found: the command ends."""
    from radius_mfa.observe.audit_search import Query, Search

    if not any(Search(path, Query()).hits(1)):
        refuse(f"{path}: no line of it is an event of the audit file")


async def _of_somebody(
    asked: Sequence[Question], explainers: Sequence[Explainer], people: People
) -> list[Question]:
    """Those whose names somebody has; the others are told on stderr.  The command ends where none is left."""
    from radius_mfa.assembly.explaining_changes import in_no_directory
    from radius_mfa.core.printing import printable

    nobody = await in_no_directory(asked, explainers, people)
    if not nobody:
        return list(asked)
    left_out = frozenset(nobody)
    known = [each for each in asked if each.user not in left_out]
    more = ", …" if len(nobody) > _MOST_NAMED else ""
    names = printable(", ".join(nobody[:_MOST_NAMED]) + more)
    told = f"{_many(len(nobody), 'name')} {'is' if len(nobody) == 1 else 'are'} in no directory"
    if not known:
        refuse(f"{told}: {names}")
    click.echo(f"{told}, and left out: {names}", err=True)
    return known


def _many(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"


def names_in(file: Path) -> list[str]:
    """The names in a file, each on a line; the command ends where it is no text, or has none.

    A # at the beginning or behind white space begins a comment: names may have one within.  Raises UsageError.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as broken:
        raise click.UsageError(f"--users {file}: {broken.strerror}.") from None
    except UnicodeDecodeError:
        refuse(f"{file}: is not text in UTF-8")
    if "\0" in text:  # as in UTF-16 without a byte order mark
        refuse(f"{file}: is not text in UTF-8")
    names = (re.split(r"(?:^|\s)#", line)[0].strip() for line in re.split(r"\r\n?|\n", text))
    found = [name for name in names if name]
    if not found:
        refuse(f"{file}: there is no name in it")
    return found
