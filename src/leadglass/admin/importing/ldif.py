"""LDIF content records. RFC 2849, strictly: change records and values in other files are refused.

Our own reader, since it must be bounded and say the line; it is the small part of LDIF that exports use.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from leadglass.admin.importing.found import SourceInvalid
from leadglass.sitefile import quoted

MAX_LINE_CHARACTERS = 1 << 16
MAX_ENTRY_LINES = 10_000
MAX_ENTRIES = 100_000
MAX_RDNS = 32

_ATTRIBUTE = re.compile(
    r"([A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*)((?:;[A-Za-z0-9-]+)*)(::|:<|:)(.*)", re.DOTALL
)
_PART = re.compile(r"(?:^|,)((?:[^,\\]|\\.)*+)", re.DOTALL)
_ESCAPED = re.compile(rb"\\([0-9A-Fa-f]{2}|.)", re.DOTALL)
_SECRET = re.compile(r"passw|pin$|secret", re.IGNORECASE)

Dn = tuple[str, ...]
"""A distinguished name, the leaf first: each ``attribute=value`` in small letters, without escapes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record. Attributes by their names in small letters; passwords and binary values are not kept."""

    line: int
    dn: Dn
    attributes: Mapping[str, tuple[str, ...]]

    @property
    def classes(self) -> frozenset[str]:
        """Its object classes, in small letters."""
        return frozenset(value.lower() for value in self.attributes.get("objectclass", ()))

    @property
    def parent(self) -> Dn:
        """The name of the entry above it."""
        return self.dn[1:]

    def first(self, attribute: str) -> str:
        """An attribute's first value, or nothing."""
        return next(iter(self.attributes.get(attribute.lower(), ())), "")

    def all(self, attribute: str) -> tuple[str, ...]:
        """All values of an attribute, in their order."""
        return self.attributes.get(attribute.lower(), ())


@dataclass(slots=True)
class _Record:
    line: int
    dn: Dn = ()
    rows: int = 0
    attributes: dict[str, list[str]] = field(default_factory=dict)


def parse_ldif(text: str, path: str) -> tuple[Entry, ...]:
    """The entries of a file in their order; ``path`` names it in messages.

    Raises:
        SourceInvalid: not LDIF content, or beyond the limits above; with the line.
    """
    entries: list[Entry] = []
    for record in _records(text, path):
        if len(entries) == MAX_ENTRIES:
            raise SourceInvalid(f"{path}:{record.line}", f"more than {MAX_ENTRIES} entries")
        entries.append(
            Entry(record.line, record.dn, {key: tuple(values) for key, values in record.attributes.items()})
        )
    return tuple(entries)


def parse_dn(text: str) -> Dn:
    """A distinguished name as it is compared. RFC 4514, without multi-valued parts' order.

    Raises:
        ValueError: not one.
    """
    found = list(_PART.finditer(text))
    if "".join(each[0] for each in found) != text:
        raise ValueError("a backslash at its end")
    parts = [each[1] for each in found]
    if len(parts) > MAX_RDNS:
        raise ValueError("too many parts")
    return tuple(_rdn(part) for part in parts)


def _rdn(part: str) -> str:
    name, equals, value = part.partition("=")
    if not equals or not name.strip():
        raise ValueError("a part is no attribute=value")
    try:
        plain = _ESCAPED.sub(_unescaped, value.strip().encode()).decode()
    except UnicodeDecodeError:
        raise ValueError("an escape is not UTF-8") from None
    return f"{name.strip()}={plain}".casefold()


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode()) if len(found[1]) == 2 else found[1]


def _records(text: str, path: str) -> Iterator[_Record]:
    record: _Record | None = None
    is_first = True
    for line, row in _unfolded(text, path):
        where = f"{path}:{line}"
        if not row:
            if record is not None:
                yield from _whole(record, path)
            record = None
            continue
        attribute, value = _attribute(row, where)
        if is_first and attribute == "version":
            if value != "1":
                raise SourceInvalid(where, f"LDIF version {quoted(value or '')}; this reads version 1")
            is_first = False
            continue
        is_first = False
        record = _Record(line) if record is None else record
        record.rows += 1
        if record.rows > MAX_ENTRY_LINES:
            raise SourceInvalid(where, f"an entry of more than {MAX_ENTRY_LINES} lines")
        _add(record, attribute, value, where)
    if record is not None:
        yield from _whole(record, path)


def _add(record: _Record, attribute: str, value: str | None, where: str) -> None:
    match attribute:
        case "dn":
            if record.dn:
                raise SourceInvalid(where, "a second dn in one entry: an empty line is missing")
            try:
                record.dn = parse_dn(value or "")
            except ValueError as error:
                raise SourceInvalid(where, f"not a distinguished name: {error}") from None
        case "changetype" if value != "add":
            raise SourceInvalid(where, f"a change ({quoted(value or '')}): export the entries themselves")
        case "control":
            raise SourceInvalid(where, "a control of a change: export the entries themselves")
        case _ if value is not None and not _SECRET.search(attribute):
            record.attributes.setdefault(attribute, []).append(value)
        case _:
            return


def _whole(record: _Record, path: str) -> Iterator[_Record]:
    if record.dn:
        yield record
    elif record.attributes.keys() - {"search", "result", "ref"}:  # ldapsearch says how it ended
        raise SourceInvalid(f"{path}:{record.line}", "an entry without a dn")


def _attribute(row: str, where: str) -> tuple[str, str | None]:
    """A row's attribute, without options, and its value; ``None`` where that is no text."""
    found = _ATTRIBUTE.fullmatch(row)
    if found is None:
        raise SourceInvalid(where, "neither 'attribute: value' nor a comment")
    attribute, separator, raw = found[1].lower(), found[3], found[4]
    if separator == ":<":
        raise SourceInvalid(where, f"the value of {attribute} is in another file, which is not read")
    if separator == ":":
        return attribute, raw.lstrip(" ")
    try:
        content = base64.b64decode(raw.strip(" "), validate=True)
    except (binascii.Error, ValueError):
        raise SourceInvalid(where, f"the value of {attribute} is not base64") from None
    try:
        return attribute, content.decode()
    except UnicodeDecodeError:
        return attribute, None


def _unfolded(text: str, path: str) -> Iterator[tuple[int, str]]:
    """Logical lines with the number of their first; comments are dropped, empty lines kept."""
    parts: list[str] = []
    start = length = 0
    for number, physical in enumerate(text.split("\n"), start=1):
        row = physical.removesuffix("\r")
        if row.startswith(" "):
            if not parts or not parts[0]:
                raise SourceInvalid(f"{path}:{number}", "a line goes on that was never begun")
            row = row[1:]
        else:
            yield from _finished(start, parts)
            start, parts, length = number, [], 0
        parts.append(row)
        length += len(row)
        if length > MAX_LINE_CHARACTERS:
            raise SourceInvalid(f"{path}:{start}", f"a line of more than {MAX_LINE_CHARACTERS} characters")
    yield from _finished(start, parts)


def _finished(start: int, parts: list[str]) -> Iterator[tuple[int, str]]:
    if parts and not parts[0].startswith("#"):
        yield start, "".join(parts)
