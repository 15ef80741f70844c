"""`radius-mfa explain --against`: what another configuration changes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
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
                    questions = self.asked.questions(before, [*self.asked.users, *_names(self.list_)], clients)
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
            click.echo(f"{_logins(looked_at)} looked at, {count:,} {'change' if count > 1 else 'changes'}")
        else:
            click.echo(f"no change: {_logins(looked_at)} looked at")

    async def _audited(self, before: Explainer, after: Explainer, people: People) -> tuple[list[Question], int]:
        """The logins of the audit file, with what there is to know about them told on stderr; the exit status."""
        from radius_mfa.assembly.explaining_changes import audited, not_audited, without_who_has_left

        search = self._search(before)
        questions = audited(search.hits(0), (before, after))
        for path, why in search.unread.items():
            click.echo(f"{path}: {why}", err=True)
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

        path = Path(self.audit) if self.audit else before.configuration.audit.file
        if path is None:
            refuse("audit: no file is configured; --audit=FILE names one")
        since = moment("--since", self.since, before.rules.zone)
        query = Query(users=self.asked.users, clients=self.asked.clients, decisions=("accept",), since=since)
        return Search(path, query)


def _logins(count: int) -> str:
    return "1 login" if count == 1 else f"{count:,} logins"


def _names(file: Path | None) -> Iterator[str]:
    """The names in a file, each on a line.  Raises UsageError."""
    if file is None:
        return
    try:
        text = file.read_text(errors="surrogateescape")
    except OSError as broken:
        raise click.UsageError(f"--users {file}: {broken.strerror}.") from None
    for line in text.splitlines():
        name = line.strip()
        if name and not name.startswith("#"):
            yield name
