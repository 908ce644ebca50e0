"""What is wrong in a file of the site: where, what, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from leadglass.model.errors import ConfigurationInvalid

MAX_QUOTED_CHARACTERS = 64


class Severity(StrEnum):
    """An error refuses the file; a warning is only said."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file: ``line`` and ``column`` count from 1, the column in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark on a file, printing as ``policy.toml:12:5: error: message; hint``."""

    severity: Severity
    path: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        advice = f"; {self.hint}" if self.hint else ""
        return f"{self.path}:{self.line}:{self.column}: {self.severity}: {self.message}{advice}"


class FileInvalid(ConfigurationInvalid):
    """A file of the site is refused. ``findings`` holds everything found, in the file's order."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = findings


def quoted(text: str) -> str:
    """Foreign text, safe in a line of a log: in double quotes, escaped, at most 64 characters of it."""
    shown = text[:MAX_QUOTED_CHARACTERS]
    escaped = "".join(_escape(character) for character in shown)
    return f'"{escaped}"' if len(shown) == len(text) else f'"{escaped}…"'


def _escape(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
