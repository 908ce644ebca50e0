"""Changes to the text of a policy that keep its comments and its order.

Every change is compared with what it should mean before it is handed out: a file written in a
way these edits do not understand is left alone, with the line to write by hand.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import date

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array, InlineTable, Table

from leadglass.model.errors import ConfigurationInvalid
from leadglass.sitefile import quoted, toml_string, toml_strings

EntryValue = str | int | tuple[str, ...] | date

_ANY_HEADER = re.compile(r"\s*\[")
_KEY = re.compile(r"\s*[A-Za-z0-9_\"'-]+\s*=")
_REVOKED = re.compile(r",\s*revoked\s*=\s*[0-9-]+|revoked\s*=\s*[0-9-]+\s*,\s*")
_COMMENT = re.compile(r"\s*#")


def changed_lines(name: str, before: str, after: str) -> tuple[str, ...]:
    """Each line that goes, by its number in the file as it is, and that comes, by that of the file to be."""
    old, new = before.splitlines(), after.splitlines()
    found: list[str] = []
    for what, start, end, begins, ends in difflib.SequenceMatcher(None, old, new).get_opcodes():
        if what != "equal":
            found += [f"{name}:{number + 1} - {old[number]}" for number in range(start, end)]
            found += [f"{name}:{number + 1} + {new[number]}" for number in range(begins, ends)]
    return tuple(found)


def entry_line(name: str, entry: Mapping[str, EntryValue]) -> str:
    """A device or a rule as one line of its table."""
    written = ", ".join(f"{key} = {_value(value)}" for key, value in entry.items())
    return f"{name} = {{ {written} }}"


def with_device(text: str, name: str, entry: Mapping[str, EntryValue]) -> str:
    """The policy with one more device, after the last one.

    Raises:
        ConfigurationInvalid: there is such a device, or the file must be edited by hand.
    """
    if name in names_in(text, "devices"):
        raise ConfigurationInvalid(f"device {name} exists: renew it, or revoke it")
    return with_entry(text, "devices", name, entry)


def with_entry(text: str, table: str, name: str, entry: Mapping[str, EntryValue]) -> str:
    """The policy with one more line in a table, after its last one; ``name`` must be new there.

    Raises:
        ConfigurationInvalid: the file must be edited by hand.
    """
    meant = _load(text)
    entries = meant.setdefault(table, {})
    if not isinstance(entries, dict):
        raise ConfigurationInvalid(f"[{table}] is not a table")
    entries[name] = {key: list(v) if isinstance(v, tuple) else v for key, v in entry.items()}
    line = entry_line(name, entry)
    end = _line_end(text)
    for candidate in (
        _after_last(text, table, line),
        end.join((text.rstrip(), "", f"[{table}]", line, "")),
    ):
        if _means(candidate, meant):
            return candidate
    raise ConfigurationInvalid(f"[{table}] is written in an unusual way: add this line by hand: {line}")


def without_entry(text: str, table: str, name: str) -> str:
    """The policy without one line of a table, and no other byte changed.

    Raises:
        ConfigurationInvalid: there is no such line, or the file must be edited by hand.
    """
    meant = _load(text)
    entries = meant.get(table)
    if not isinstance(entries, dict) or name not in entries:
        raise ConfigurationInvalid(f"[{table}] has no {quoted(name)}")
    del entries[name]
    row = re.compile(rf"^[ \t]*{re.escape(name)}[ \t]*=[ \t]*\{{.*(?:\n|\Z)", re.MULTILINE)
    for found in row.finditer(text):
        candidate = text[: found.start()] + text[found.end() :]
        if _means(candidate, meant):
            return candidate
    document = _parse(text)
    standing = document.get(table)
    if isinstance(standing, Table | InlineTable):
        standing.remove(name)
        candidate = tomlkit.dumps(document)
        if _means(candidate, meant):
            return candidate
    raise ConfigurationInvalid(f"[{table}] is written in an unusual way: take {quoted(name)} out by hand")


def names_in(text: str, table: str) -> frozenset[str]:
    """What a table of the policy defines.

    Raises:
        ConfigurationInvalid: it is no TOML, or that is no table.
    """
    entries = _load(text).get(table, {})
    if not isinstance(entries, dict):
        raise ConfigurationInvalid(f"[{table}] is not a table")
    return frozenset(entries)


def with_revoked(text: str, name: str, day: date) -> str:
    """The policy with ``revoked = <day>`` in a device's entry; an earlier day stays.

    Raises:
        ConfigurationInvalid: no such device, or the file must be edited by hand.
    """
    meant = _load(text)
    entry = _entry_of(meant, name)
    if "revoked" in entry:
        return text
    entry["revoked"] = day

    def in_row(row: str) -> Iterator[str]:
        for brace in re.finditer("}", row):  # one of them ends the entry
            head, tail = row[: brace.start()], row[brace.start() :]
            yield f"{head.rstrip()}, revoked = {day.isoformat()} {tail}"

    def in_table(table: InlineTable | Table) -> None:
        table["revoked"] = day

    return _edited(text, name, meant, in_row, in_table)


def without_revoked(text: str, name: str) -> str:
    """The policy with ``revoked`` taken out of a device's entry. Raises as ``with_revoked``."""
    meant = _load(text)
    entry = _entry_of(meant, name)
    if "revoked" not in entry:
        return text
    del entry["revoked"]

    def in_row(row: str) -> Iterator[str]:
        for found in _REVOKED.finditer(row):
            yield row[: found.start()] + row[found.end() :]

    def in_table(table: InlineTable | Table) -> None:
        table.remove("revoked")

    return _edited(text, name, meant, in_row, in_table)


