"""Strict reading of one table: what is asked for is known, everything else is an error."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import cast

from leadglass.sitefile.finding import Finding, Place, Severity, quoted
from leadglass.sitefile.nearest import suggest
from leadglass.sitefile.places import KeyPath
from leadglass.sitefile.source import Source

MAX_TEXT_CHARACTERS = 1024

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Notes:
    """What was found in one source so far."""

    source: Source
    _found: list[Finding] = field(default_factory=list)

    def error(self, place: Place, message: str, hint: str = "") -> None:
        """Note an error."""
        self._note(Severity.ERROR, place, message, hint)

    def warn(self, place: Place, message: str, hint: str = "") -> None:
        """Note a warning."""
        self._note(Severity.WARNING, place, message, hint)

    def _note(self, severity: Severity, place: Place, message: str, hint: str) -> None:
        self._found.append(Finding(severity, self.source.path, place.line, place.column, message, hint))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything noted, in the file's order."""
        return tuple(sorted(self._found, key=lambda finding: (finding.line, finding.column)))

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The errors alone, in the file's order."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)


class Table:
    """One table, read key by key. A wrong value is noted and reads as absent (``None``).

    After the last key call ``refuse_others``: what was never asked for is unknown.
    """

    def __init__(self, notes: Notes, path: KeyPath, values: Mapping[str, object]) -> None:
        self.notes = notes
        self.path = path
        self._values = values
        self._asked: list[str] = []

    @classmethod
    def root(cls, notes: Notes) -> Table:
        """The whole file as a table."""
        return cls(notes, (), notes.source.values)

    @property
    def place(self) -> Place:
        """Where the table's own name stands."""
        return self.notes.source.key_place(self.path)

    def key_place(self, key: str) -> Place:
        """Where a key of this table stands."""
        return self.notes.source.key_place((*self.path, key))

    def place_of(self, *within: str | int) -> Place:
        """Where a value of this table stands: ``place_of("cidr", 0)``."""
        return self.notes.source.value_place((*self.path, *within))

    def require(self, key: str, hint: str) -> None:
        """Note an error when the key is missing."""
        if key not in self._values:
            where = ".".join(str(part) for part in self.path)
            self.notes.error(self.place, f"{where or 'the file'} has no {quoted(key)}", hint)

    def text(self, key: str) -> str | None:
        """A string of at most MAX_TEXT_CHARACTERS, without control characters."""
        value = self._ask(key)
        if isinstance(value, str):
            if len(value) <= MAX_TEXT_CHARACTERS and value.isprintable():
                return value
            limit = f"one line of at most {MAX_TEXT_CHARACTERS} characters"
            self.notes.error(self.place_of(key), f"{quoted(key)} must be {limit}")
        else:
            self._refuse_type(key, "a string", value)
        return None

    def whole(self, key: str, low: int, high: int) -> int | None:
        """A whole number from ``low`` to ``high``."""
        value = self._ask(key)
        if isinstance(value, int) and not isinstance(value, bool):
            if low <= value <= high:
                return value
            self.notes.error(self.place_of(key), f"{quoted(key)} must be from {low} to {high}")
        else:
            self._refuse_type(key, "a whole number", value)
        return None

    def day(self, key: str) -> date | None:
        """A date without a time."""
        value = self._ask(key)
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        self._refuse_type(key, "a date without quotes, like 2027-01-31", value)
        return None

    def words(self, key: str) -> tuple[str, ...] | None:
        """A list of strings, or one string alone, which reads as a list of one. Repeats are errors."""
        value = self._ask(key)
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list):
            return self._items(key, value)
        self._refuse_type(key, "a list of strings", value)
        return None

    def _items(self, key: str, items: list[object]) -> tuple[str, ...]:
        read: dict[str, None] = {}
        for number, item in enumerate(items):
            place = self.place_of(key, number)
            if not isinstance(item, str):
                self.notes.error(place, f"{quoted(key)} must be a list of strings, not {_kind(item)}")
            elif item in read:
                self.notes.error(place, f"{quoted(item)} stands twice in {quoted(key)}")
            else:
                read[item] = None
        return tuple(read)

    def table(self, key: str) -> Table:
        """The table at ``key``; an empty one when it is absent or wrong."""
        value = self._ask(key)
        if not isinstance(value, dict):
            self._refuse_type(key, "a table", value)
            value = {}
        return Table(self.notes, (*self.path, key), cast("Mapping[str, object]", value))

    def tables(self) -> Iterator[tuple[str, Table]]:
        """Every key of this table as a table of its own, named as ``names`` says."""
        for name in self.names():
            yield name, self.table(name)

    def names(self) -> Iterator[str]:
        """The keys, of a table whose keys are names we give: letters, digits, ``-`` and ``_``."""
        for key in self._values:
            if _NAME.fullmatch(key):
                yield key
            else:
                self._asked.append(key)
                hint = "use letters, digits, - and _, at most 63 of them"
                self.notes.error(self.key_place(key), f"bad name {quoted(key)}", hint)

    def keys(self) -> tuple[str, ...]:
        """The keys there are."""
        return tuple(self._values)

    def refuse_others(self) -> None:
        """Note every key that was never asked for."""
        for key in self._values:
            if key not in self._asked:
                self.notes.error(self.key_place(key), f"unknown key {quoted(key)}", suggest(key, self._asked))

    def one_of(self, key: str, word: str, known: Collection[str], *within: int) -> bool:
        """Whether ``word``, read from ``key``, is known; noted when not."""
        if word in known:
            return True
        self.notes.error(
            self.place_of(key, *within), f"{quoted(key)} has unknown {quoted(word)}", suggest(word, known)
        )
        return False

    def _ask(self, key: str) -> object:
        self._asked.append(key)
        return self._values.get(key)

    def _refuse_type(self, key: str, wanted: str, value: object) -> None:
        if value is not None:
            self.notes.error(self.place_of(key), f"{quoted(key)} must be {wanted}, not {_kind(value)}")


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"
