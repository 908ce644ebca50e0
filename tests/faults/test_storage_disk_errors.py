"""A disk whose calls fail. FailingDisk itself asserts that no file is synced after a failed sync."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from leadglass.model.errors import IntegrityBroken, LocalProtocolError, StorageFailed
from leadglass.model.instance import Location
from leadglass.storage import LocalSegmentStore, ScannedRecord, StoreState, TornTail
from tests.support.storage import PERMIT as P
from tests.support.storage import Call, FailingDisk, local_store, object_id, payload, sealed

PLAIN = payload(300)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "segments"


@pytest.fixture
def disk() -> FailingDisk:
    return FailingDisk()


@pytest.fixture
def store(folder: Path, disk: FailingDisk) -> LocalSegmentStore:
    return local_store(folder, disk)


def append(store: LocalSegmentStore, number: int) -> Location:
    (location,) = store.append(P, [sealed(number, PLAIN)])
    return location


def files(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in folder.iterdir()}


def test_a_batch_is_synced_once_and_its_new_name_before(store: LocalSegmentStore, disk: FailingDisk) -> None:
    store.append(P, [sealed(number, PLAIN) for number in range(5)])
    assert disk.calls == [Call.FSYNC_DIRECTORY, Call.PWRITEV, Call.FDATASYNC]
    store.append(P, [sealed(number, PLAIN) for number in range(5)])
    assert disk.calls[3:] == [Call.PWRITEV, Call.FDATASYNC]


def test_a_large_object_gets_its_name_only_when_it_is_on_disk(
    store: LocalSegmentStore, disk: FailingDisk
) -> None:
    large = store.begin_large(P, object_id(1))
    large.write(PLAIN)
    large.finish()
    writes = [call for call in disk.calls if call is Call.PWRITEV]
    assert disk.calls == [*writes, Call.FSYNC_FILE, Call.RENAME, Call.FSYNC_DIRECTORY]


@pytest.mark.parametrize("room_bytes", [0, 1, 100, 500])
def test_a_full_disk_takes_nothing_and_service_resumes_when_there_is_room(
    store: LocalSegmentStore, disk: FailingDisk, folder: Path, room_bytes: int
) -> None:
    before = append(store, 1)
    disk.room_bytes = room_bytes
    for _ in range(3):
        with pytest.raises(StorageFailed, match="No space left"):
            store.append(P, [sealed(2, PLAIN), sealed(3, PLAIN)])
    assert files(folder) == {f"{before.segment}.seg": before.length}
    assert store.state is StoreState.READY
    disk.room_bytes = None
    after = append(store, 4)
    assert (after.segment, after.offset) == (before.segment, before.length)
    store.verify(P, before, object_id(1))
    store.verify(P, after, object_id(4))


def test_a_disk_full_at_the_first_append_leaves_an_empty_segment_that_is_used_later(
    store: LocalSegmentStore, disk: FailingDisk, folder: Path
) -> None:
    disk.room_bytes = 10
    with pytest.raises(StorageFailed):
        append(store, 1)
    disk.room_bytes = None
    location = append(store, 1)
    assert files(folder) == {f"{location.segment}.seg": location.length}


def test_short_writes_are_no_failure(store: LocalSegmentStore, disk: FailingDisk) -> None:
    disk.most_bytes_per_write = 7
    store.verify(P, append(store, 1), object_id(1))
    large = store.begin_large(P, object_id(2))
    large.write(PLAIN)
    store.verify(P, large.finish(), object_id(2))


def test_a_failed_write_is_taken_back(store: LocalSegmentStore, disk: FailingDisk, folder: Path) -> None:
    before = append(store, 1)
    disk.failures = [(Call.PWRITEV, errno.EIO)]
    with pytest.raises(StorageFailed, match=rf"segments/{before.segment}\.seg: Input/output error"):
        append(store, 2)
    assert files(folder) == {f"{before.segment}.seg": before.length}
    assert append(store, 3).offset == before.length
    assert Call.FDATASYNC not in disk.calls[disk.calls.index(Call.FTRUNCATE) - 1 : -2]


def test_what_cannot_be_taken_back_is_followed_by_nothing(
    store: LocalSegmentStore, disk: FailingDisk
) -> None:
    before = append(store, 1)
    disk.room_bytes = 200
    disk.failures = [(Call.FTRUNCATE, errno.EIO)]
    with pytest.raises(StorageFailed):
        append(store, 2)
    disk.room_bytes = None
    after = append(store, 3)
    assert (after.segment == before.segment, after.offset) == (False, 0)
    assert list(store.scan(P, before.segment)) == [
        ScannedRecord(object_id(1), before, len(PLAIN)),
        TornTail(before.length),
    ]
    store.truncate_tail(P, before.segment, before.length)
    store.verify(P, before, object_id(1))
    store.verify(P, after, object_id(3))


@pytest.mark.parametrize("call", [Call.FDATASYNC, Call.FSYNC_DIRECTORY])
def test_after_a_failed_sync_nothing_is_stored_until_the_store_is_opened_anew(
    store: LocalSegmentStore, disk: FailingDisk, folder: Path, call: Call
) -> None:
    finished = store.begin_large(P, object_id(1)).finish()
    large = store.begin_large(P, object_id(2))
    disk.failures = [(call, errno.EIO)]
    with pytest.raises(StorageFailed, match="Input/output error"):
        append(store, 3)
    assert store.state is StoreState.FAILED
    disk.calls.clear()
    with pytest.raises(StorageFailed, match="storage stopped"):
        append(store, 4)
    with pytest.raises(StorageFailed, match="storage stopped"):
        store.begin_large(P, object_id(5))
    with pytest.raises(StorageFailed, match="storage stopped"):
        large.finish()
    assert disk.calls == []
    store.verify(P, finished, object_id(1))
    store.close()

    again = local_store(folder)
    assert again.state is StoreState.READY
    again.verify(P, append(again, 6), object_id(6))
    again.verify(P, finished, object_id(1))


@pytest.mark.parametrize("error", NO_ROOM)
def test_no_room_at_sync_takes_nothing_and_leaves_that_segment_for_good(
    store: LocalSegmentStore, disk: FailingDisk, folder: Path, error: int
) -> None:
    before = append(store, 1)
    disk.failures = [(Call.FDATASYNC, error)]
    with pytest.raises(StorageFailed, match="cannot sync"):
        append(store, 2)
    assert store.state is StoreState.READY
    after = append(store, 3)
    assert after.segment != before.segment
    assert files(folder)[f"{before.segment}.seg"] == before.length
    store.verify(P, before, object_id(1))


@pytest.mark.parametrize(
    ("call", "error", "state"),
    [
        (Call.PWRITEV, errno.ENOSPC, StoreState.READY),
        (Call.PWRITEV, errno.EIO, StoreState.READY),
        (Call.FSYNC_FILE, errno.ENOSPC, StoreState.READY),
        (Call.FSYNC_FILE, errno.EIO, StoreState.FAILED),
        (Call.RENAME, errno.ENOSPC, StoreState.READY),
        (Call.FSYNC_DIRECTORY, errno.EIO, StoreState.FAILED),
    ],
)
def test_a_large_object_that_fails_at_the_end_leaves_nothing(
    folder: Path, disk: FailingDisk, call: Call, error: int, state: StoreState
) -> None:
    store = local_store(folder, disk)
    large = store.begin_large(P, object_id(1))
    large.write(PLAIN)
    disk.failures = [(call, error)]
    with pytest.raises(StorageFailed):
        large.finish()
    assert (files(folder), store.state) == ({}, state)
    with pytest.raises(LocalProtocolError):
        large.finish()
    large.abort()


def test_a_large_object_that_cannot_be_written_gives_its_room_back(
    store: LocalSegmentStore, disk: FailingDisk, folder: Path
) -> None:
    large = store.begin_large(P, object_id(1))
    large.write(PLAIN)
    disk.room_bytes = 200
    with pytest.raises(StorageFailed, match="No space left"):
        large.write(PLAIN)
    assert files(folder) == {}
    with pytest.raises(LocalProtocolError):
        large.write(b"x")
    disk.room_bytes = None
    store.verify(P, append(store, 2), object_id(2))


def test_a_sector_that_cannot_be_read_is_damage_and_never_a_torn_tail(
    store: LocalSegmentStore, disk: FailingDisk
) -> None:
    location = append(store, 1)
    for read in (
        lambda: store.open(P, location, object_id(1)),
        lambda: store.verify(P, location, object_id(1)),
        lambda: list(store.scan(P, location.segment)),
    ):
        disk.failures = [(Call.PREAD, errno.EIO)]
        with pytest.raises(IntegrityBroken, match=rf"segments/{location.segment}\.seg cannot be read"):
            read()
    assert store.state is StoreState.READY
    store.verify(P, location, object_id(1))


def test_a_leftover_that_cannot_be_removed_is_reported(store: LocalSegmentStore, folder: Path) -> None:
    (folder / ("0" * 26 + ".part")).mkdir()
    with pytest.raises(StorageFailed, match="cannot remove"):
        store.discard_unfinished(P)


@pytest.mark.parametrize(
    ("call", "state"), [(Call.FTRUNCATE, StoreState.READY), (Call.FSYNC_FILE, StoreState.FAILED)]
)
def test_recovery_that_cannot_cut_says_so(
    store: LocalSegmentStore, disk: FailingDisk, call: Call, state: StoreState
) -> None:
    location = store.begin_large(P, object_id(1)).finish()
    disk.failures = [(call, errno.EIO)]
    with pytest.raises(StorageFailed, match=location.segment):
        store.truncate_tail(P, location.segment, 10)
    assert store.state is state


def test_recovery_that_cannot_forget_a_removed_segment_says_so(
    store: LocalSegmentStore, disk: FailingDisk
) -> None:
    location = store.begin_large(P, object_id(1)).finish()
    disk.failures = [(Call.FSYNC_DIRECTORY, errno.EIO)]
    with pytest.raises(StorageFailed):
        store.truncate_tail(P, location.segment, 0)
    assert store.state is StoreState.FAILED


def test_a_closed_store_refuses_and_touches_no_file(store: LocalSegmentStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StorageFailed):
        append(store, 1)
    with pytest.raises(StorageFailed):
        store.free_bytes(P)
