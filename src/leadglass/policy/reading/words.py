"""What several tables have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable

from leadglass.model.action import Verb
from leadglass.model.names import LABEL
from leadglass.sitefile import Place, quoted, suggest
from leadglass.sitefile.table import Notes, Table

RESERVED = frozenset({"any", "approved", "archive", "internet", "mfa", "reason", "site"})

_MODALITY = re.compile(r"[A-Z0-9_]{1,16}")


def refuse_reserved(name: str, notes: Notes, place: Place) -> None:
    """Note a name that questions and rules use for something else."""
    if name.lower() in RESERVED:
        notes.error(place, f"{quoted(name)} is a word of the language", "choose another name")


def read_verbs(table: Table, known: Iterable[Verb]) -> frozenset[Verb]:
    """``can``: verbs out of ``known``."""
    table.require("can", "say what it may do; an empty list is nothing")
    words = table.words("can") or ()
    allowed = sorted(known)
    return frozenset(
        Verb(word) for number, word in enumerate(words) if table.one_of("can", word, allowed, number)
    )


def read_references(table: Table, key: str, defined: Iterable[str]) -> tuple[str, ...]:
    """Names that must be among ``defined``; the others are noted and left out."""
    known = tuple(defined)
    words = table.words(key) or ()
    return tuple(word for number, word in enumerate(words) if _is_defined(table, key, number, word, known))


def _is_defined(table: Table, key: str, number: int, word: str, known: tuple[str, ...]) -> bool:
    if word in known:
        return True
    if "*" not in word:  # a wildcard is refused as what it is, once
        place = table.place_of(key, number)
        table.notes.error(place, f"{quoted(key)} names unknown {quoted(word)}", suggest(word, known))
    return False


def is_modality(table: Table, key: str, number: int, word: str) -> bool:
    """Whether ``word`` has the form of a Modality (0008,0060); noted when not."""
    if _MODALITY.fullmatch(word):
        return True
    hint = (
        f"did you mean {quoted(word.upper())}?" if _MODALITY.fullmatch(word.upper()) else "write it like CT"
    )
    table.notes.error(table.place_of(key, number), f"{quoted(word)} is not a modality", hint)
    return False


def is_label(table: Table, key: str, number: int, word: str) -> bool:
    """Whether ``word`` can be a label; noted when not."""
    if LABEL.fullmatch(word):
        return True
    hint = "use letters, digits, dot, - and _, at most 64 of them"
    table.notes.error(table.place_of(key, number), f"{quoted(word)} is not a label", hint)
    return False


def dotted(table: Table) -> str:
    """The table's path as the file would write it."""
    return ".".join(str(part) for part in table.path)
