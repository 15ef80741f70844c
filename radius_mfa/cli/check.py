"""`radius-mfa check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from radius_mfa.cli.common import config_option, config_path, load_configuration, refuse, run
from radius_mfa.core.errors import RadiusMfaError

if TYPE_CHECKING:
    from radius_mfa.config.load import Loaded

_PATIENCE = 10.0  # seconds the directory, or the mail server, may take
_NOBODY = "radius-mfa-check"  # a name to look for; that nobody has it is an answer too


@click.command()
@config_option
@click.option("--probe", is_flag=True, help="Also try key file, store, audit file, directory and mail server.")
@click.option("--schema", is_flag=True, help="Print what the YAML may say as a JSON Schema, for editors, and end.")
def check(probe: bool, schema: bool) -> None:
    """Check the configuration: every error and warning at once, one line each.

    Exit status 0 when there is none, or only warnings; 2 for errors; 1 when something probed does not work.
    """
    if schema:
        from radius_mfa.config.schema import as_json

        click.echo(as_json(), nl=False)
        return
    loaded = load_configuration(in_force=False)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{config_path()}: ok")
    if (eap := loaded.configuration.eap) is not None:
        from radius_mfa.config.certificates import to_be_pinned

        click.echo(f"eap: {to_be_pinned(eap.certificate)}")
    if probe and not run(_probe(loaded)):
        refuse("not everything works: see above")


async def _probe(loaded: Loaded) -> bool:
    """Try what the server will need; whether all of it works."""
    from radius_mfa.assembly import backends
    from radius_mfa.assembly.mail import probe_mail

    configuration = loaded.configuration
    works = True
    attempts = [
        ("key file", backends.probe_key_file(configuration)),
        ("store", backends.probe_store(configuration)),
        *([("audit file", backends.probe_audit(loaded))] if configuration.audit.file else ()),
        ("directory", backends.probe_directory(configuration, _NOBODY, _PATIENCE)),
    ]
    if configuration.factors.mail is not None:
        attempts.append(("mail", probe_mail(configuration.factors.mail, _PATIENCE)))
    for name, attempt in attempts:
        try:
            click.echo(f"{name}: {await attempt}")
        except RadiusMfaError as broken:
            click.echo(f"{name}: {broken}", err=True)
            works = False
    return works
