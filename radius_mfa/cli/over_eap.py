"""A whole 802.1X login, as `login --eap` shows it: certificate, questions, keys, and the last packet."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import NoReturn

import click

from radius_mfa.cli.eap_options import fits
from radius_mfa.cli.eapol_output import Output, Packet
from radius_mfa.cli.over_udp import address_of
from radius_mfa.cli.rounds import NoReplyError
from radius_mfa.cli.supplicant import Supplicant
from radius_mfa.core.messages import Code
from radius_mfa.core.printing import printable
from radius_mfa.wire.dictionary import Dictionary

_LAST = (Code.ACCESS_ACCEPT, Code.ACCESS_REJECT)
_LONGEST_TEXT = 1024  # octets; eapol_test takes 4,096 with what is around them

_CERTIFICATE = re.compile(r"CTRL-EVENT-EAP-PEER-CERT depth=0 subject='(.*)' hash=.*", re.DOTALL)
_ERROR = re.compile(r"CTRL-EVENT-EAP-TLS-CERT-ERROR reason=(\d+) depth=\d+ subject='.*' err='(.*)'", re.DOTALL)
# Its reasons (enum tls_fail_reason), where another option may be the answer.
_HINTS = {"1": "; --ca names the CA", "10": "; --server-name names the server"}


@dataclass
class EapLogin:
    """One login, shown as it goes.

    `certificate`: the server's subject, once it is known.  `distrust`: why it was not believed; empty while it is.
    `given_up`: whether eapol_test has taken the login for failed, with or without a reply.
    """

    supplicant: Supplicant
    dictionary: Dictionary
    show: Callable[[str], None] = click.echo
    certificate: str = field(default="", init=False)
    distrust: str = field(default="", init=False)
    given_up: bool = field(default=False, init=False)

    def login(self, password: str, answers: Sequence[str], ask: Callable[[str], str]) -> bool:
        """Whether there was an Access-Accept, and the same keys on both sides.

        To what the server asks after the password go `answers`, and after the last of them what `ask` is told.
        Raises NoReplyError, EapolTestError; click.UsageError for a text that cannot be sent.
        """
        texts = [_typed(text) for text in (password, *answers)]
        network = self.supplicant.network
        if not network.method.asks:
            network = replace(network, password=_one_field(*texts))
        if network.ca is None:
            self.show("The server's certificate is not verified: --ca names who must have signed it.")
        coming = iter(texts)

        def answer(prompt: str) -> str:
            self.show(f"← EAP-GTC: {printable(prompt)}")
            text = next(coming, None)
            return _typed(ask(prompt)) if text is None else text

        with _ended_when_told_to():
            well, output = replace(self.supplicant, network=network).log_in(answer, self._told)
        return self._shown(output) and well

    def _told(self, event: str) -> None:
        if found := _CERTIFICATE.fullmatch(event):
            if found[1] != self.certificate:  # which comes with each fault that is found with it
                self.certificate = found[1]
                self.show(f"The server's certificate: {printable(found[1])}")
        elif event.startswith("CTRL-EVENT-EAP-FAILURE"):
            self.given_up = True
        elif found := _ERROR.fullmatch(event):
            self.distrust = f"{printable(found[2])}{_HINTS.get(found[1], '')}"

    def _shown(self, output: Output) -> bool:
        address = address_of(self.supplicant.server)
        if self.distrust:
            raise NoReplyError(f"{address}: its certificate is not trusted: {self.distrust}")
        last = next((each for each in reversed(output.packets) if each.code in _LAST), None)
        if last is None:
            raise NoReplyError(f"{address}: {self._silence(output)}")
        if output.tls:
            self.show(f"{output.tls}, {output.count(Code.ACCESS_REQUEST)} Access-Requests")
        accepted = last.code == Code.ACCESS_ACCEPT
        if accepted:
            same = "the same" if output.keys_match else "not the same"
            self.show(f"The MS-MPPE keys are {same} on both sides.")
        self._packet(last)
        return accepted and output.keys_match

    def _silence(self, output: Output) -> str:
        if output.refused:
            return "Connection refused"
        waited = f"no reply in {self.supplicant.patience:g} s"
        if self.given_up:
            return "eapol_test has given up in the midst of the login"
        if output.count(Code.ACCESS_CHALLENGE):
            return f"{waited}, in the midst of the login"
        return f"{waited}: is this address among the server's clients, and the secret the same on both sides?"

    def _packet(self, packet: Packet) -> None:
        self.show(f"← {packet.name}")
        for attribute in packet.attributes:
            name, text = self.dictionary.show(attribute.number, attribute.value or b"")
            self.show(f"    {name} = {f'({attribute.length} octets)' if attribute.value is None else text}")


def _one_field(password: str, answer: str | None = None) -> str:
    """Both in one, as it is typed where a device has one field; as it is where somebody has done so already."""
    return password if answer is None or password.endswith(f",{answer}") else f"{password},{answer}"


def _typed(text: str) -> str:
    """The same, if EAP and eapol_test can carry it.  Raises click.UsageError."""
    if "\0" in text or not fits(text, _LONGEST_TEXT):
        raise click.UsageError(f"what is typed may have {_LONGEST_TEXT} octets of UTF-8, none of them NUL.")
    return text


@contextmanager
def _ended_when_told_to() -> Iterator[None]:
    """By SIGTERM as by Ctrl-C, also where a shell has it ignore that: no process, no file outlives this one."""
    numbers = (signal.SIGTERM, signal.SIGINT)

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)  # putting away what there is takes a moment
        raise KeyboardInterrupt

    before = [signal.signal(number, end) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
