"""Secrets made of a secret: one for each purpose, so that none gives another away. RFC 5869."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

DERIVED_BYTES = 32
PSEUDONYMS = "leadglass pseudonyms of patients 1"
"""The purpose of the secret that names patients in what goes out without identity."""


def derive(secret: bytes, purpose: str) -> bytes:
    """32 bytes that follow from ``secret`` and ``purpose`` alone, and tell neither."""
    return HKDF(SHA256(), DERIVED_BYTES, salt=None, info=purpose.encode("ascii")).derive(secret)
