"""What stands on the command line of `radius-mfa explain`, and what of it is asked of the assembly."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from radius_mfa.cli.audit import moment
from radius_mfa.cli.common import PATIENCE, refuse

if TYPE_CHECKING:
    from radius_mfa.assembly.explaining import Explainer, Question
    from radius_mfa.assembly.explaining_ports import People
    from radius_mfa.config.load import Loaded


@dataclass(frozen=True, slots=True)
class Asked:
    """`groups`: none where the directory is asked.  `values`, `attributes`: NAME=VALUE.  `at`: None for now."""

    users: tuple[str, ...]
    clients: tuple[str, ...]
    groups: tuple[str, ...]
    values: tuple[str, ...]
    attributes: tuple[str, ...] = field(repr=False)
    station: str
    at: str | None

    @property
    def is_offline(self) -> bool:
        """Whether nobody and nothing is asked."""
        return bool(self.groups)

    @asynccontextmanager
    async def people(self, loaded: Loaded, *others: Loaded) -> AsyncIterator[People]:
        """Who is explained: the directory's users, or anybody as described.  Raises ConfigurationError."""
        from radius_mfa.assembly.explaining_ports import Described, People, people_of
        from radius_mfa.core.groups import fold_group

        if not self.is_offline:
            configurations = [each.configuration for each in others]
            async with people_of(loaded.configuration, configurations, PATIENCE) as people:
                yield people
            return
        groups = frozenset(fold_group(each) for written in self.groups for each in groups_in(written))
        values: dict[str, tuple[str, ...]] = {}
        for name, value in map(named_value, self.values):
            values[name.lower()] = (*values.get(name.lower(), ()), value)
        yield People(Described(groups, values), PATIENCE)

    def questions(self, explainer: Explainer, users: Sequence[str], clients: Sequence[str]) -> list[Question]:
        """One for each of the users at each of the clients."""
        from radius_mfa.assembly.explaining import Question
        from radius_mfa.wire.dictionary import DictionaryError
        from radius_mfa.wire.matching import sent

        try:
            named = map(named_value, self.attributes)
            attributes = tuple(sent(explainer.dictionary, name, value) for name, value in named)
        except DictionaryError as wrong:
            raise click.UsageError(f"--attribute: {wrong}") from None
        at = moment("--at", self.at, explainer.rules.zone)
        now = at.timestamp() if at else time.time()
        return [Question(user, client, now, self.station, attributes) for user in users for client in clients]


def groups_in(written: str) -> Iterator[str]:
    """The groups in one --groups: a DN, several with ; between, or names without = with commas between."""
    several = re.split(r"(?<!\\);", written)
    for each in several if len(several) > 1 else _parted(written):
        if each.strip():
            yield each.strip()


def _parted(written: str) -> list[str]:
    """A DN as it is: its parts all have a = (RFC 4514 §2)."""
    parts = re.split(r"(?<!\\),", written)
    named = ["=" in part for part in parts]
    if all(named):
        return [written]
    if any(named):
        raise click.UsageError(f"--groups {written}: neither a DN nor names; put ; between groups.")
    return parts


def named_value(written: str) -> tuple[str, str]:
    """`NAME=VALUE`."""
    name, found, value = written.partition("=")
    if not (found and name):
        raise click.UsageError(f"{written}: write NAME=VALUE.")
    return name, value


def known_clients(names: Sequence[str], *explainers: Explainer) -> Sequence[str]:
    """Those that were named, or all; the command ends where there is none of a name anywhere."""
    from radius_mfa.core.printing import printable

    known = list(dict.fromkeys(name for each in explainers for name in each.clients))
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            refuse(printable(f"{name}: no such client; {hint}"))
    return names or known
