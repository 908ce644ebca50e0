"""JSON as Orthanc reads it, with comments of C and C++, each value with its line.

Stricter than Orthanc where it guesses: a key set twice is refused, since which one holds decides who gets in.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass

from leadglass.admin.importing.found import SourceInvalid
from leadglass.sitefile import quoted

MAX_DEPTH = 32

_BLANK = re.compile(r"(?:[ \t\r\n]++|//[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/)*+")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*+"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,31})(?:\.[0-9]{1,32})?(?:[eE][+-]?[0-9]{1,3})?(?![0-9.eE])")
_WORD = re.compile(r"(?:true|false|null)\b")


@dataclass(frozen=True, slots=True)
class Located:
    """A value and the line it begins in; an array's and an object's own values are located as well."""

    value: str | int | float | bool | list[Located] | dict[str, Located] | None
    line: int


def parse_commented_json(text: str, path: str) -> Located:
    """The one value of a file; ``path`` names it in messages. Nested at most MAX_DEPTH deep.

    Raises:
        SourceInvalid: not such JSON, a key twice, or too deep; with the line.
    """
    reader = _Reader(text, path)
    found = reader.value(0)
    reader.end()
    return found


class _Reader:
    def __init__(self, text: str, path: str) -> None:
        self._text = text
        self._path = path
        self._at = 0
        self._ends = [found.start() for found in re.finditer("\n", text)]

    def value(self, depth: int) -> Located:
        line = self._skip()
        if depth > MAX_DEPTH:
            raise self._wrong(f"nested deeper than {MAX_DEPTH}")
        match self._text[self._at : self._at + 1]:
            case "{":
                return Located(self._object(depth), line)
            case "[":
                return Located(self._array(depth), line)
            case '"':
                return Located(self._string(), line)
            case _:
                return Located(self._scalar(), line)

    def end(self) -> None:
        self._skip()
        if self._at < len(self._text):
            raise self._wrong("something stands behind the end of the configuration")

    def _object(self, depth: int) -> dict[str, Located]:
        self._at += 1
        members: dict[str, Located] = {}
        while not self._closes("}", first=not members):
            self._skip()
            if not self._text.startswith('"', self._at):
                raise self._wrong("expected a name in double quotes")
            name = self._string()
            if name in members:
                raise self._wrong(f"{quoted(name)} is set twice, first in line {members[name].line}")
            self._skip()
            if not self._take(":"):
                raise self._wrong(f"expected a colon behind {quoted(name)}")
            members[name] = self.value(depth + 1)
        return members

    def _array(self, depth: int) -> list[Located]:
        self._at += 1
        items: list[Located] = []
        while not self._closes("]", first=not items):
            items.append(self.value(depth + 1))
        return items

    def _closes(self, bracket: str, *, first: bool) -> bool:
        self._skip()
        if self._take(bracket):
            return True
        if not first and not self._take(","):
            raise self._wrong(f'expected a comma or "{bracket}"')
        return False

    def _string(self) -> str:
        found = _STRING.match(self._text, self._at)
        if found is None:
            raise self._wrong("a string that does not end in its line")
        try:
            value = json.loads(found[0])
        except ValueError:
            raise self._wrong("a string with an escape that JSON does not know") from None
        self._at = found.end()
        return str(value)

    def _scalar(self) -> int | float | bool | None:
        found = _WORD.match(self._text, self._at) or _NUMBER.match(self._text, self._at)
        if found is None:
            if self._text.startswith("${", self._at):
                raise self._wrong("a variable that Orthanc's environment fills in: write its value instead")
            raise self._wrong("expected a value")
        self._at = found.end()
        value = json.loads(found[0])
        return value if isinstance(value, bool | int | float) else None

    def _skip(self) -> int:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at
        if self._text.startswith("/*", self._at):
            raise self._wrong("a comment that does not end")
        return self._line()

    def _take(self, character: str) -> bool:
        if not self._text.startswith(character, self._at):
            return False
        self._at += 1
        return True

    def _line(self) -> int:
        return bisect_right(self._ends, self._at - 1) + 1

    def _wrong(self, message: str) -> SourceInvalid:
        return SourceInvalid(f"{self._path}:{self._line()}", message)
