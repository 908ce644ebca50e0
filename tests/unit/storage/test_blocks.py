"""Appends in whole blocks: every size, every split, and what a failed one leaves behind."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from leadglass.storage.blocks import BLOCK_BYTES, DIRECT_FROM_BYTES, STAGING_BYTES, BlockWriter, Staging
from leadglass.storage.filesystem import PosixFileSystem

SIZES = (1, 7, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 100_000, DIRECT_FROM_BYTES, STAGING_BYTES + 5)


@dataclass
class Disk(PosixFileSystem):
    """A real one that takes at most so many bytes at a time, and remembers who asked."""

    most_bytes: int = 1 << 30
    refuses: int | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)

    def pwritev(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        (buffer,) = buffers
        self.asked.append((descriptor, len(buffer)))
        if descriptor == self.refuses:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return os.pwritev(descriptor, [memoryview(buffer)[: self.most_bytes]], offset)


@dataclass
class Rig:
    path: Path
    disk: Disk
    buffered: int
    direct: int
    writer: BlockWriter

    def content(self) -> bytes:
        return self.path.read_bytes()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    path = tmp_path / "segment"
    disk = Disk()
    buffered = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    direct = disk.open_direct(buffered)
    other = buffered if direct is None else direct  # a disk in memory has no other way
    yield Rig(path, disk, buffered, other, BlockWriter(disk, buffered, other, Staging()))
    for descriptor in {buffered, other}:
        os.close(descriptor)


def test_what_is_appended_stands_one_after_the_other_whatever_its_size(rig: Rig) -> None:
    expected = b""
    for number, size in enumerate(SIZES):
        plain = random.Random(number).randbytes(size)
        rig.writer.write([plain[: size // 3], memoryview(plain)[size // 3 :]])
        rig.writer.keep()
        expected += plain
        assert rig.content()[: len(expected)] == expected
        assert not any(rig.content()[len(expected) :])
        assert len(rig.content()) % BLOCK_BYTES == 0


def test_what_was_not_kept_is_written_over(rig: Rig) -> None:
    rig.writer.write([b"kept"])
    rig.writer.keep()
    rig.writer.write([b"x" * 3 * BLOCK_BYTES])
    rig.writer.write([b"instead"])
    rig.writer.keep()
    assert rig.content().startswith(b"keptinstead" + bytes(BLOCK_BYTES - 11))


def test_only_large_writes_go_past_the_page_cache(rig: Rig) -> None:
    rig.writer.write([b"small"])
    rig.writer.write([bytes(DIRECT_FROM_BYTES)])
    assert [descriptor for descriptor, _ in rig.disk.asked] == [rig.buffered, rig.direct]


def test_a_short_write_is_gone_on_with_from_a_block(rig: Rig) -> None:
    rig.disk.most_bytes = 2 * BLOCK_BYTES + 100
    plain = random.Random(1).randbytes(7 * BLOCK_BYTES + 5)
    rig.writer.write([plain])
    rig.writer.keep()
    assert rig.content()[: len(plain)] == plain


def test_a_disk_that_takes_nothing_is_a_failure(rig: Rig) -> None:
    rig.disk.most_bytes = 0
    for size in (BLOCK_BYTES, DIRECT_FROM_BYTES):
        with pytest.raises(OSError, match="took no bytes"):
            rig.writer.write([bytes(size)])


def test_a_disk_that_refuses_a_direct_write_gets_it_through_the_page_cache(rig: Rig) -> None:
    rig.disk.refuses = rig.direct
    plain = bytes(DIRECT_FROM_BYTES)
    for _ in range(2):
        rig.writer.write([plain])
    assert rig.content() == plain
    assert [descriptor for descriptor, _ in rig.disk.asked].count(rig.direct) == 1
