"""`radius-mfa login`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from ipaddress import ip_address
from typing import TYPE_CHECKING

import click

from radius_mfa.cli.common import REFUSED, UNUSABLE, config_option, load_configuration
from radius_mfa.cli.eapol_network import METHODS

if TYPE_CHECKING:
    from radius_mfa.cli.eap_options import EapOptions
    from radius_mfa.cli.rounds import Transport
    from radius_mfa.cli.tls_options import TlsOptions
    from radius_mfa.wire.dictionary import Dictionary

_TRIES = 3
_LogIn = Callable[[str], bool]
"""Given the password, whether the login ended well."""


@click.command()
@config_option
@click.argument("username", metavar="USER")
@click.option(
    "--server", metavar="HOST:PORT", help="Where to; else the configuration's first listener of that kind."
)
@click.option("--secret", help="The shared secret; else that of the configuration's client for loopback.")
@click.option("--password", help="The password; asked for when not given.")
@click.option("--answer", "answers", multiple=True, help="What to answer to a challenge, one for each round.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 60),
    default=5.0,
    help="Seconds to wait; three tries, over TLS and with --eap one of three times as long.",
)
@click.option("--radsec", is_flag=True, help="Over TLS (RFC 6614), on one connection; the secret is radsec.")
@click.option("--certificate", metavar="FILE", help="With --radsec: the client certificate, in PEM.")
@click.option("--key", metavar="FILE", help="With --radsec: its key, where that is not in the same file.")
@click.option(
    "--ca", metavar="FILE", help="With --radsec or --eap: who must have signed the server's certificate."
)
@click.option(
    "--server-name",
    metavar="NAME",
    help="The name it must have; else with --radsec the server's HOST, with --eap any.",
)
@click.option("--psk", metavar="IDENTITY:HEX", help="With --radsec: a shared key instead of certificates.")
@click.option("--eap", type=click.Choice(tuple(METHODS)), help="As a Wi-Fi device (802.1X), by eapol_test.")
@click.option("--outer-name", metavar="NAME", help="With --eap: the name outside the tunnel; else USER.")
@click.option("--station", metavar="MAC", help="With --eap: the device's address (Calling-Station-Id).")
def login(
    username: str,
    server: str | None,
    secret: str | None,
    password: str | None,
    answers: tuple[str, ...],
    timeout: float,
    radsec: bool,
    eap: str | None,
    outer_name: str | None,
    station: str | None,
    **tls: str | None,
) -> None:
    """Log in as USER, round by round, as a VPN gateway would, and show every packet.

    With --eap as a Wi-Fi device at its access point would, by Debian's eapol_test.  That has the secret as an
    argument, which every user of this machine can read meanwhile.  The first question is answered with the
    password; with ttls-pap there is no question, and --answer is added to the password, after a comma.

    Exit status 0 on Access-Accept, with --eap only with the same keys on both sides; 1 on anything else.
    """
    from radius_mfa.cli.eap_options import EapOptions
    from radius_mfa.cli.tls_options import TlsOptions

    options = TlsOptions(**tls)
    if eap is not None:
        options.refuse_all_but_the_servers(radsec)
        device = EapOptions(eap, options.ca, options.server_name, outer_name, station)
        log_in = _by_eap(device, username, (server, secret), timeout, answers)
    else:
        _refuse_eaps(outer_name, station)
        if not radsec:
            options.refuse_all()
        way = _over_tls(server, secret, timeout, options) if radsec else _over_udp(server, secret, timeout)
        log_in = _in_rounds(way, username, answers)
    if password is None:
        password = str(click.prompt("Password", err=True, hide_input=sys.stdin.isatty()))
    if not log_in(password):
        sys.exit(REFUSED)


def _ask(prompt: str) -> str:
    """What the user at the terminal types."""
    return str(click.prompt(prompt, err=True, hide_input=False))


def _in_rounds(way: AbstractContextManager[Transport], username: str, answers: tuple[str, ...]) -> _LogIn:
    from radius_mfa.cli.rounds import Rounds
    from radius_mfa.core.messages import Code

    given: Iterator[str] = iter(answers)

    def answer(prompt: str) -> str:
        typed = next(given, None)
        return typed if typed is not None else _ask(prompt)

    def log_in(password: str) -> bool:
        with way as transport:
            code = Rounds(transport, _dictionary()).login(username, password, answer)
        return code is Code.ACCESS_ACCEPT

    return log_in


def _dictionary() -> Dictionary:
    """The attributes by name: the configuration's, where there is one that can be used."""
    from radius_mfa.assembly.rules import dictionary_of
    from radius_mfa.core.errors import ConfigurationError
    from radius_mfa.wire.dictionary import Dictionary

    try:
        return dictionary_of(load_configuration())
    except ConfigurationError:
        return Dictionary.shipped()


