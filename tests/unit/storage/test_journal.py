"""Headers changed in place: whatever call fails, each is old or new, and a later start makes it new."""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path

import pytest

from leadglass.model.errors import IntegrityBroken, KeyUnavailable, StorageFailed
from leadglass.storage import LocalSegmentStore
from leadglass.storage.journal import JOURNAL
from leadglass.storage.store import Record
from tests.support.storage import (
    OTHER_KEY,
    PERMIT,
    SITE_KEY,
    Call,
    FailingDisk,
    KeyRing,
    local_store,
    object_id,
    payload,
    sealed,
)

OBJECTS = 5
CALLS = (Call.PWRITEV, Call.FSYNC_FILE, Call.FDATASYNC, Call.RENAME, Call.FSYNC_DIRECTORY)


class FailsAt(FailingDisk):
    """Fails at the Nth call of a kind, counted from when it is armed."""

    def arm(self, call: Call, number: int) -> None:
        self.armed = call, number
        self.seen: Counter[Call] = Counter()

    def _call(self, call: Call) -> None:
        armed = getattr(self, "armed", None)
        if armed is not None:
            self.seen[call] += 1
            if armed == (call, self.seen[call]):
                raise OSError(errno.EIO, "Input/output error")
        super()._call(call)


def filled(folder: Path, disk: FailingDisk, ring: KeyRing) -> tuple[LocalSegmentStore, list[Record]]:
    store = local_store(folder, disk, keys=ring, segment_bytes=1000)
    records = [
        Record(store.append(PERMIT, [sealed(number, payload(300, number))])[0], object_id(number))
        for number in range(OBJECTS)
    ]
    return store, records


def under(store: LocalSegmentStore, ring: KeyRing, records: list[Record]) -> set[bytes]:
    """Under which keys the records read."""
    found = set()
    for key in (SITE_KEY, OTHER_KEY):
        ring.keys = [key]
        for record in records:
            try:
                store.verify(PERMIT, record.location, record.object_id)
            except KeyUnavailable:
                continue
            found.add(key.key_id + record.object_id)
    return found


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_rewrap_that_fails_at_any_call_loses_nothing_and_is_finished_later(
    tmp_path: Path, call: Call, number: int
) -> None:
    ring, disk = KeyRing(SITE_KEY), FailsAt()
    store, records = filled(tmp_path / "segments", disk, ring)
    ring.keys.append(OTHER_KEY)
    disk.arm(call, number)
    failed = False
    try:
        store.rewrap(PERMIT, records)
    except StorageFailed:
        failed = True
    store.close()
    later = local_store(tmp_path / "segments", keys=ring)
    pending = later.finish_rewrites(PERMIT)
    assert not later.finish_rewrites(PERMIT)
    readable = under(later, ring, records)
    keys = {SITE_KEY.key_id} if failed and not pending else {OTHER_KEY.key_id}
    if failed and call is Call.FSYNC_DIRECTORY and number == 2:  # done, but for the end of the journal
        keys = {OTHER_KEY.key_id}
    assert readable == {key_id + record.object_id for key_id in keys for record in records}


def test_a_reader_finishes_a_change_that_left_a_header_half_written(tmp_path: Path) -> None:
    ring, disk = KeyRing(SITE_KEY), FailsAt()
    store, records = filled(tmp_path / "segments", disk, ring)
    ring.keys.append(OTHER_KEY)
    disk.arm(Call.PWRITEV, 2)  # the first is the journal's own
    with pytest.raises(StorageFailed):
        store.rewrap(PERMIT, records)
    first = records[0].location
    with (tmp_path / "segments" / f"{first.segment}.seg").open("r+b") as segment:
        segment.seek(first.offset)
        segment.write(b"half")
    reader = local_store(tmp_path / "segments", keys=ring)
    reader.verify(PERMIT, first, records[0].object_id)
    assert not reader.finish_rewrites(PERMIT)


def test_a_damaged_journal_is_damage_and_changes_nothing(tmp_path: Path) -> None:
    ring = KeyRing(SITE_KEY)
    store, records = filled(tmp_path / "segments", FailingDisk(), ring)
    (tmp_path / "segments" / JOURNAL).write_bytes(b"LGJ1 and then nothing of the kind, at some length")
    with pytest.raises(IntegrityBroken, match="damaged"):
        store.finish_rewrites(PERMIT)
    store.verify(PERMIT, records[0].location, records[0].object_id)


def test_an_erasure_that_is_broken_off_is_finished_and_the_journal_holds_no_key(tmp_path: Path) -> None:
    ring, disk = KeyRing(SITE_KEY), FailsAt()
    store, records = filled(tmp_path / "segments", disk, ring)
    segment = tmp_path / "segments" / f"{records[0].location.segment}.seg"
    wrapped = segment.read_bytes()[64:112]
    disk.arm(Call.FDATASYNC, 1)
    with pytest.raises(StorageFailed):
        store.erase(PERMIT, records[:1])
    assert wrapped not in (tmp_path / "segments" / JOURNAL).read_bytes()
    later = local_store(tmp_path / "segments", keys=ring)
    assert later.finish_rewrites(PERMIT)
    with pytest.raises(IntegrityBroken, match="erased"):
        later.open(PERMIT, records[0].location, records[0].object_id)
    assert wrapped not in segment.read_bytes()
