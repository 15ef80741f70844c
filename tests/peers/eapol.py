"""Debian's eapol_test, a Wi-Fi device and its access point in one: whole 802.1X logins.

    Supplicant(server.port, SECRET, ca=authority.ca_file).log_in("peap-gtc", "alice", ["sesame", "492039"])

It is run as `radius-mfa login --eap` runs it, with options that a user has no need of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from radius_mfa.cli import supplicant
from radius_mfa.cli.eapol_network import METHODS, Method, Network
from radius_mfa.cli.eapol_output import Packet

_ACCEPT = 2
_FRAMED_MTU = 12


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a login, and of the re-authentications after it: of all of them, where there are some.

    `accepted`: eapol_test has ended well, and the last packet is an Access-Accept.  `keys_match`: each login ended
    with the same MS-MPPE keys on both sides.  `prompts`: what EAP-GTC has asked.  `packets`: RADIUS, in and out.
    `handshakes`: of each TLS handshake that ended well, whether it took a session up again.  `events`: of
    wpa_supplicant's control interface, but for the questions.  `output`: all that eapol_test has printed.
    """

    accepted: bool
    keys_match: bool
    prompts: list[str]
    packets: tuple[Packet, ...]
    tls: str
    handshakes: tuple[bool, ...]
    events: list[str]
    output: str = field(repr=False)

    @property
    def resumed(self) -> bool:
        """Whether the last handshake took a session up again."""
        return self.handshakes[-1:] == (True,)

    @property
    def last(self) -> Packet:
        """The last packet, which decides."""
        return self.packets[-1]

    def replies(self, code: int) -> list[Packet]:
        """All packets of that code."""
        return [packet for packet in self.packets if packet.code == code]

    def first(self, number: int) -> bytes | None:
        """The first value of an attribute in the last packet; None where there is none, or it is not printed."""
        return next((each.value for each in self.last.attributes if each.number == number), None)


@dataclass(frozen=True, slots=True)
class Supplicant:
    """A device that has the network of the server at `port` set up.  `ca`: None, and it believes everybody."""

    port: int
    secret: str
    ca: Path | None = None
    server_name: str | None = None
    patience: float = 15.0
    host: str = "127.0.0.1"

    def log_in(
        self,
        method: str | Method,
        identity: str,
        texts: Sequence[str],
        *,
        anonymous: str | None = None,
        mac: str = "02:00:00:00:00:01",
        tls13: bool = False,
        fragment: int | None = None,
        mtu: int | None = None,
        reauth: int = 0,
        attributes: Sequence[str] = (),
    ) -> Outcome:
        """A login, and `reauth` more in the same process, which may take its TLS session up again.

        `method`: ttls-pap, ttls-gtc or peap-gtc, or one that we do not serve.  `texts`: what is typed, one for
        each question; where all are used up, the user goes away.  ttls-pap asks nothing and takes one.
        `anonymous`: the outer name.
        `fragment`: octets of TLS in the longest EAP packet it sends; `mtu`: Framed-MTU, for those of the server.
        `attributes`: more for each Access-Request, as eapol_test's -N has them
        (`30:s:00-00-5E-00-53-01:network`).
        """
        spoken = METHODS[method] if isinstance(method, str) else method
        # TLS 1.2 has to be allowed beside: eapol_test 2.10 takes its absence for a wish to speak TLS 1.1.
        phase1 = ("tls_disable_tlsv1_3=0",) if tls13 else ()
        (password,) = (None,) if spoken.asks else texts
        network = Network(spoken, identity, password, anonymous, self.ca, self.server_name, phase1, fragment)
        more = [*attributes, *([] if mtu is None else [f"{_FRAMED_MTU}:d:{mtu}"])]
        arguments = (*(f"-N{each}" for each in more), *([f"-r{reauth}"] if reauth else []))
        server, secret = (self.host, self.port), self.secret.encode()
        device = supplicant.Supplicant(server, secret, network, mac, self.patience, arguments)
        prompts: list[str] = []
        events: list[str] = []
        coming = iter(texts)

        def answer(prompt: str) -> str | None:
            prompts.append(prompt)
            return next(coming, None)

        well, output = device.log_in(answer, events.append)
        accepted = well and output.packets[-1].code == _ACCEPT
        return Outcome(
            accepted=accepted,
            keys_match=output.keys_match,
            prompts=prompts,
            packets=output.packets,
            tls=output.tls,
            handshakes=output.handshakes,
            events=events,
            output=output.printed.decode(errors="replace"),
        )
