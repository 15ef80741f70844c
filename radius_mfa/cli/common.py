"""What the commands share: which configuration, how to run, how to end."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
import unicodedata
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from radius_mfa.assembly.backends import Backends
    from radius_mfa.config.load import Loaded
    from radius_mfa.core.messages import User
    from radius_mfa.core.outcomes import Outcome
    from radius_mfa.core.ports import Directory
    from radius_mfa.transports.service_manager import ServiceManager

DEFAULT_CONFIG = Path("/etc/radius-mfa/radius-mfa.yaml")
_PROGRAM = "radius-mfa"
REFUSED = 1
UNUSABLE = 2
PATIENCE = 10.0  # seconds a command waits for the directory or the store
_LONGEST_ID = 64  # octets, as of every id of a directory

Result = TypeVar("Result")


def _keep(context: click.Context, _option: click.Parameter, path: Path | None) -> None:
    if path is not None:
        context.meta["radius_mfa.config"] = path


# On the group and on every command, so that it may stand before or after the verb.
config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    expose_value=False,
    callback=_keep,
    help=f"The configuration; else $RADIUS_MFA_CONFIG, else {DEFAULT_CONFIG}.",
)

by_id_option = click.option("--id", "by_id", is_flag=True, help="USER is the directory's id, not a name.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def config_path() -> Path:
    """Which configuration was asked for."""
    chosen = click.get_current_context().meta.get("radius_mfa.config")
    return chosen or Path(os.environ.get("RADIUS_MFA_CONFIG") or DEFAULT_CONFIG)


def as_typed(*words: str) -> str:
    """A command as it has to be typed here, to be about the same configuration."""
    begun = Path(sys.argv[0]).absolute()
    is_found = begun.name != _PROGRAM or shutil.which(_PROGRAM) is not None
    program = _PROGRAM if is_found else shlex.quote(str(begun))
    chosen = click.get_current_context().meta.get("radius_mfa.config")
    where = ("--config", str(chosen)) if chosen not in (None, DEFAULT_CONFIG) else ()
    return f"{program} {' '.join((*map(shlex.quote, where), *words))}"


def load_configuration(*, in_force: bool = True) -> Loaded:
    """The configuration asked for.

    `in_force`: a server works under it, or is to, for which an expired certificate is a warning; False: an error.
    """
    from radius_mfa.assembly.rules import load
    from radius_mfa.observe.logging import configure

    configure("console", "error")  # what goes wrong in a command is said by the command, in one line
    return load(config_path(), os.environ, in_force=in_force)


def begin_log(loaded: Loaded) -> None:
    """Log as is configured, and what there is to know of the configuration first."""
    import structlog

    from radius_mfa.observe.logging import configure

    configure(loaded.configuration.log.format, loaded.configuration.log.level)
    for warning in loaded.warnings:
        structlog.get_logger().warning("configuration", note=warning)


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` on the fastest event loop there is."""
    from radius_mfa.transports.loop_thread import new_loop

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


def run_until_told(main: Coroutine[Any, Any, None]) -> None:
    """`run` what ends when it is told to: being told once more, when nobody hears it any more, would kill it."""

    async def to_the_end() -> None:
        await main
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))

    run(to_the_end())


@contextmanager
def ending_at_once(nothing: str) -> Iterator[Callable[[], None]]:
    """Who is told to end in here, by Ctrl-C, SIGTERM or a terminal that is closed, undoes what was begun, at once.

    It says that `nothing` was done, and ends with 1.  After what is yielded was called it is too late: the rest
    is done.
    """

    def too_late(*_: object) -> None:
        for number in before:
            signal.signal(number, _go_on)

    def end(*_: object) -> NoReturn:
        too_late()  # nor is the undoing ended
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {each: signal.getsignal(each) for each in numbers if signal.getsignal(each) != signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, end)
        yield too_late
    except (click.Abort, KeyboardInterrupt):
        click.echo(err=True, nl=sys.stderr.isatty())
        refuse(f"{click.get_current_context().command_path}: ended; {nothing}")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _go_on(*_: object) -> None:
    """Not SIG_IGN: a signal that has just come would be told of on stderr."""


