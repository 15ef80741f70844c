"""Whether octets are a reply to a request at all: what every reply must be, whatever it says."""

from __future__ import annotations

import hashlib

from bench.soak.octets import EAP_MESSAGE, PROXY_STATE, SIGNATURE, attributes_of, is_signed
from bench.soak.oracle import ACCESS_ACCEPT, ACCESS_CHALLENGE, ACCESS_REJECT, Question

_REPLY_MESSAGE, _PROMPT = 18, 76


def answers(asked: Question, reply: bytes) -> bool:
    """Whether its Response Authenticator says that it answers that request (RFC 2865 §3)."""
    signed = reply[:4] + asked.authenticator + reply[20:] + asked.secret
    return reply[1:2] == bytes((asked.identifier,)) and hashlib.md5(signed).digest() == reply[4:20]


def form_fault(asked: Question, reply: bytes) -> str:
    """What is wrong with a reply whatever it says, "" for nothing."""
    attributes = attributes_of(reply)
    if attributes is None or len(reply) != int.from_bytes(reply[2:4], "big"):
        return "not one packet"
    if reply[0] not in (ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE):
        return f"code {reply[0]}"
    if not answers(asked, reply):
        return "Response Authenticator wrong"
    # First, so that nothing an attacker can choose comes before it (CVE-2024-3596).
    if not attributes or attributes[0][0] != SIGNATURE or not is_signed(reply, asked.secret, asked.authenticator):
        return "Message-Authenticator not first, or wrong"
    proxied = [value for number, value in asked.attributes if number == PROXY_STATE]
    last = attributes[len(attributes) - len(proxied) :]
    if list(last) != [(PROXY_STATE, value) for value in proxied]:  # RFC 2865 §5.33
        return "Proxy-State not as it came"
    if not all(_is_text(value) for number, value in attributes if number == _REPLY_MESSAGE):
        return "Reply-Message is no text"
    eap = b"".join(value for number, value in attributes if number == EAP_MESSAGE)
    return _eap_fault([number for number, _ in attributes], eap)


def _eap_fault(numbers: list[int], eap: bytes) -> str:
    """What is wrong with the EAP packet in a reply, "" for nothing and where there is none."""
    if EAP_MESSAGE not in numbers:
        return ""
    first, times = numbers.index(EAP_MESSAGE), numbers.count(EAP_MESSAGE)
    if numbers[first : first + times] != [EAP_MESSAGE] * times:  # RFC 3579 §3.1
        return "EAP-Messages are not consecutive"
    if len(eap) < 4 or int.from_bytes(eap[2:4], "big") != len(eap):  # RFC 3748 §4
        return "not one EAP packet"
    beside = {_REPLY_MESSAGE, _PROMPT} & {*numbers}
    return "Reply-Message or Prompt beside EAP" if beside else ""  # RFC 3579 §2.6.5


def _is_text(octets: bytes) -> bool:
    """UTF-8 that can be read, line breaks in it, and never empty (RFC 2865 §5, §5.18)."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return False
    return bool(text) and text.replace("\n", " ").isprintable()
