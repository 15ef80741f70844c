"""`radius-mfa hash`: what `directory.static` keeps of a password."""

from __future__ import annotations

import sys

import click

from radius_mfa.cli.common import config_option, is_one_line, refuse

_LONGEST = 128  # octets that User-Password can carry (RFC 2865 §5.2)


@click.command()
@config_option
def hash() -> None:
    """Print the argon2id hash of a password, for directory.static.users.

    Asked for twice on a terminal; else the first line of standard input.
    """
    from radius_mfa.directories.static import hash_password

    if sys.stdin is None:  # so Python has it where it is closed
        refuse("standard input is closed: there is no password to read")
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        # What Windows' editors write before a text is not part of it.
        password = sys.stdin.readline().removeprefix("\ufeff").rstrip("\r\n")
    if not password or len(password.encode(errors="replace")) > _LONGEST or not is_one_line(password):
        refuse(f"a password has 1 to {_LONGEST} octets of UTF-8, and no control characters")
    click.echo(hash_password(password))
