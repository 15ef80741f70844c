"""What was typed into the password field: a password, an answer to a challenge, or both in one field.

A code says by its form which factor it is: 6 digits TOTP, 8 digits a mailed code, 12 letters a recovery
code.  People copy codes from screens, mails and paper, so full-width characters, spaces and hyphens are
read as they are meant.
A password is taken to the octet.
"""

from __future__ import annotations

import unicodedata
from dataclasses import field

from radius_mfa.core.codes import compact, is_letters
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.record import record

_BY_LENGTH = {6: FactorKind.TOTP, 8: FactorKind.MAIL}
_MAIL = "mail"
_TRUST = " trust"


@record(frozen=True, slots=True)
class CodeAnswer:
    """A code of factor `kind`, without what people put between; `trust`: they ask to trust this device."""

    kind: FactorKind
    code: str = field(repr=False)
    trust: bool = False


@record(frozen=True, slots=True)
class MailAsked:
    """The keyword that asks for a code by e-mail."""


@record(frozen=True, slots=True)
class Unreadable:
    """Neither a code nor a keyword."""


Answer = CodeAnswer | MailAsked | Unreadable


def readable(octets: bytes) -> str | None:
    """The text of a User-Password, or None when nobody typed that.

    Octets that are no UTF-8, or control characters, come out of a wrong shared secret
    (RFC 2865 §5.2 gives no other sign of one): such text never reaches a directory.
    """
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return None
    if text.isprintable():
        return text
    return None if any(unicodedata.category(each) == "Cc" for each in text) else text


def read_answer(text: str) -> Answer:
    """What `text` is as an answer to a challenge."""
    if text.isascii() and text.isdigit() and (kind := _BY_LENGTH.get(len(text))):  # as nearly everybody types
        return CodeAnswer(kind, text)
    plain = unicodedata.normalize("NFKC", text).strip().casefold()
    trust = plain.endswith(_TRUST)
    code = compact(plain.removesuffix(_TRUST))
    if code == _MAIL and not trust:
        return MailAsked()
    if is_letters(code):
        return CodeAnswer(FactorKind.RECOVERY_CODES, code, trust)
    kind = _BY_LENGTH.get(len(code))
    if kind is None or not (code.isascii() and code.isdigit()):
        return Unreadable()
    return CodeAnswer(kind, code, trust)


def split(text: str, suffix: str | int) -> tuple[str, Answer | None]:
    """One-field mode: the password and the answer that one text holds, by the one rule `suffix` fixes.

    A separator splits at its last occurrence if an answer follows; a number takes that many digits
    off the end, or an ending of a comma and any answer that has more to it than those digits.  Without
    such an ending the whole text is the password.
    """
    if isinstance(suffix, str):
        password, found, ending = text.rpartition(suffix)
        answer = read_answer(ending)
        return (text, None) if not found or isinstance(answer, Unreadable) else (password, answer)
    password, found, ending = text.rpartition(",")
    if found:
        answer = read_answer(ending)
        other = isinstance(answer, CodeAnswer) and (answer.kind is not FactorKind.TOTP or answer.trust)
        if other or isinstance(answer, MailAsked):
            return password, answer
    digits = unicodedata.normalize("NFKC", text[-suffix:])
    answer = read_answer(digits)
    if len(digits) == suffix and digits.isdigit() and isinstance(answer, CodeAnswer):
        return text[:-suffix], answer
    return text, None
