"""The command line, as an administrator types it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Typed:
    """How a command ended: its exit code, its data and its messages."""

    exit_code: int
    out: str
    err: str

    def json(self) -> Any:
        """Its data, of ``--json``."""
        return json.loads(self.out)


def leadglass(home: Path | None, *arguments: str, cwd: Path | None = None) -> Typed:
    """Run ``leadglass``, with ``--home`` if given, and wait for it."""
    options = () if home is None else ("--home", str(home))
    ended = subprocess.run(
        [sys.executable, "-m", "leadglass", *options, *arguments],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=cwd,
    )
    return Typed(ended.returncode, ended.stdout, ended.stderr)
