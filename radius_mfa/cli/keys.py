"""`radius-mfa keys`."""

from __future__ import annotations

import click

from radius_mfa.cli.common import config_option, load_configuration


@click.group()
@config_option
def keys() -> None:
    """The key file that seals what is stored."""


@keys.command()
@config_option
def init() -> None:
    """Make the key file that the configuration names.  One that exists is left alone."""
    from radius_mfa.stores.seal import create_key_file

    path = load_configuration().configuration.key_file
    create_key_file(path)
    click.echo(f"{path}: made. Keep a copy: without it nothing that is stored can be read.")
