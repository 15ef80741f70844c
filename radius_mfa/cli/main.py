"""`radius-mfa`: finds the command, and turns what goes wrong into one line and an exit status.

0: done.  1: refused or failed.  2: the command line or the configuration is wrong.
"""

from __future__ import annotations

import importlib
import os
import resource
import sys
from collections.abc import Callable, Sequence

import click

from radius_mfa import __version__
from radius_mfa.cli.common import REFUSED, UNUSABLE, config_option
from radius_mfa.core.errors import ConfigurationError, RadiusMfaError, place_of

# Command to module; the object in it has the command's name.  Imported when asked for, not before.
_COMMANDS = {
    "audit": ("audit", "Search the audit file."),
    "backup": ("backup", "Store and keys in one sealed file, verified once it is written."),
    "check": ("check", "Check the configuration; say all that is wrong with it."),
    "clients": ("clients", "Who sends Message-Authenticator, and who does not."),
    "demo": ("demo", "Show complete logins against a server of its own, then keep it running."),
    "device": ("device", "Trusted devices."),
    "explain": ("explain", "What would become of a login, and why; or what another configuration changes."),
    "hash": ("hash", "The argon2id hash of a password, for accounts in the YAML."),
    "init": ("init", "Ask for directory, gateway and mail; try each; write a configuration."),
    "keys": ("keys", "The key file that seals what is stored."),
    "login": ("login", "Try a login, round by round, and show every packet."),
    "portal": ("portal", "Run the portal, where people look after their second factors."),
    "restore": ("restore", "What a backup holds, onto a machine that has no store yet."),
    "serve": ("serve", "Run the server in the foreground."),
    "token": ("token", "TOTP tokens in bulk."),
    "user": ("user", "Users and their second factors."),
}


class _Lazy(click.Group):
    """A group whose commands are imported one at a time."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(f"radius_mfa.cli.{_COMMANDS[name][0]}")
        command: click.Command = getattr(module, name)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in sorted(_COMMANDS.items())])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False)
@click.version_option(__version__, prog_name="radius-mfa")
@config_option
def app() -> None:
    """A RADIUS server that adds a second factor to VPN and Wi-Fi logins."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit."""
    _open_standard_streams()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # most of them hold secrets
    sys.exit(ended(lambda: app.main(arguments, prog_name="radius-mfa", standalone_mode=False)))


def _open_standard_streams() -> None:
    """Where one was closed, or a socket of ours would be taken for it."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def ended(command: Callable[[], object]) -> int:
    """The exit status of a command, with what went wrong told in a line on stderr."""
    try:
        status = command()
        sys.stdout.flush()  # or a full disk behind it would be found out when nobody can say so
    except click.UsageError as wrong:
        where = wrong.ctx.command_path if wrong.ctx else "radius-mfa"
        click.echo(f"{where}: {wrong.format_message()} See '{where} --help'.", err=True)
        return UNUSABLE
    except click.ClickException as wrong:
        click.echo(f"radius-mfa: {wrong.format_message()}", err=True)
        return REFUSED
    except (click.Abort, KeyboardInterrupt):
        return REFUSED
    except ConfigurationError as wrong:
        for problem in wrong.problems:
            click.echo(problem, err=True)
        return UNUSABLE
    except RadiusMfaError as broken:
        click.echo(f"radius-mfa: {broken}", err=True)
        return REFUSED
    except BrokenPipeError:
        return REFUSED
    except OSError as broken:  # a full disk behind stdout, mostly
        click.echo(f"radius-mfa: {broken.strerror or type(broken).__name__}", err=True)
        return REFUSED
    except Exception as broken:  # a mistake of ours: its text may quote anything
        where = f"{type(broken).__name__} at {place_of(broken)}"
        click.echo(f"radius-mfa: internal error: {where}; please report this line", err=True)
        return REFUSED
    return status if isinstance(status, int) else 0
