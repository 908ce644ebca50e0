from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = {"alembic", "pydicom"}


@pytest.mark.parametrize("module", ["client", "transfer", "site", "audit", "zones", "device", "serve"])
def test_a_command_starts_without_what_only_its_work_may_need(module: str) -> None:
    code = f"import sys, leadglass.cli.{module}; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not SLOW & set(ended.stdout.split())
