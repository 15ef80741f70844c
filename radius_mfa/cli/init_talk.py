"""Who answers `radius-mfa init`: somebody at a terminal, or a file of answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from radius_mfa.cli.common import refuse, warn
from radius_mfa.config.document import Document, read_document
from radius_mfa.config.elsewhere import fill_answers
from radius_mfa.config.questions import BY_NAME, SECRETS, Question, parsed, unanswered
from radius_mfa.core.errors import ConfigurationError, RadiusMfaError
from radius_mfa.core.printing import printable


class Terminal:
    """Asks a question a line, and again until the answer can be one."""

    def knows(self, _name: str, /) -> bool:
        return False

    def say(self, text: str) -> None:
        click.echo(text)

    def ask(self, question: Question, default: str | None) -> str:
        click.secho(f"\n{question.help}", dim=True)
        kept = question.secret and bool(default)
        return str(
            click.prompt(
                f"{question.text} (Enter: as before)" if kept else question.text,
                default=default,
                hide_input=question.secret,
                show_default=bool(default) and not question.secret,
                value_proc=lambda typed: self._taken(question, typed),
            )
        )

    def again(self, why: str) -> bool:
        click.secho(f"Does not work: {why}", fg="red")
        return bool(click.confirm("Answer again? (n keeps it, with a note in the YAML)", default=True))

    def anew(self, broken: RadiusMfaError) -> None:
        click.secho(f"Nothing was written: {printable('; '.join(str(broken).splitlines()))}", fg="red")
        click.confirm("Go through the answers again? (Enter keeps each)", default=True, abort=True)

    def _taken(self, question: Question, typed: str) -> str:
        try:
            return parsed(question, typed)
        except ValueError as wrong:
            raise click.UsageError(str(wrong)) from None


@dataclass
class WrittenAnswers:
    """Those in a file; what is not there has its default, and what has none is an error."""

    file: Path
    given: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, file: Path, environment: Mapping[str, str]) -> WrittenAnswers:
        """Raises ConfigurationError with every problem in it."""
        try:
            document = read_document(str(file), file.read_text("utf-8-sig"))
        except OSError as broken:
            raise ConfigurationError(f"{file}: cannot be read: {broken.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{file}: is not UTF-8") from None
        fill_answers(document, environment, file.absolute().parent, SECRETS)
        given = dict(_texts(document.data))
        for name in given:
            _check(document, name, given[name])
        for question in unanswered(given) if not document.problems else ():
            document.report(f"is missing: {question.help}", question.name)
        if document.problems:
            raise ConfigurationError(*map(document.places.shown, sorted(document.problems)))
        for warning in sorted(document.warnings):
            warn(document.places.shown(warning))
        return cls(file, given)

    def knows(self, name: str, /) -> bool:
        return name in self.given

    def say(self, text: str) -> None:
        click.echo(text)

    def ask(self, question: Question, default: str | None) -> str:
        try:
            return parsed(question, self.given.get(question.name, default or ""))
        except ValueError as wrong:
            raise ConfigurationError(f"{self.file}: {question.name}: {wrong}") from None

    def again(self, why: str) -> bool:
        refuse(f"{self.file}: {why}; nothing was written")

    def anew(self, broken: RadiusMfaError) -> None:
        if isinstance(broken, ConfigurationError):
            raise ConfigurationError(*broken.problems, f"{self.file}: nothing was written")
        self.again(str(broken))


def _texts(data: object) -> Iterator[tuple[str, str]]:
    """The answers as they would be typed."""
    for name, value in data.items() if isinstance(data, dict) else ():
        if isinstance(value, bool):
            yield name, str(value).lower()
        elif isinstance(value, str):
            yield name, value
        elif isinstance(value, list):
            yield name, ", ".join(map(str, value))


def _check(document: Document, name: str, text: str) -> None:
    if name not in BY_NAME:
        document.report("is no question of init; `radius-mfa init --questions` prints them", name)
        return
    try:
        parsed(BY_NAME[name], text)
    except ValueError as wrong:
        document.report(str(wrong), name)
