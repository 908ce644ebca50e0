"""How far the index had come, written down where the segments are: by it an old copy of the index is known.

``index.mark`` holds number and hash of a line of the audit trail. It is written after the transaction that
holds the line has committed, never before. So it knows no more than the index does, whatever a crash takes
of either; and an index without that very line is an older copy, or another site's. The trail's own
checkpoints lie beside the index and are put back together with it; this lies beside what could be lost.

Each commit writes it, into the page cache; it is synced every few seconds. A power cut may set it back by
as much, which makes it say less and never makes it wrong.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from leadglass.model.clock import Clock
from leadglass.model.errors import StorageFailed
from leadglass.model.permit import Permit
from leadglass.storage.directory import SegmentDirectory
from leadglass.storage.filesystem import FileSystem, write_all
from leadglass.storage.permits import require_permit

MARK, DRAFT = "index.mark", "index.mark.new"
SYNC_S: Final = 5.0

_MAGIC: Final = b"LGM1"
_BODY: Final = struct.Struct(">4s?Q32s")
_CRC: Final = struct.Struct(">I")
_FLAGS: Final = os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Mark:
    """A line of the audit trail that the index has committed.

    ``disputed``: segments were used with an index that does not have it, so there may be more than one
    history in them.
    """

    line: int
    hash: bytes
    disputed: bool = False


class IndexMark:
    """The mark of one segments folder. For one thread at a time, but for ``read``."""

    def __init__(self, directory: Path, filesystem: FileSystem, clock: Clock) -> None:
        self._directory = SegmentDirectory(directory)
        self._filesystem = filesystem
        self._clock = clock
        self._descriptor: int | None = None
        self._synced_at_s = 0.0
        self._is_synced = True

    def read(self, permit: Permit) -> Mark | None:
        """The mark; ``None`` where there is none, or none that can be read: then nothing is known."""
        require_permit(permit)
        try:
            descriptor = os.open(MARK, os.O_RDONLY | _FLAGS, dir_fd=self._directory.descriptor)
        except OSError:
            return None
        try:
            return _decode(self._filesystem.pread(descriptor, _BODY.size + _CRC.size, 0))
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def begin(self, permit: Permit, mark: Mark) -> None:
        """Put this mark in place, durably; ``advance`` writes from now on.

        Raises:
            StorageFailed: the disk refuses; nothing is marked.
        """
        self._leave()
        descriptor = self._write(permit, mark)
        self._is_synced, self._synced_at_s = True, self._clock.monotonic_s()
        self._descriptor = descriptor  # last: from now on the committer's thread may advance it

    def dispute(self, permit: Permit, mark: Mark) -> None:
        """Write down, durably, that these segments go on with an index that does not have this line.

        Raises:
            StorageFailed: the disk refuses.
        """
        os.close(self._write(permit, Mark(mark.line, mark.hash, disputed=True)))

    def advance(self, mark: Mark) -> None:
        """A later line is committed. Before ``begin`` this does nothing.

        Where the disk refuses, nothing more is marked until the next start: what is stored is as safe as
        it was, and the mark says less.
        """
        if self._descriptor is None:
            return
        try:
            write_all(self._filesystem, self._descriptor, [_encode(mark)], 0)
        except OSError:
            self._leave()
            return
        self._is_synced = False
        if self._clock.monotonic_s() - self._synced_at_s >= SYNC_S:
            self.settle()

    def settle(self) -> None:
        """Have the mark reach the disk."""
        if self._descriptor is None or self._is_synced:
            return
        try:
            self._filesystem.fdatasync(self._descriptor)
        except OSError:
            self._leave()
            return
        self._is_synced = True
        self._synced_at_s = self._clock.monotonic_s()

    def close(self) -> None:
        """Let go of the files."""
        self._leave()
        self._directory.close()

    def _write(self, permit: Permit, mark: Mark) -> int:
        """The whole file, old or new whatever happens; a descriptor of it, for writing."""
        require_permit(permit)
        descriptor: int | None = None
        try:
            self._directory.remove(DRAFT)
            descriptor = self._directory.create(DRAFT)
            write_all(self._filesystem, descriptor, [_encode(mark)], 0)
            self._filesystem.fsync(descriptor)
            self._filesystem.rename(DRAFT, MARK, self._directory.descriptor)
            self._filesystem.fsync(self._directory.descriptor)
        except OSError as error:
            if descriptor is not None:
                os.close(descriptor)
            raise StorageFailed(f"cannot write segments/{MARK}: {error.strerror or error}") from error
        return descriptor

    def _leave(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # it is given up, whatever it holds
                os.close(self._descriptor)
            self._descriptor = None


def _encode(mark: Mark) -> bytes:
    body = _BODY.pack(_MAGIC, mark.disputed, mark.line, mark.hash)
    return body + _CRC.pack(zlib.crc32(body))


def _decode(raw: bytes) -> Mark | None:
    body, crc = raw[: _BODY.size], raw[_BODY.size :]
    if len(body) != _BODY.size or crc != _CRC.pack(zlib.crc32(body)):
        return None
    magic, disputed, line, line_hash = _BODY.unpack(body)
    return Mark(line, line_hash, disputed) if magic == _MAGIC else None
