"""The command line in this process: what it prints and how it ends."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from leadglass.cli.main import main


@dataclass(frozen=True, slots=True)
class Ended:
    """One command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)


Leadglass = Callable[..., Ended]


def command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Leadglass:
    """Run ``leadglass`` with arguments. Whatever escapes it but its exit fails the test."""

    def leadglass(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["leadglass", *map(str, arguments)])
        monkeypatch.delenv("LEADGLASS_HOME", raising=False)
        before = os.umask(0o077)
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        finally:
            os.umask(before)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ended(int(str(code or 0)), captured.out, captured.err)

    return leadglass


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, typed: str = "") -> None:
    """Somebody sits at a terminal, and types this."""
    monkeypatch.setattr(sys, "stdin", _Terminal(typed))
