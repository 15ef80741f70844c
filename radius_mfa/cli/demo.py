"""`radius-mfa demo`: a server of its own on loopback, complete logins against it, then yours."""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING

import click

from radius_mfa.cli.common import refuse, run, told_to_end

if TYPE_CHECKING:
    from radius_mfa.cli.mail_catcher import CaughtMail, MailCatcher
    from radius_mfa.cli.rounds import Rounds
    from radius_mfa.config.load import Loaded

_USER, _PASSWORD, _ADDRESS = "alice", "correct horse", "alice@example.net"
_PATIENCE = 30.0  # seconds a mail may take


@click.command()
@click.option("--once", is_flag=True, help="End after the logins.")
def demo(once: bool) -> None:
    """Show complete logins over real UDP against a server with embedded defaults.

    Exit status 0 when every login went as it should, 1 otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="radius-mfa-demo-") as folder:
        run(_demo(Path(folder), once))


async def _demo(folder: Path, once: bool) -> None:
    from radius_mfa.assembly.rules import dictionary_of
    from radius_mfa.assembly.server import Server
    from radius_mfa.cli.mail_catcher import mail_catcher
    from radius_mfa.cli.over_udp import OverUdp
    from radius_mfa.cli.rounds import Rounds
    from radius_mfa.observe.logging import configure

    ended = told_to_end()  # so that the folder is removed, however this ends
    secret = secrets.token_hex(16)
    async with mail_catcher(_show_mail) as mails:
        loaded = _configuration(folder, secret, mails.port)
        configure(loaded.configuration.log.format, loaded.configuration.log.level)
        seed = await _enrol(loaded)
        server = await Server.start(loaded)
        try:
            rounds = Rounds(OverUdp(server.addresses[0], secret.encode()), dictionary_of(loaded))
            wrong = await asyncio.to_thread(_logins, rounds, _App(seed), mails)
            if wrong:
                refuse(f"demo: {wrong} of the logins did not go as they should")
            if not once and not ended.is_set():
                await _try_yourself(server.addresses[0], secret, _App(seed), ended)
        finally:
            await server.stop()


def _show_mail(mail: CaughtMail) -> None:
    click.secho(f"\n✉ To: {mail.recipient}\n  Subject: {mail.subject}\n", fg="cyan")
    for line in mail.body.strip().splitlines():
        click.secho(f"  {line}", fg="cyan")
    click.echo()


def _configuration(folder: Path, secret: str, smtp_port: int) -> Loaded:
    from radius_mfa.assembly.rules import load
    from radius_mfa.data import CONFIG
    from radius_mfa.directories.static import hash_password
    from radius_mfa.stores.key_file import create_key_file

    create_key_file(folder / "key")
    return load(
        CONFIG / "demo.yaml",
        {
            "DEMO_LISTEN": "127.0.0.1:0",
            "DEMO_SECRET": secret,
            "DEMO_PASSWORD": hash_password(_PASSWORD),
            "DEMO_STORAGE": f"sqlite:///{folder / 'state.db'}",
            "DEMO_SMTP": f"smtp://127.0.0.1:{smtp_port}",
            "DEMO_KEY_FILE": str(folder / "key"),
            "DEMO_AUDIT": str(folder / "audit.jsonl"),
        },
    )


async def _enrol(loaded: Loaded) -> bytes:
    """Give the user an authenticator app and an address; the app's seed."""
    from radius_mfa.assembly.backends import opened
    from radius_mfa.core.enrolment import Seed
    from radius_mfa.core.messages import User

    async with opened(loaded) as backends:
        user = await backends.directory.find(_USER, backends.soon(10))
        assert isinstance(user, User)  # demo.yaml has it
        seed = backends.enrolment.new_seed()
        await backends.enrolment.add([Seed(user.id, user.username, seed)], confirmed=True)
        await backends.enrolment.set_address(user.id, user.username, _ADDRESS)
    return seed


@dataclass(frozen=True, slots=True)
class _App:
    """The authenticator app of the user."""

    seed: bytes = field(repr=False)

    def code(self, steps_ahead: int = 0) -> str:
        from radius_mfa.factors.totp import code_of

        return code_of(self.seed, time.time(), steps_ahead)


def _logins(rounds: Rounds, app: _App, mails: MailCatcher) -> int:
    """Show four logins; how many went otherwise than they should."""
    from radius_mfa.core.messages import Code

    right = app.code()
    wrong = next(each for each in ("111111", "222222", "333333", "444444") if each not in _near(app))
    shown: list[tuple[str, Iterator[str], Code]] = [
        ("Right password, right code: let in", iter([right]), Code.ACCESS_ACCEPT),
        ("Right password, the app is elsewhere: a code by e-mail", _by_mail(mails), Code.ACCESS_ACCEPT),
        ("The same code a second time: a code works once", iter([right]), Code.ACCESS_CHALLENGE),
        ("Wrong codes until the rounds are over: refused", iter([wrong] * 3), Code.ACCESS_REJECT),
    ]
    failed = 0
    for number, (title, answers, expected) in enumerate(shown, 1):
        click.secho(f"\n{number}. {title}", bold=True)
        got = rounds.login(_USER, _PASSWORD, _typed(answers))
        if got is not expected:
            click.secho(f"expected {expected.name}", err=True)
            failed += 1
    return failed


def _by_mail(mails: MailCatcher) -> Iterator[str]:
    """What somebody types who has only their mail."""
    yield "mail"
    try:
        yield mails.inbox.get(timeout=_PATIENCE).code
    except Empty:
        click.secho("no mail has come", err=True)


def _near(app: _App) -> set[str]:
    return {app.code(steps) for steps in range(-2, 4)}


def _typed(answers: Iterator[str]) -> Callable[[str], str | None]:
    def answer(prompt: str) -> str | None:
        typed = next(answers, None)
        if typed is not None:
            click.secho(f'  the user reads "{prompt}" and types {typed}', dim=True)
        return typed

    return answer


async def _try_yourself(server: tuple[str, int], secret: str, app: _App, ended: asyncio.Event) -> None:
    """Say what to try, and keep the server up until it is to end."""
    from radius_mfa.factors.totp import PERIOD, base32

    click.secho("\nNow you. In another terminal, in this folder:", bold=True)
    command = f".venv/bin/radius-mfa login {_USER} --server {server[0]}:{server[1]} --secret {secret}"
    click.echo(f'\n  {command} --password "{_PASSWORD}"\n')
    click.echo("Type mail at the prompt, and the code comes by e-mail: it is shown here.")
    click.echo(f"The secret for an authenticator app is {base32(app.seed)}; or take the codes from here.")
    click.echo("Ctrl-C ends it.\n")
    while not ended.is_set():
        # The code of the step that follows: right already, and not used up by the logins above.
        line = f"code: {app.code(1)}"
        if sys.stdout.isatty():
            click.echo(f"\r{line}", nl=False)
        else:
            click.echo(line)
        with suppress(TimeoutError):
            async with asyncio.timeout(PERIOD - time.time() % PERIOD):
                await ended.wait()