def without_allow_tests(text: str, questions: frozenset[str]) -> str:
    """The policy without these lines of ``[tests] allow``."""
    document = _parse(text)
    tests = document.get("tests")
    allow = tests.get("allow") if isinstance(tests, Table | InlineTable) else None
    if isinstance(allow, Array):
        for question in [question for question in allow if question in questions]:
            allow.remove(question)
    return tomlkit.dumps(document)


def _edited(
    text: str,
    name: str,
    meant: dict[str, object],
    in_row: Callable[[str], Iterator[str]],
    in_table: Callable[[InlineTable | Table], None],
) -> str:
    """The entry's one row changed, and no other byte; tomlkit's way where it is not one row."""
    row = re.search(rf"^[ \t]*{re.escape(name)}[ \t]*=[ \t]*\{{.*$", text, re.MULTILINE)
    if row is not None:
        for changed in in_row(row[0]):
            candidate = text[: row.start()] + changed + text[row.end() :]
            if _means(candidate, meant):
                return candidate
    document = _parse(text)
    devices = document.get("devices")
    entry = devices.get(name) if isinstance(devices, Table | InlineTable) else None
    if isinstance(entry, InlineTable | Table):
        in_table(entry)
        candidate = tomlkit.dumps(document)
        if _means(candidate, meant):
            return candidate
    raise ConfigurationInvalid(f"device {name} is written in an unusual way: change it by hand")


def _entry_of(policy: dict[str, object], name: str) -> dict[str, object]:
    devices = policy.get("devices")
    entry = devices.get(name) if isinstance(devices, dict) else None
    if not isinstance(entry, dict):
        raise ConfigurationInvalid(f"there is no device {quoted(name)} in the policy")
    return entry


def _after_last(text: str, table: str, line: str) -> str:
    lines = text.splitlines(keepends=True)
    title = re.compile(rf"\s*\[\s*{table}\s*\]\s*(#.*)?")
    header = next((at for at, row in enumerate(lines) if title.fullmatch(row.rstrip())), None)
    if header is None:
        return ""
    section = [at for at in range(header + 1, len(lines)) if _ANY_HEADER.match(lines[at])]
    rows = range(header + 1, section[0] if section else len(lines))
    last = max((at for at in rows if _KEY.match(lines[at])), default=None)
    if last is None:  # below the header's own comments
        last = header
        while last + 1 in rows and _COMMENT.match(lines[last + 1]):
            last += 1
    before, after = "".join(lines[: last + 1]), "".join(lines[last + 1 :])
    end = _line_end(text)
    gap = "" if before.endswith("\n") else end
    return f"{before}{gap}{line}{end}{after}"


def _line_end(text: str) -> str:
    """How the file ends its lines: an editor for Windows leaves them to us in its own way."""
    return "\r\n" if "\r\n" in text else "\n"


def _value(value: EntryValue) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int):
        return str(value)
    return toml_string(value) if isinstance(value, str) else toml_strings(value)


def _load(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationInvalid(f"the policy is not TOML: {error}") from error


def _parse(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigurationInvalid(f"the policy is not TOML: {error}") from error


def _means(text: str, meant: dict[str, object]) -> bool:
    try:
        return tomllib.loads(text) == meant
    except tomllib.TOMLDecodeError:
        return False
