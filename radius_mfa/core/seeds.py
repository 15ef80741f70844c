"""TOTP seeds: when two of them are one."""

from __future__ import annotations

import hashlib


def fingerprint_octets(seed: bytes) -> bytes:
    """The seed as HMAC-SHA-1 takes it (RFC 2104 §2): two that come to the same key make the same codes."""
    return (hashlib.sha1(seed, usedforsecurity=False).digest() if len(seed) > 64 else seed).rstrip(b"\0")
