"""A power cut after every single call: nothing that was acknowledged may be missing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from leadglass.model.instance import Location
from leadglass.storage import LocalSegmentStore, ScannedRecord
from leadglass.storage.filesystem import PosixFileSystem
from tests.support.storage import PERMIT, local_store, object_id, payload, sealed


@dataclass
class ForgetfulDisk:
    """A disk that keeps only what was synced: names by syncing the folder, content by syncing a file.

    ``platter`` is what a power cut now would leave: after every call one picture more. ``told``
    counts, for each picture, what had been acknowledged when it was taken.
    """

    folder: Path
    pictures: list[dict[str, bytes]] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    acknowledged: int = 0
    posix: PosixFileSystem = field(default_factory=PosixFileSystem)
    _contents: dict[int, bytes] = field(default_factory=dict)
    _names: dict[str, int] = field(default_factory=dict)

    def open_direct(self, descriptor: int) -> int | None:
        return None

    def pwritev(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        written = self.posix.pwritev(descriptor, buffers, offset)
        self._picture()
        return written

    def write_back(self, descriptor: int, offset: int, length: int) -> None:
        self.posix.write_back(descriptor, offset, length)

    def pread(self, descriptor: int, length: int, offset: int) -> bytes:
        return self.posix.pread(descriptor, length, offset)

    def fdatasync(self, descriptor: int) -> None:
        self._picture()
        self._keep_content(descriptor)
        self._picture()

    def fsync(self, descriptor: int) -> None:
        self._picture()
        if os.path.samefile(f"/proc/self/fd/{descriptor}", self.folder):  # noqa: PTH121 - a descriptor
            self._names = {entry.name: entry.inode() for entry in os.scandir(self.folder)}
        else:
            self._keep_content(descriptor)
        self._picture()

    def ftruncate(self, descriptor: int, size_bytes: int) -> None:
        self.posix.ftruncate(descriptor, size_bytes)
        self._picture()

    def rename(self, old: str, new: str, directory: int) -> None:
        self.posix.rename(old, new, directory)
        self._picture()

    def _keep_content(self, descriptor: int) -> None:
        facts = os.fstat(descriptor)
        self._contents[facts.st_ino] = os.pread(descriptor, facts.st_size, 0)

    def _picture(self) -> None:
        self.pictures.append({name: self._contents.get(inode, b"") for name, inode in self._names.items()})
        self.told.append(self.acknowledged)


@pytest.fixture
def disk(tmp_path: Path) -> ForgetfulDisk:
    return ForgetfulDisk(tmp_path / "segments")


def a_day_of_work(store: LocalSegmentStore, disk: ForgetfulDisk) -> list[tuple[int, Location]]:
    """Batches that roll over and large objects in between; all that was acknowledged, in order."""
    done: list[tuple[int, Location]] = []
    number = 0
    for batch in (1, 3, 1, 2, 4):
        numbers = range(number, number + batch)
        locations = store.append(PERMIT, [sealed(item, payload(300, seed=item)) for item in numbers])
        done += zip(numbers, locations, strict=True)
        number += batch
        disk.acknowledged = len(done)
        large = store.begin_large(PERMIT, object_id(number))
        large.write(payload(500, seed=number))
        done.append((number, large.finish()))
        number += 1
        disk.acknowledged = len(done)
    return done


def test_nothing_acknowledged_is_lost_whenever_the_power_is_cut(disk: ForgetfulDisk, tmp_path: Path) -> None:
    store = local_store(disk.folder, disk, segment_bytes=1500)
    done = a_day_of_work(store, disk)
    store.close()
    assert len(disk.pictures) > 50
    for at, (picture, acknowledged) in enumerate(zip(disk.pictures, disk.told, strict=True)):
        remains = tmp_path / f"cut-{at}"
        remains.mkdir(mode=0o700)
        for name, content in picture.items():
            (remains / name).write_bytes(content)
        again = local_store(remains)
        known = done[:acknowledged]
        for number, location in known:
            again.verify(PERMIT, location, object_id(number))
        recover(again, known)
        (after,) = again.append(PERMIT, [sealed(99, b"after the cut")])
        for number, location in [*known, (99, after)]:
            again.verify(PERMIT, location, object_id(number))
        again.close()


def recover(store: LocalSegmentStore, known: list[tuple[int, Location]]) -> None:
    """As a server starts: what the index does not know is cut off, and then only that is there."""
    store.discard_unfinished(PERMIT)
    kept = {location.segment: location.offset + location.length for _, location in known}
    for info in list(store.segments(PERMIT)):
        store.truncate_tail(PERMIT, info.name, kept.get(info.name, 0))
    left = [item for info in store.segments(PERMIT) for item in store.scan(PERMIT, info.name)]
    assert {item.location for item in left if isinstance(item, ScannedRecord)} == {
        place for _, place in known
    }
    assert len(left) == len(known)