# --- over UDP -----------------------------------------------------------------------------------


def _over_udp(server: str | None, secret: str | None, timeout: float) -> AbstractContextManager[Transport]:
    from radius_mfa.cli.over_udp import OverUdp

    address, octets = _server(server, secret)
    return nullcontext(OverUdp(address, octets, timeout, _TRIES))


def _server(server: str | None, secret: str | None) -> tuple[tuple[str, int], bytes]:
    """Where to, and with which secret: what was given, else what the configuration has for loopback."""
    if server is not None and secret is not None:
        return _address(server), os.fsencode(secret)
    from radius_mfa.assembly.rules import loopback

    loaded = load_configuration()
    if not any(listener.udp for listener in loaded.configuration.listen):
        raise click.UsageError("the configuration has no udp listener: --radsec, or give --server and --secret.")
    address, known = loopback(loaded)
    return (_address(server) if server else address), (os.fsencode(secret) if secret else known)


def _address(text: str) -> tuple[str, int]:
    host, found, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not found or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise click.UsageError(f"--server {text}: write HOST:PORT, for example 127.0.0.1:1812 or [::1]:1812.")
    return (host, int(port))


# --- 802.1X, over UDP ---------------------------------------------------------------------------


def _by_eap(
    options: EapOptions,
    username: str,
    target: tuple[str | None, str | None],
    timeout: float,
    answers: tuple[str, ...],
) -> _LogIn:
    """What is given is looked at here and now, and so is whether there is an eapol_test."""
    from radius_mfa.cli.over_eap import EapLogin
    from radius_mfa.cli.supplicant import NOT_INSTALLED, PROGRAM

    address, octets = _server(*target)
    supplicant = options.supplicant(username, address, octets, _TRIES * timeout, len(answers))
    if shutil.which(PROGRAM) is None:
        click.echo(NOT_INSTALLED, err=True)
        sys.exit(UNUSABLE)

    def log_in(password: str) -> bool:
        return EapLogin(supplicant, _dictionary()).login(password, answers, _ask)

    return log_in


def _refuse_eaps(outer_name: str | None, station: str | None) -> None:
    """Where there is no --eap."""
    for option, value in (("--outer-name", outer_name), ("--station", station)):
        if value is not None:
            raise click.UsageError(f"{option} belongs to --eap.")


# --- over TLS -----------------------------------------------------------------------------------


def _over_tls(
    server: str | None, secret: str | None, timeout: float, tls: TlsOptions
) -> AbstractContextManager[Transport]:
    """What is given is looked at here and now; the connection comes when this is entered."""
    from radius_mfa.cli.over_tls import SECRET, connected

    target = tls.target(_radsec_listener() if server is None else _address(server))
    return connected(target, os.fsencode(secret) if secret else SECRET, _TRIES * timeout, click.echo)


def _radsec_listener() -> tuple[str, int]:
    """The configuration's first, as it is reached from here."""
    listeners = load_configuration().configuration.listen
    endpoint = next((listener.radsec for listener in listeners if listener.radsec), None)
    if endpoint is None:
        raise click.UsageError("the configuration has no radsec listener: give --server.")
    if ip_address(endpoint.host).is_unspecified:
        return ("::1" if ":" in endpoint.host else "127.0.0.1"), endpoint.port
    return endpoint.host, endpoint.port
