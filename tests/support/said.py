"""Words that are told to people, kept in a file beside the test: a changed word must be meant."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

REWRITE = "LEADGLASS_REWRITE_SAID"


def assert_said(lines: Sequence[str], path: Path) -> None:
    """The lines are those of the file. LEADGLASS_REWRITE_SAID=1 writes them first: read the diff."""
    if os.environ.get(REWRITE):
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert list(lines) == path.read_text(encoding="utf-8").splitlines()
