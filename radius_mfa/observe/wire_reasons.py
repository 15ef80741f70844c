"""The same as `reasons` for what is met with silence, and for connections over TLS that end or never begin."""

from __future__ import annotations

from collections.abc import Mapping

from radius_mfa.observe.reasons import Reason
from radius_mfa.wire.clients import Stranger
from radius_mfa.wire.walker import DiscardReason

_NO_PACKET = "Nothing, if it is once in a while. Else look at who sends it, by its `source` in the log."
_MAKE_IT_SIGN = "Have the gateway send it: newer firmware does. Until then, `message_authenticator: auto`."
_NOTHING = "Nothing."
_WAITING = "A flood, or a directory that is slow: `radius_mfa_step_seconds` says which."

DISCARDS: Mapping[DiscardReason, Reason] = {
    DiscardReason.UNKNOWN_SOURCE: Reason(
        "The source address is no client's.", "If it is a gateway of yours, add the address to `clients`."
    ),
    DiscardReason.SHORTER_THAN_HEADER: Reason("Fewer than 20 octets.", _NO_PACKET),
    DiscardReason.SHORTER_THAN_LENGTH: Reason(
        "Fewer octets than its Length says.", _NO_PACKET + " Something on the way may drop fragments."
    ),
    DiscardReason.LENGTH_OUT_OF_RANGE: Reason("Its Length is below 20 or above 4096 octets.", _NO_PACKET),
    DiscardReason.CODE_NOT_SERVED: Reason(
        "Accounting, CoA, or another code that is not served.", "Turn it off at the gateway, or send it elsewhere."
    ),
    DiscardReason.ATTRIBUTE_TYPE_ZERO: Reason("An attribute of type 0.", _NO_PACKET),
    DiscardReason.ATTRIBUTE_TOO_SHORT: Reason("An attribute whose Length is below 2.", _NO_PACKET),
    DiscardReason.ATTRIBUTE_OVERRUN: Reason("An attribute that goes on behind the packet.", _NO_PACKET),
    DiscardReason.TOO_MANY_ATTRIBUTES: Reason("More attributes than any honest packet has.", _NO_PACKET),
    DiscardReason.EAP_WITH_PASSWORD: Reason(
        "EAP-Message beside a password of another kind (RFC 3579 §3.3).", "A mistake of the gateway's."
    ),
    DiscardReason.MESSAGE_AUTHENTICATOR_DUPLICATED: Reason("More than one Message-Authenticator.", _NO_PACKET),
    DiscardReason.MESSAGE_AUTHENTICATOR_MALFORMED: Reason(
        "A Message-Authenticator of another length than 16 octets.", _NO_PACKET
    ),
    DiscardReason.MESSAGE_AUTHENTICATOR_WRONG: Reason(
        "Message-Authenticator does not fit.", "Compare the client's `secret` with the gateway's."
    ),
    DiscardReason.MESSAGE_AUTHENTICATOR_REQUIRED: Reason(
        "No Message-Authenticator, and the client has to send one.", _MAKE_IT_SIGN
    ),
    DiscardReason.MESSAGE_AUTHENTICATOR_DOWNGRADED: Reason(
        "No Message-Authenticator, from a source that has sent one before.",
        "Somebody pretends to be the gateway, or it was replaced: then `radius-mfa clients --forget NAME`.",
    ),
    DiscardReason.STATUS_SERVER_UNSIGNED: Reason(
        "A Status-Server without a Message-Authenticator (RFC 5997 §3).", "Turn the probe off at the gateway."
    ),
    DiscardReason.EAP_UNSIGNED: Reason(
        "EAP without a Message-Authenticator (RFC 3579 §3.2).", "A mistake of the gateway's, or a forgery."
    ),
    DiscardReason.PROXY_STATE_UNSIGNED: Reason(
        "Proxy-State without a Message-Authenticator, which is where BlastRADIUS goes (CVE-2024-3596).",
        "Have the proxy send Message-Authenticator.",
    ),
    DiscardReason.NO_CREDENTIAL: Reason(
        "An Access-Request with no password of any kind, no EAP and no State.", "Look at what the gateway sends."
    ),
    DiscardReason.NOT_READY: Reason(
        "A Status-Server while directory or store does not work, so that the gateway goes to another node.",
        "`radius_mfa_up` and the log (`does_not_work`) say which of them.",
    ),
    DiscardReason.DUPLICATE_IN_FLIGHT: Reason(
        "The same packet again, while it is being decided.",
        _NOTHING + " Where it is many, the gateway waits too short a time.",
    ),
    DiscardReason.SUPERSEDED: Reason(
        "The gateway has used the Identifier again before this answer was ready.",
        "Give the gateway more patience.",
    ),
    DiscardReason.CLIENT_BUSY: Reason("Too much of this client is under way.", _WAITING),
    DiscardReason.SERVER_BUSY: Reason("Too much is under way.", _WAITING),
    DiscardReason.CLOSING: Reason("The server is about to end.", _NOTHING),
    DiscardReason.TOO_MANY_HELD: Reason("Too many refusals wait for their delay.", "Somebody guesses, or floods."),
    DiscardReason.WITHHELD: Reason(
        "Silence on purpose: `when_directory_fails: discard`, or `probe_users` while a part is broken.",
        "The audit file says why.",
    ),
    DiscardReason.ANSWER_FAILED: Reason("A mistake of ours.", "Please report the line of the log."),
    DiscardReason.CONNECTION_CLOSED: Reason("RadSec: the connection ended before the answer.", _NOTHING),
}

# Why a connection over TLS (RadSec) never began.
RADSEC_REFUSED: Mapping[str, Reason] = {
    "handshake_failed": Reason(
        "No TLS came about; `detail` has TLS's own words.", "docs/radsec.md says what each of them means."
    ),
    "handshake_cut": Reason("It was the oldest of more handshakes than there is room for.", "Somebody floods."),
    "too_many_connections": Reason(
        "More connections than there is room for.", "Somebody floods, or never closes."
    ),
    "too_many_of_client": Reason(
        "More connections of this client than there is room for.", "Its gateway opens them and never closes one."
    ),
    Stranger.NAMELESS: Reason(
        "No DNS name and no address among the certificate's subjectAltNames.",
        "Make the gateway another certificate.",
    ),
    Stranger.UNKNOWN: Reason("No client has one of its `names`.", "Give the client that name as `certificate`."),
    Stranger.AMBIGUOUS: Reason("More than one client has one of its `names`.", "Take one of them away."),
    Stranger.ELSEWHERE: Reason(
        "The right certificate, from an address that is not the client's.",
        "Mend `address`, or ask who has the key.",
    ),
}

# Why one ended.
RADSEC_CLOSED: Mapping[str, Reason] = {
    "closed_by_peer": Reason("The gateway closed it.", _NOTHING),
    "malformed": Reason(
        "What came was no packet, or its Message-Authenticator was wrong.",
        "Look at the gateway; the secret over TLS is `radsec`.",
    ),
    "packet_took_too_long": Reason("A packet was begun and not ended in time.", "Look at the network."),
    "does_not_read": Reason("The gateway does not fetch its answers.", "Look at the gateway."),
    "idle": Reason("Nothing came for `idle_timeout`.", _NOTHING),
    "client_removed": Reason("The client is not in the configuration any more.", _NOTHING),
    "stopping": Reason("The server has ended.", _NOTHING),
}