@contextmanager
def telling(done: str) -> Iterator[None]:
    """What is printed in here is of something that is `done`, which is said on stderr where nobody can read it."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        refuse(f"{done}; stdout: {error.strerror}")


def told_to_end() -> asyncio.Event:
    """Set once the process is asked to end, by SIGTERM or Ctrl-C, also where a shell had it ignore the latter."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    return ended


async def keep_telling(manager: ServiceManager) -> None:
    """Show that the event loop turns, for as long as it does, to a service manager that wants to know."""
    while manager.alive_every:
        manager.alive()
        await asyncio.sleep(manager.alive_every)


async def look_up(directory: Directory, username: str, deadline: float) -> User | Outcome:
    """Whom an administrator means: names are read as for a client that keeps realms.  Raises DirectoryError."""
    from radius_mfa.core.outcomes import Outcome
    from radius_mfa.core.usernames import KEPT, looked_up

    name = looked_up(username, KEPT)
    return name if isinstance(name, Outcome) else await directory.find(name, deadline)


async def find_user(backends: Backends, username: str, by_id: bool) -> User:
    """Whom a command is about; it ends where there is nobody.  By the directory's id nobody is looked up."""
    found = await _find(backends, username, by_id, "; --id takes the directory's id, which 'user list' shows")
    if not found.active:
        warn(f"{found.username} is not activated and cannot log in")
    return found


async def find_activated(backends: Backends, username: str, by_id: bool) -> User:
    """The same, for a command that sets a factor up: it ends where the account is not activated, too."""
    found = await _find(backends, username, by_id, "")
    if not found.active:
        refuse(f"{found.username}: not activated; a second factor is set up once the account is")
    return found


async def _find(backends: Backends, username: str, by_id: bool, hint: str) -> User:
    from radius_mfa.core.messages import User
    from radius_mfa.core.outcomes import Outcome
    from radius_mfa.core.printing import printable

    if by_id:
        if not is_one_line(username) or not 1 <= len(username.encode()) <= _LONGEST_ID:
            refuse(f"{printable(username)}: not an id of a directory")
        return User(id=username, username=username, handle="")
    found = await look_up(backends.directory, username, backends.soon(PATIENCE))
    if not isinstance(found, User):
        more = hint if found is Outcome.UNKNOWN_USER else ""
        refuse(f"{printable(username)}: {found.value.replace('_', ' ')}{more}")
    return found


def is_one_line(text: str) -> bool:
    """Whether there is nothing in it that people cannot have meant: control characters, or no UTF-8."""
    return not any(unicodedata.category(each) in ("Cc", "Cs") for each in text)


def utf8(text: str) -> str:
    """The text, with something that is nobody's code or id in place of octets that are no UTF-8."""
    return text.encode(errors="replace").decode()


def named(username: str, by_id: bool) -> str:
    """USER as it has to be given to the next command."""
    return f"--id {username}" if by_id else username


def time_of(seconds: float | None) -> str | None:
    """Wall seconds as they are printed; None for never."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


def table_line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """A line of a table; `widths`: of the columns, in those of a terminal, where the last may be any."""
    from radius_mfa.core.printing import printable

    return "  ".join(_padded(printable(cell) or "-", width) for cell, width in zip(cells, widths, strict=True))


def _padded(text: str, width: int) -> str:
    taken = sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)
    return text + " " * (width - taken)


def warn(text: str) -> None:
    """Say on stderr what is done and yet should not be so."""
    click.echo(f"warning: {text}", err=True)


def refuse(text: str) -> NoReturn:
    """End with one line on stderr and exit status 1."""
    click.echo(text, err=True)
    sys.exit(REFUSED)
