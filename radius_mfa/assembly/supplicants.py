"""What serves 802.1X, under one configuration after another: conversations and TLS sessions outlive a reload."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

from radius_mfa.config import model
from radius_mfa.config.load import Loaded
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.ports import Clock, Entropy, Meter, Sealer
from radius_mfa.service.service import MakeSupplicants

# OpenSSL is imported where it is needed: most servers do without it.
if TYPE_CHECKING:
    from radius_mfa.eap.tunnel import Terms
    from radius_mfa.service.talks import Talks


class EapServing:
    """`worker`: our number among those of the server."""

    def __init__(self, clock: Clock, entropy: Entropy, meter: Meter, worker: int) -> None:
        self._clock = clock
        self._entropy = entropy
        self._meter = meter
        self._worker = worker
        self._talks: Talks | None = None
        self._terms: tuple[bytes, Terms] | None = None

    @property
    def conversations(self) -> int:
        """How many there are."""
        return 0 if self._talks is None else len(self._talks)

    def under(self, loaded: Loaded, sealer: Sealer) -> MakeSupplicants | None:
        """What makes that which answers, None where EAP is not served.  Raises ConfigurationError."""
        configured = loaded.configuration.eap
        if configured is None:
            return None
        from radius_mfa.eap.dialogue import METHODS
        from radius_mfa.service.supplicants import Eap, Supplicants
        from radius_mfa.service.talks import Talks

        self._talks = self._talks or Talks(self._clock, self._entropy, self._meter, self._worker)
        eap = Eap(
            methods=tuple(METHODS[each] for each in configured.methods),
            terms=self._terms_of(loaded, configured),
            session_lifetime=configured.session_lifetime,
            identity=configured.identity,
            challenge_lifetime=loaded.configuration.challenge_lifetime,
        )
        return partial(
            Supplicants,
            eap,
            self._talks,
            sealer=sealer,
            clock=self._clock,
            entropy=self._entropy,
            meter=self._meter,
        )

    def _terms_of(self, loaded: Loaded, configured: model.Eap) -> Terms:
        """As they were, with their sessions, where nothing has changed that they are made of."""
        from radius_mfa.eap.tunnel import Terms, TunnelError

        try:
            octets = configured.certificate.read_bytes() + configured.key.read_bytes()
            said = repr((octets, configured.tls, configured.session_lifetime)).encode()
            made_of = hashlib.sha256(said).digest()
            if self._terms is None or self._terms[0] != made_of:
                terms = Terms(configured.certificate, configured.key, configured.tls, configured.session_lifetime)
                self._terms = made_of, terms
        except (OSError, TunnelError) as broken:
            text = f"certificate and key cannot be used: {broken}"
            raise ConfigurationError(loaded.places.cite(text, "eap")) from None
        return self._terms[1]
