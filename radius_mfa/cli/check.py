"""`radius-mfa check`."""

from __future__ import annotations

import click

from radius_mfa.cli.common import config_option, config_path, load_configuration


@click.command()
@config_option
def check() -> None:
    """Check the configuration: every error and warning at once, one line each.

    Exit status 0 when there is none, or only warnings.
    """
    loaded = load_configuration()
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{config_path()}: ok")
