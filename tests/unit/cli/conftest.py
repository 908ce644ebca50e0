from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import Leadglass, command_line
from tests.support.site import LiveSite, make_site


@pytest.fixture
def leadglass(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Leadglass:
    """The command line, run in this process."""
    return command_line(monkeypatch, capsys)


@pytest.fixture
def live(tmp_path: Path) -> LiveSite:
    """A fresh site with nobody in it."""
    return make_site(tmp_path)
