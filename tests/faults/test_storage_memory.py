"""Memory stays flat, whatever the size of an object."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leadglass.storage.record import CHUNK_BYTES
from tests.support.storage import PERMIT, local_store, object_id

OBJECT_BYTES = 200 << 20
FRAGMENT_BYTES = 100_000
MOST_GROWTH_BYTES = 8 << 20


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(300)
def test_a_large_object_is_written_and_read_within_8_mib(tmp_path: Path) -> None:
    store = local_store(tmp_path / "segments", chunk_bytes=CHUNK_BYTES)
    fragment = os.urandom(FRAGMENT_BYTES)
    large = store.begin_large(PERMIT, object_id(1))
    before = resident_bytes()
    most = before
    for _ in range(OBJECT_BYTES // FRAGMENT_BYTES):
        large.write(fragment)
        most = max(most, resident_bytes())
    location = large.finish()
    size_bytes = 0
    for chunk in store.open(PERMIT, location, object_id(1)).chunks():
        size_bytes += len(chunk)
        most = max(most, resident_bytes())
    store.close()
    assert size_bytes == OBJECT_BYTES // FRAGMENT_BYTES * FRAGMENT_BYTES
    assert most - before < MOST_GROWTH_BYTES
