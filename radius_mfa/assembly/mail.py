"""What delivers mailed codes, as the configuration wants it.

aiosmtplib is imported where mail is configured, and nowhere else.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import TYPE_CHECKING

from radius_mfa.config import model
from radius_mfa.core.errors import RadiusMfaError
from radius_mfa.core.ports import Meter
from radius_mfa.service.texts import Texts

if TYPE_CHECKING:
    from radius_mfa.assembly.backends import Backends
    from radius_mfa.factors.outbox import Heard, Outbox
    from radius_mfa.factors.smtp import SmtpSender

_TIME_LIMIT = 60.0  # seconds that delivering one mail may take; four slow ones hold up all others as long


class MailServerError(RadiusMfaError):
    """The mail server cannot be used as it is configured."""


def open_outbox(
    mail: model.Mail, zone: tzinfo, backends: Backends, texts: Texts, meter: Meter, heard: Heard
) -> Outbox:
    """The outbox, delivering from now on.  Raises ConfigurationError."""
    from radius_mfa.factors.outbox import Outbox, Ports

    send = _sender(mail, _TIME_LIMIT)
    ports = Ports(backends.store, backends.sealer, send, texts.words, backends.clock, meter, heard)
    outbox = Outbox(ports, _TIME_LIMIT, zone)
    outbox.start()
    return outbox


async def probe_mail(mail: model.Mail, patience: float) -> str:
    """Go as far as to be let in by the mail server.  Raises MailServerError and ConfigurationError."""
    refused = await _sender(mail, patience).probe()
    if refused is not None:
        raise MailServerError(refused.reason)
    return "ok"


def _sender(mail: model.Mail, time_limit: float) -> SmtpSender:
    from radius_mfa.factors.smtp import SmtpSender, SmtpSettings

    settings = SmtpSettings(
        host=mail.smtp.host,
        port=mail.smtp.port,
        sender=mail.sender,
        tls=mail.smtp.tls,
        start_tls=mail.start_tls and not mail.smtp.tls,
        username=mail.username or "",
        password=mail.password.reveal() if mail.password else "",
        ca_file=mail.ca_file,
        timeout=time_limit,
    )
    return SmtpSender(settings)
