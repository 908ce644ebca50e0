from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archive_rig import ArchiveRig, archive_rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ArchiveRig]:
    """An archive, ready; call ``start`` to have its committer run."""
    with archive_rig(tmp_path / "archive") as rig:
        yield rig


@pytest.fixture
def running(rig: ArchiveRig) -> ArchiveRig:
    rig.start()
    return rig
