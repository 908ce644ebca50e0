"""Names of a policy, made of whatever another archive called its machines."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from leadglass.policy.reading.words import RESERVED

MAX_CHARACTERS = 48  # a rule's name has a word before it, and 63 in all

_OTHER = re.compile(r"[^a-z0-9]+")


def policy_names(wanted: Iterable[str]) -> tuple[str, ...]:
    """A name for each, in their order: small letters, digits and hyphens, each once, none of the language."""
    taken = set(RESERVED)
    names = []
    for text in wanted:
        name = _unused(_slug(text), taken)
        taken.add(name)
        names.append(name)
    return tuple(names)


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text[: 4 * MAX_CHARACTERS]).encode("ascii", "ignore").decode()
    return _OTHER.sub("-", plain.lower()).strip("-")[:MAX_CHARACTERS].strip("-") or "device"


def _unused(slug: str, taken: set[str]) -> str:
    name, number = slug, 2
    while name in taken:
        suffix = f"-{number}"
        name, number = slug[: MAX_CHARACTERS - len(suffix)].rstrip("-") + suffix, number + 1
    return name
