"""What the commands share: which configuration, how to run, how to end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from radius_mfa.config.load import Loaded
    from radius_mfa.core.messages import User
    from radius_mfa.core.outcomes import Outcome
    from radius_mfa.core.ports import Directory

DEFAULT_CONFIG = Path("/etc/radius-mfa/radius-mfa.yaml")
REFUSED = 1
UNUSABLE = 2

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


def config_path() -> Path:
    """Which configuration was asked for."""
    chosen = click.get_current_context().meta.get("radius_mfa.config")
    return chosen or Path(os.environ.get("RADIUS_MFA_CONFIG") or DEFAULT_CONFIG)


def load_configuration() -> Loaded:
    """The configuration asked for, with everything this version has no feature for refused."""
    from radius_mfa.assembly.rules import load
    from radius_mfa.observe.logging import configure

    configure("console", "error")  # what goes wrong in a command is said by the command, in one line
    return load(config_path(), os.environ)


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` on the fastest event loop there is."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def told_to_end() -> asyncio.Event:
    """Set once the process is asked to end, by SIGTERM or Ctrl-C, also where a shell had it ignore the latter."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    return ended


async def look_up(directory: Directory, username: str, deadline: float) -> User | Outcome:
    """Whom an administrator means: names are read as for a client that keeps realms.  Raises DirectoryError."""
    from radius_mfa.core.outcomes import Outcome
    from radius_mfa.core.usernames import KEPT, looked_up

    name = looked_up(username, KEPT)
    return name if isinstance(name, Outcome) else await directory.find(name, deadline)


def refuse(text: str) -> NoReturn:
    """End with one line on stderr and exit status 1."""
    click.echo(text, err=True)
    sys.exit(REFUSED)
