"""What the YAML may say of what people do for themselves: of the first factor they set up, and of the portal."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import PlainValidator

from radius_mfa.config import values
from radius_mfa.config.section import (
    LISTED,
    Account,
    Address,
    Bool,
    Prefix,
    PrivateFile,
    ReadableFile,
    Section,
    Site,
    Text,
)


class Enrolment(Section):
    """What users set up for themselves.

    `order`: the factor that comes before any other.  `networks`, `voucher`: what, besides the password, a first
    one needs: to be there, or something from the help desk.  `wait`: until a factor counts that was added by a
    weaker one; 0: it does at once.  `initialise`: whether who can show no factor any more may start anew by a
    mailed link.
    """

    order: Literal["totp-first", "mail-first"] = "totp-first"
    networks: Annotated[tuple[Prefix, ...], LISTED] = ()
    voucher: Bool = True
    wait: Annotated[float, PlainValidator(values.lasting("0s", "30d"))] = 86400.0
    initialise: Bool = True


class Portal(Section):
    """`url`: scheme, host and port, as browsers are to say them.

    `trusted_proxies`: whose word is taken about where requests come from.  `certificate`, `key`: of its own TLS,
    without a proxy before it.  `help_desk`: groups of the directory.  `idle_timeout`, `visit_lifetime`: how long
    somebody is signed in who does nothing, and whatever they do.  `user`: None: the server's.  `health`: where
    /healthz and /readyz are answered beside `listen`.
    """

    listen: Address
    url: Site
    trusted_proxies: Annotated[tuple[Prefix, ...], LISTED] = ()
    certificate: ReadableFile | None = None
    key: PrivateFile | None = None
    help_desk: Annotated[tuple[Text, ...], LISTED] = ()
    idle_timeout: Annotated[float, PlainValidator(values.lasting("1m", "24h"))] = 900.0
    visit_lifetime: Annotated[float, PlainValidator(values.lasting("5m", "7d"))] = 28800.0
    user: Account | None = None
    health: Address | None = None
