"""An empty encrypted index for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from leadglass.index.engine import open_engine
from leadglass.index.migrate import migrate

KEY = bytes(range(32))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(str(tmp_path / "index.db"), KEY)
    migrate(engine)
    yield engine
    engine.dispose()
