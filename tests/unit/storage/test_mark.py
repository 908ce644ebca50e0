"""The mark says what it was told last, or less, and never something else."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from leadglass.model.errors import StorageFailed
from leadglass.storage.mark import DRAFT, MARK, SYNC_S, IndexMark, Mark
from tests.support.audit_rig import FakeClock
from tests.support.storage import PERMIT, Call, FailingDisk

FIRST, SECOND = Mark(1, b"1" * 32), Mark(2, b"2" * 32)


@pytest.fixture
def disk() -> FailingDisk:
    return FailingDisk()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def mark(tmp_path: Path, disk: FailingDisk, clock: FakeClock) -> IndexMark:
    return IndexMark(tmp_path / "segments", disk, clock)


def test_there_is_none_before_one_is_begun(mark: IndexMark, tmp_path: Path) -> None:
    mark.advance(FIRST)
    mark.settle()
    assert mark.read(PERMIT) is None
    assert list((tmp_path / "segments").iterdir()) == []


def test_it_says_what_it_was_told_last(mark: IndexMark, tmp_path: Path) -> None:
    mark.begin(PERMIT, FIRST)
    assert mark.read(PERMIT) == FIRST
    mark.advance(SECOND)
    assert mark.read(PERMIT) == SECOND
    mark.begin(PERMIT, FIRST)
    mark.advance(SECOND)
    assert mark.read(PERMIT) == SECOND
    mark.close()
    assert (tmp_path / "segments" / MARK).stat().st_mode & 0o777 == 0o600


def test_a_dispute_is_kept_until_the_next_begins(mark: IndexMark) -> None:
    mark.dispute(PERMIT, FIRST)
    assert mark.read(PERMIT) == Mark(FIRST.line, FIRST.hash, disputed=True)
    mark.advance(SECOND)
    assert mark.read(PERMIT) == Mark(FIRST.line, FIRST.hash, disputed=True)
    mark.begin(PERMIT, SECOND)
    assert mark.read(PERMIT) == SECOND


def test_it_is_synced_every_few_seconds_and_when_asked(
    mark: IndexMark, disk: FailingDisk, clock: FakeClock
) -> None:
    mark.begin(PERMIT, FIRST)
    mark.advance(SECOND)
    assert Call.FDATASYNC not in disk.calls
    mark.settle()
    mark.settle()
    assert disk.calls.count(Call.FDATASYNC) == 1
    clock.pass_s(SYNC_S)
    mark.advance(FIRST)
    assert disk.calls.count(Call.FDATASYNC) == 2


@pytest.mark.parametrize("damage", [b"", b"LGM1", bytes(49), b"x" * 49])
def test_what_cannot_be_read_says_nothing(mark: IndexMark, tmp_path: Path, damage: bytes) -> None:
    mark.begin(PERMIT, FIRST)
    (tmp_path / "segments" / MARK).write_bytes(damage)
    assert mark.read(PERMIT) is None


def test_a_disk_that_does_not_read_says_nothing(mark: IndexMark, disk: FailingDisk) -> None:
    mark.begin(PERMIT, FIRST)
    disk.failures.append((Call.PREAD, errno.EIO))
    assert mark.read(PERMIT) is None
    assert mark.read(PERMIT) == FIRST


@pytest.mark.parametrize("call", [Call.PWRITEV, Call.FSYNC_FILE, Call.RENAME, Call.FSYNC_DIRECTORY])
def test_a_disk_that_refuses_leaves_the_old_one_or_the_new(
    mark: IndexMark, disk: FailingDisk, call: Call
) -> None:
    mark.begin(PERMIT, FIRST)
    disk.failures.append((call, errno.EIO))
    with pytest.raises(StorageFailed, match=r"index\.mark"):
        mark.begin(PERMIT, SECOND)
    assert mark.read(PERMIT) == (SECOND if call is Call.FSYNC_DIRECTORY else FIRST)
    mark.advance(Mark(3, b"3" * 32))
    assert mark.read(PERMIT) in (FIRST, SECOND)


@pytest.mark.parametrize("call", [Call.PWRITEV, Call.FDATASYNC])
def test_after_a_failure_nothing_more_is_marked(mark: IndexMark, disk: FailingDisk, call: Call) -> None:
    mark.begin(PERMIT, FIRST)
    disk.failures.append((call, errno.ENOSPC))
    mark.advance(SECOND)
    mark.settle()
    mark.advance(Mark(3, b"3" * 32))
    assert mark.read(PERMIT) == (FIRST if call is Call.PWRITEV else SECOND)


def test_a_draft_that_was_left_is_no_mark(mark: IndexMark, tmp_path: Path) -> None:
    (tmp_path / "segments" / DRAFT).write_bytes(b"half")
    assert mark.read(PERMIT) is None
    mark.begin(PERMIT, FIRST)
    assert mark.read(PERMIT) == FIRST
    assert not (tmp_path / "segments" / DRAFT).exists()


def test_it_takes_a_permit(mark: IndexMark) -> None:
    with pytest.raises(TypeError):
        mark.read(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        mark.begin(None, FIRST)  # type: ignore[arg-type]
