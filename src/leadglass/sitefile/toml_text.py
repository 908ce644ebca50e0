"""Values written as TOML."""

from __future__ import annotations

from collections.abc import Iterable

_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def toml_string(text: str) -> str:
    """``text`` as a basic string on one line."""
    return '"' + "".join(_escape(character) for character in text) + '"'


def toml_strings(texts: Iterable[str]) -> str:
    """An array of strings on one line."""
    return "[" + ", ".join(toml_string(text) for text in texts) + "]"


def toml_comment(text: str) -> str:
    """``text`` fit to stand behind a ``#``: one line, no control characters."""
    return "".join(character if character.isprintable() else " " for character in text)


def _escape(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    return character if character.isprintable() else f"\\U{ord(character):08x}"
