"""An empty trail for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.audit.signing import create_signer
from leadglass.audit.trail import AuditTrail
from leadglass.index.engine import open_engine
from leadglass.index.migrate import migrate
from tests.support.audit_rig import FakeClock, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    engine = open_engine(str(tmp_path / "index.db"), bytes(32))
    migrate(engine)
    clock = FakeClock()
    signer = create_signer(tmp_path / "audit.key")
    checkpoints = tmp_path / "audit.checkpoints"
    yield Rig(engine, clock, signer, checkpoints, AuditTrail("NORTH", clock, signer, checkpoints))
    engine.dispose()
