"""What the parts of the model are made of: sections of fixed keys, and the types of single values.

A type is what a parser of `values` makes of a text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationInfo
from pydantic.fields import FieldInfo

from radius_mfa.config import policy_values, times, values
from radius_mfa.config.storage import Storage, storage
from radius_mfa.config.times import Hours
from radius_mfa.config.values import Endpoint, Network, Secret, Server


def _located(value: object, info: ValidationInfo) -> Path:
    """A path, from the folder of the YAML file on."""
    return _folder(info) / values.parsed(values.path)(value)


def _stored(value: object, info: ValidationInfo) -> Storage:
    return values.parsed(storage)(value).seen_from(_folder(info))


def _folder(info: ValidationInfo) -> Path:
    return info.context["folder"] if info.context else Path()


LISTED = BeforeValidator(values.listed)
SOME = Field(min_length=1)

Bool = Annotated[bool, PlainValidator(values.boolean)]
Text = Annotated[str, PlainValidator(values.text())]
Texts = Annotated[tuple[Text, ...], LISTED, SOME]
Name = Annotated[str, PlainValidator(values.text(1, 64))]  # in octets: names travel in State
Account = Annotated[str, PlainValidator(values.text(1, 32))]  # of this machine
SecretText = Annotated[Secret, PlainValidator(values.secret)]
PasswordHash = Annotated[Secret, PlainValidator(values.secret), AfterValidator(values.argon2id)]
PskKey = Annotated[Secret, PlainValidator(values.secret), AfterValidator(values.psk_key)]
File = Annotated[Path, PlainValidator(_located)]
Stored = Annotated[Storage, PlainValidator(_stored)]
ReadableFile = Annotated[Path, PlainValidator(_located), AfterValidator(values.readable_file)]
PrivateFile = Annotated[Path, PlainValidator(_located), AfterValidator(values.private_file)]
Address = Annotated[Endpoint, PlainValidator(values.parsed(values.endpoint))]
Prefix = Annotated[Network, PlainValidator(values.parsed(values.network))]
CertificateName = Annotated[str, PlainValidator(values.parsed(values.certificate_name))]
Site = Annotated[str, PlainValidator(values.parsed(values.site))]
WebAddress = Annotated[str, PlainValidator(values.parsed(values.web_address))]
LdapServer = Annotated[Server, PlainValidator(values.parsed(values.server("ldap", "ldaps")))]
SmtpServer = Annotated[Server, PlainValidator(values.parsed(values.server("smtp", "smtps")))]
AttributeName = Annotated[str, PlainValidator(values.parsed(values.attribute_name))]
MailDomain = Annotated[str, PlainValidator(values.parsed(values.mail_domain))]
Days = Annotated[frozenset[int], PlainValidator(values.parsed(times.days))]
Timeout = Annotated[float, PlainValidator(values.lasting("100ms", "60s"))]
Retries = Annotated[int, PlainValidator(values.whole(0, 20))]
HoursOfDay = Annotated[Hours, PlainValidator(values.parsed(times.hours))]
Station = Annotated[Network | str, PlainValidator(values.parsed(policy_values.station))]


class Section(BaseModel):
    """A mapping of the YAML: no key but its own, and unchangeable once read."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)


def fields_of(section: type[Section]) -> dict[str, FieldInfo]:
    """What a section may hold, by its key in the YAML."""
    return {field.alias or name: field for name, field in section.model_fields.items()}
