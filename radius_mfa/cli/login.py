"""`radius-mfa login`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from radius_mfa.cli.common import REFUSED, config_option, load_configuration


@click.command()
@config_option
@click.argument("username", metavar="USER")
@click.option("--server", metavar="HOST:PORT", help="Where to; else the configuration's first listener.")
@click.option("--secret", help="The shared secret; else that of the configuration's client for loopback.")
@click.option("--password", help="The password; asked for when not given.")
@click.option("--answer", "answers", multiple=True, help="What to answer to a challenge, one for each round.")
@click.option("--timeout", type=click.FloatRange(0.1, 60), default=5.0, help="Seconds to wait; three tries.")
def login(
    username: str,
    server: str | None,
    secret: str | None,
    password: str | None,
    answers: tuple[str, ...],
    timeout: float,
) -> None:
    """Log in as USER, round by round, as a VPN gateway would, and show every packet.

    Exit status 0 on Access-Accept, 1 on anything else.
    """
    from radius_mfa.cli.rounds import Rounds
    from radius_mfa.core.messages import Code
    from radius_mfa.wire.dictionary import Dictionary

    address, octets = _server(server, secret)
    given: Iterator[str] = iter(answers)

    def answer(prompt: str) -> str:
        typed = next(given, None)
        return typed if typed is not None else str(click.prompt(prompt, err=True, hide_input=False))

    if password is None:
        password = str(click.prompt("Password", err=True, hide_input=sys.stdin.isatty()))
    code = Rounds(address, octets, Dictionary.shipped(), timeout=timeout).login(username, password, answer)
    if code is not Code.ACCESS_ACCEPT:
        sys.exit(REFUSED)


def _server(server: str | None, secret: str | None) -> tuple[tuple[str, int], bytes]:
    """Where to, and with which secret: what was given, else what the configuration has for loopback."""
    if server is not None and secret is not None:
        return _address(server), secret.encode()
    from radius_mfa.assembly.rules import loopback

    address, known = loopback(load_configuration())
    return (_address(server) if server else address), (secret.encode() if secret else known)


def _address(text: str) -> tuple[str, int]:
    host, found, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not found or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise click.UsageError(f"--server {text}: write HOST:PORT, for example 127.0.0.1:1812 or [::1]:1812.")
    return (host, int(port))
