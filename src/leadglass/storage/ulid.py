"""ULIDs: names that sort by the time they were made, 48 bits of milliseconds and 80 random bits.

The public ULID specification: 26 characters of Crockford's base 32, upper case.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BYTES = 10
_CHARACTERS = 26
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def new_ulid(now: datetime, random_bytes: Callable[[int], bytes]) -> str:
    """A new name. ``now`` is aware; two names of one millisecond sort by chance."""
    milliseconds = int(now.timestamp() * 1000)
    number = milliseconds << 80 | int.from_bytes(random_bytes(_RANDOM_BYTES), "big")
    return "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_CHARACTERS)))


def is_ulid(text: str) -> bool:
    """Whether ``text`` is a ULID as ``new_ulid`` writes it, and so can be no path."""
    return _ULID.fullmatch(text) is not None
