"""What delivers mailed codes, as the configuration wants it.

aiosmtplib is imported where mail is configured, and nowhere else.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from radius_mfa.assembly.rules import texts_of
from radius_mfa.config import model
from radius_mfa.core.errors import RadiusMfaError
from radius_mfa.observe.health import MAIL

if TYPE_CHECKING:
    from radius_mfa.assembly.footing import Footing
    from radius_mfa.factors.outbox import Letter, Outbox
    from radius_mfa.factors.smtp import SmtpSender

_TIME_LIMIT = 60.0  # seconds that delivering one mail may take; four slow ones hold up all others as long


class MailServerError(RadiusMfaError):
    """The mail server cannot be used as it is configured."""


def outbox_of(configuration: model.Configuration, footing: Footing) -> Outbox | None:
    """The outbox, which delivers once it is started; None where no mail is sent.  Raises ConfigurationError."""
    mail = configuration.factors.mail
    if mail is None:
        return None
    from radius_mfa.factors.outbox import Outbox, Ports

    ports = Ports(
        footing.store,
        footing.sealer,
        _sender(mail, _TIME_LIMIT),
        texts_of(configuration).words,
        footing.clock,
        footing.meter,
        partial(footing.health.said, MAIL),
        configuration.portal.url if configuration.portal else "",
    )
    return Outbox(ports, _TIME_LIMIT, configuration.timezone)


async def probe_mail(mail: model.Mail, patience: float, *, as_sender: bool = False) -> str:
    """Go as far as to be let in by the mail server.  Raises MailServerError and ConfigurationError.

    `as_sender`: and as to be taken for the sender.
    """
    refused = await _sender(mail, patience).probe(as_sender=as_sender)
    if refused is not None:
        raise MailServerError(refused.reason)
    return "ok"


async def send_mail(mail: model.Mail, patience: float, letter: Letter) -> None:
    """Have one letter delivered, at once.  Raises MailServerError and ConfigurationError."""
    refused = await _sender(mail, patience)(letter)
    if refused is not None:
        raise MailServerError(refused.reason)


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
