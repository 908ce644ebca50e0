"""TOML text to values, each with its exact place."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from leadglass.sitefile.finding import FileInvalid, Finding, Place, Severity, quoted
from leadglass.sitefile.places import MAX_NESTING, Duplicate, KeyPath, Places, TooDeep, find_places

MAX_SOURCE_BYTES = 1 << 20

_BYTE_ORDER_MARK = "\ufeff"
_LONG_NUMBER = re.compile(r"[0-9](?:_?[0-9]){4300}")  # more than int() reads
_TOMLLIB_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
# tomllib and the tree are quadratic in the parts of one dotted key; nothing of ours needs more than a few.
_LONG_KEY = re.compile(r"""(?<![\w\-"'])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){64}""")


@dataclass(frozen=True, slots=True)
class Source:
    """A file's values and the place of each. Paths name keys, and array items by number."""

    path: str
    values: Mapping[str, object]
    places: Places

    def key_place(self, path: KeyPath) -> Place:
        """Where the key stands; of one that is absent, where its nearest present parent does."""
        return self._nearest_place(self.places.keys, path)

    def value_place(self, path: KeyPath) -> Place:
        """Where the value begins; of one that is absent, where its nearest present parent does."""
        return self._nearest_place(self.places.values, path)

    def value_at(self, path: KeyPath) -> object:
        """The value of a path through tables; ``None`` when there is none."""
        value: object = self.values
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def _nearest_place(self, places: Mapping[KeyPath, Place], path: KeyPath) -> Place:
        while path:
            if path in places:
                return places[path]
            path = path[:-1]
            places = self.places.values
        return Place(1, 1)


def decode_text(content: bytes, *, path: str) -> str:
    """The text of the file that ``path`` names in messages.

    Raises:
        FileInvalid: not UTF-8; its one finding says where.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        place = _place_at(before, len(before))
        raise _refusal(path, place, "not UTF-8 text", "save it as UTF-8") from None


def read_source(text: str, *, path: str) -> Source:
    """Parse ``text``, the content of the file that ``path`` names in messages.

    At most 1 MiB of UTF-8, and nested at most MAX_NESTING deep.

    Raises:
        FileInvalid: not TOML, a key set twice, too large or too deep; its one finding says where.
    """
    encoded = _encode(text, path)
    if text.startswith(_BYTE_ORDER_MARK):
        raise _refusal(path, Place(1, 1), "a byte order mark", "save it as UTF-8 without one")
    long_key = _LONG_KEY.search(text)
    if long_key:
        raise _too_deep(path, _place_at(text, long_key.start()))
    try:
        places = find_places(encoded)
    except TooDeep as error:
        raise _too_deep(path, error.place) from None
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise _too_deep(path, Place(1, 1)) from None
    except tomllib.TOMLDecodeError as error:
        raise FileInvalid((_syntax_finding(path, text, str(error), places),)) from None
    except ValueError:  # int() refuses thousands of digits, and does not say where
        number = _LONG_NUMBER.search(text)
        place = _place_at(text, number.start() if number else 0)
        raise _refusal(path, place, "a number has too many digits") from None
    return Source(path, values, places)


def _encode(text: str, path: str) -> bytes:
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise _refusal(path, _place_at(text, error.start), "not UTF-8 text") from None
    if len(encoded) > MAX_SOURCE_BYTES:
        raise _refusal(path, Place(1, 1), f"larger than {MAX_SOURCE_BYTES} bytes")
    return encoded


def _place_at(text: str, offset: int) -> Place:
    line_start = text.rfind("\n", 0, offset) + 1
    return Place(text.count("\n", 0, offset) + 1, offset - line_start + 1)


def _refusal(path: str, place: Place, message: str, hint: str = "") -> FileInvalid:
    return FileInvalid((Finding(Severity.ERROR, path, place.line, place.column, message, hint),))


def _too_deep(path: str, place: Place) -> FileInvalid:
    return _refusal(path, place, f"tables or arrays nested deeper than {MAX_NESTING}")


def _syntax_finding(path: str, text: str, said: str, places: Places) -> Finding:
    if places.duplicates and said.startswith(("Cannot ", "Duplicate ")):
        return _duplicate_finding(path, places.duplicates[0])
    message = _TOMLLIB_PLACE.sub("", said)
    message = "not TOML: " + message[:1].lower() + message[1:]
    place = _syntax_place(text, said, places)
    return Finding(Severity.ERROR, path, place.line, place.column, message)


def _syntax_place(text: str, said: str, places: Places) -> Place:
    named = _TOMLLIB_PLACE.search(said)
    if named and named[1]:
        return Place(int(named[1]), int(named[2]))
    # "At end of document" helps nobody find an unclosed bracket; the tree knows where sense ended.
    return places.broken[0] if places.broken else _place_at(text, len(text))


def _duplicate_finding(path: str, duplicate: Duplicate) -> Finding:
    dotted = ".".join(str(part) for part in duplicate.path)
    place = duplicate.place
    return Finding(
        Severity.ERROR,
        path,
        place.line,
        place.column,
        f"{quoted(dotted)} is set twice",
        f"it is already set in line {duplicate.first.line}, column {duplicate.first.column}",
    )
