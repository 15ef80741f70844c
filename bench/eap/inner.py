"""What is said inside the tunnel, by the peer: the AVPs of EAP-TTLS, or the headless EAP of PEAPv0."""

from __future__ import annotations

from collections.abc import Sequence

from bench.eap import packets
from bench.eap.packets import MalformedError, Packet

_HEADER = 4


class Inner:
    """One login.  `prompts`: what GTC has asked; `results`: whether each Result TLV said success."""

    def __init__(self, name: bytes, texts: Sequence[bytes]) -> None:
        self.prompts: list[bytes] = []
        self.results: list[bool] = []
        self._name = name
        self._texts = iter(texts)

    def first(self, *, gtc: bool) -> bytes:
        """The AVPs by which a TTLS client begins (RFC 5281 §11.2.5, §11.2.1)."""
        if gtc:
            return packets.eap_message(self._identity(0).octets())
        return packets.pap(self._name, self._text())

    def avps(self, data: bytes) -> bytes:
        """The answer to AVPs."""
        return packets.eap_message(self.answer(packets.packet_of(packets.inner_packet(data))).octets())

    def headless(self, data: bytes) -> bytes:
        """The answer to a packet of PEAPv0: EAP from its type on, but for EAP-TLV ([MS-PEAP] §3.1.5.6)."""
        if not data:
            raise MalformedError("an inner packet without a type")
        if data[0] == packets.REQUEST and int.from_bytes(data[2:4], "big") == len(data) > _HEADER:
            request = packets.packet_of(data)
        else:
            request = Packet(packets.REQUEST, 0, data[0], data[1:])
        octets = self.answer(request).octets()
        return octets if request.type == packets.TLV else octets[_HEADER:]

    def answer(self, request: Packet) -> Packet:
        if request.code != packets.REQUEST:
            raise MalformedError(f"inner EAP code {request.code} to a peer")
        match request.type:
            case packets.IDENTITY:
                return self._identity(request.identifier)
            case packets.GTC:
                self.prompts.append(request.data)
                return Packet(packets.RESPONSE, request.identifier, packets.GTC, self._text())
            case packets.TLV:
                self.results.append(packets.result(request))
                return packets.acknowledged(request.identifier, self.results[-1])
            case packets.NOTIFICATION:
                return Packet(packets.RESPONSE, request.identifier, packets.NOTIFICATION)
            case _:
                return Packet(packets.RESPONSE, request.identifier, packets.NAK, bytes((packets.GTC,)))

    def _identity(self, identifier: int) -> Packet:
        return Packet(packets.RESPONSE, identifier, packets.IDENTITY, self._name)

    def _text(self) -> bytes:
        text = next(self._texts, None)
        if text is None:
            raise MalformedError("it asks for more texts than there are")
        return text
