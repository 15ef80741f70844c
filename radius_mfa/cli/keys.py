"""`radius-mfa keys`."""

from __future__ import annotations

import click

from radius_mfa.cli.common import config_option, load_configuration, refuse


@click.group(no_args_is_help=False)
@config_option
def keys() -> None:
    """The key file that seals what is stored."""


@keys.command()
@config_option
def init() -> None:
    """Make the key file that the configuration names.  One that exists is left alone."""
    from radius_mfa.stores.seal import create_key_file

    configuration = load_configuration().configuration
    path, store = configuration.key_file, configuration.storage.path
    if store is not None and store.exists() and not path.exists():
        refuse(f"{store}: was sealed with another key: put its key file back at {path}")
    create_key_file(path)
    click.echo(f"{path}: made. Keep a copy: without it nothing that is stored can be read.")
