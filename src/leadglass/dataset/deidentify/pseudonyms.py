"""A name in place of a patient's: the same for all that is theirs, and no way back without the secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

_PREFIX: Final = "ANON-"
_LETTERS: Final = 16  # 80 bits: no two of a billion patients share one


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Makes pseudonyms under ``key``, 32 secret bytes of the site."""

    key: bytes = field(repr=False)

    def of(self, patient_id: bytes, authority: bytes) -> str:
        """The pseudonym of a patient: a number, and who gave it. ASCII, fit for LO and PN."""
        message = b"".join(len(part).to_bytes(4, "big") + part for part in (authority, patient_id))
        digest = hmac.digest(self.key, message, hashlib.sha256)
        return _PREFIX + base64.b32encode(digest).decode("ascii")[:_LETTERS]
