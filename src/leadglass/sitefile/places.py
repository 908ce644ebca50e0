"""Where every key and value of a TOML text stands, from its syntax tree.

``tomllib`` gives values without places; the tree gives places without values. The walk keeps its
own stack, so no text can exhaust Python's.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from itertools import accumulate

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from leadglass.sitefile.finding import Place

KeyPath = tuple[str | int, ...]

MAX_NESTING = 16


class TooDeep(Exception):
    """Tables and arrays are nested deeper than MAX_NESTING."""

    def __init__(self, place: Place) -> None:
        super().__init__(f"nested deeper than {MAX_NESTING}")
        self.place = place


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key set twice: the second place, and the first."""

    path: KeyPath
    place: Place
    first: Place


@dataclass(frozen=True, slots=True)
class Places:
    """Places by path; array items by their number. ``broken`` is where the text stops being TOML."""

    keys: dict[KeyPath, Place] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    duplicates: list[Duplicate] = field(default_factory=list)
    broken: list[Place] = field(default_factory=list)


def find_places(text: bytes) -> Places:
    """The places in a UTF-8 text, also in a broken one, as far as its tree makes sense.

    Raises:
        TooDeep: nested deeper than MAX_NESTING.
    """
    return _Walk(text).run()


class _Walk:
    """One walk over one tree, filling ``places``."""

    def __init__(self, text: bytes) -> None:
        self._lines = _Lines(text)
        self._root = Parser(Language(tree_sitter_toml.language())).parse(text).root_node
        self._places = Places()
        self._set: dict[KeyPath, Place] = {}
        self._table_arrays: dict[KeyPath, int] = {}
        self._waiting: list[tuple[Node, KeyPath]] = []

    def run(self) -> Places:
        self._push(self._root.children, ())
        while self._waiting:
            node, path = self._waiting.pop()
            self._visit(node, path)
        return self._places

    def _push(self, nodes: list[Node], path: KeyPath) -> None:
        self._waiting.extend((node, path) for node in reversed(nodes))

    def _visit(self, node: Node, path: KeyPath) -> None:
        if node.is_error or node.is_missing:
            self._places.broken.append(self._lines.place(node))
            return
        match node.type:
            case "pair":
                self._pair(node, path)
            case "table" | "table_array_element":
                self._header(node)
            case "inline_table":
                self._push(node.children, path)
            case "array":
                self._array(node, path)
            case _:
                pass  # scalars, punctuation and comments have nothing inside

    def _pair(self, node: Node, path: KeyPath) -> None:
        key, value = self._sound_children(node)
        parts = self._key_parts(key)
        for part, place in parts:
            path = (*path, part)
            self._see(path, place)
        self._claim(path, parts[-1][1])
        self._value(value, path)

    def _header(self, node: Node) -> None:
        key, *body = self._sound_children(node)
        parts = self._key_parts(key)
        path: KeyPath = ()
        for number, (part, place) in enumerate(parts, start=1):
            path = (*path, part)
            self._see(path, place)
            if number < len(parts) and path in self._table_arrays:
                path = (*path, self._table_arrays[path])
        place = parts[-1][1]
        if node.type == "table_array_element":
            self._table_arrays[path] = self._table_arrays.get(path, -1) + 1
            path = (*path, self._table_arrays[path])
            self._see(path, place)
        self._claim(path, place)
        self._push(body, path)

    def _sound_children(self, node: Node) -> list[Node]:
        """A key and what it is the key of. Broken text in between is only noted."""
        self._push([child for child in node.children if child.is_error], ())
        return [child for child in node.named_children if not child.is_error and child.type != "comment"]

    def _see(self, path: KeyPath, place: Place) -> None:
        self._check_depth(path, place)
        self._places.keys.setdefault(path, place)
        self._places.values.setdefault(path, place)

    def _array(self, node: Node, path: KeyPath) -> None:
        number = 0
        for child in node.named_children:
            if child.type == "comment":
                continue
            self._value(child, (*path, number))
            number += 1

    def _value(self, node: Node, path: KeyPath) -> None:
        place = self._lines.place(node)
        self._check_depth(path, place)
        self._places.values[path] = place
        self._waiting.append((node, path))

    def _claim(self, path: KeyPath, place: Place) -> None:
        first = self._set.setdefault(path, place)
        if first is not place:
            self._places.duplicates.append(Duplicate(path, place, first))

    def _check_depth(self, path: KeyPath, place: Place) -> None:
        if len(path) > MAX_NESTING:
            raise TooDeep(place)

    def _key_parts(self, node: Node) -> list[tuple[str, Place]]:
        """A key's parts, first to last: ``a.b."c d"`` is a left-leaning tree."""
        parts = []
        while node.type == "dotted_key":
            node, last = self._sound_children(node)
            parts.append((_key_text(last), self._lines.place(last)))
        parts.append((_key_text(node), self._lines.place(node)))
        return parts[::-1]


def _key_text(node: Node) -> str:
    raw = (node.text or b"").decode("utf-8", "replace")
    if node.type != "quoted_key":
        return raw
    try:
        return next(iter(tomllib.loads(f"{raw} = 0")))
    except tomllib.TOMLDecodeError:
        return raw  # a bad escape; tomllib says so about the whole text


class _Lines:
    """Turns a tree's rows and byte columns into lines and character columns."""

    def __init__(self, text: bytes) -> None:
        self._lines = text.split(b"\n")
        # Of each line once asked about: how many characters start before each byte; None when it is ASCII.
        self._starts: dict[int, list[int] | None] = {}

    def place(self, node: Node) -> Place:
        row, byte_column = node.start_point
        if row not in self._starts:
            self._starts[row] = _character_starts(self._lines[row])
        starts = self._starts[row]
        column = byte_column if starts is None else starts[byte_column]
        return Place(row + 1, column + 1)


def _character_starts(line: bytes) -> list[int] | None:
    if line.isascii():
        return None
    return list(accumulate(((byte & 0xC0) != 0x80 for byte in line), initial=0))
