"""Segments as files in one folder: ``<ulid>.seg``, 0600."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from leadglass.model.clock import Clock
from leadglass.model.errors import IntegrityBroken, LocalProtocolError, StorageFailed
from leadglass.model.instance import Location
from leadglass.model.permit import Permit
from leadglass.storage.blocks import BlockWriter, Staging
from leadglass.storage.descriptors import DescriptorCache
from leadglass.storage.directory import SEGMENT, SegmentDirectory, SegmentInfo, unreadable
from leadglass.storage.filesystem import FileSystem, write_all
from leadglass.storage.health import NO_ROOM, Health, StoreState
from leadglass.storage.journal import HeaderJournal, NewHeader
from leadglass.storage.keys import KeyProvider
from leadglass.storage.large import LargeObject, LargeSetting, LocalLargeObject
from leadglass.storage.permits import require_permit
from leadglass.storage.reader import ScannedRecord, SealedReader, TornTail, open_record, walk
from leadglass.storage.record import CHUNK_BYTES
from leadglass.storage.rewriting import erased_headers, rewrapped_headers
from leadglass.storage.seal import Sealable, Sealer
from leadglass.storage.store import PendingAppend, Record
from leadglass.storage.ulid import new_ulid


@dataclass(frozen=True, slots=True)
class LocalLimits:
    """``segment_bytes``: past it a new segment is begun. ``open_segments``: kept open for readers."""

    segment_bytes: int = 1 << 30
    open_segments: int = 64
    chunk_bytes: int = CHUNK_BYTES


@dataclass(slots=True)
class _Tail:
    """The segment that is appended to. ``size_bytes`` counts acknowledged batches only."""

    segment: str
    descriptor: int
    size_bytes: int
    key_id: bytes
    direct: int | None = None
    blocks: BlockWriter | None = None

    def close(self) -> None:
        """Let go of the file, without the zeros that fill its last block."""
        with contextlib.suppress(OSError):  # all that was acknowledged is synced
            if self.blocks is not None:
                os.ftruncate(self.descriptor, self.size_bytes)
        for descriptor in (self.descriptor, self.direct):
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A batch that has its place and is not written yet; implements ``PendingAppend``."""

    locations: Sequence[Location]
    tail: _Tail
    batch: Sequence[Sealable]
    write: Callable[[_Tail, Sequence[Sealable]], None]

    def finish(self) -> None:
        """As ``PendingAppend.finish``."""
        self.write(self.tail, self.batch)
        last = self.locations[-1]
        self.tail.size_bytes = last.offset + last.length


@dataclass(frozen=True, slots=True)
class _Nothing:
    """An empty batch; implements ``PendingAppend``."""

    locations: Sequence[Location] = ()

    def finish(self) -> None:
        """There is nothing to do."""


class LocalSegmentStore:
    """A ``SegmentStore`` on a local file system.

    A store appends only to segments it has begun itself: whatever tail an earlier process left,
    nothing ever follows it. So opening scans nothing, and each start with a store in it costs one
    file.

    Raises:
        ConfigurationInvalid: the folder cannot be used; says why.
    """

    def __init__(
        self,
        directory: Path,
        keys: KeyProvider,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        *,
        filesystem: FileSystem,
        limits: LocalLimits,
    ) -> None:
        self._directory = SegmentDirectory(directory)
        self._keys = keys
        self._clock = clock
        self._random_bytes = random_bytes
        self._filesystem = filesystem
        self._limits = limits
        self._health = Health()
        self._readable = DescriptorCache(self._directory.open_for_reading, limits.open_segments)
        self._tail: _Tail | None = None
        self._staging = Staging()
        self._journal = HeaderJournal(self._directory, filesystem)
        self._writing = threading.Lock()
        self._tail_is_left = False

    @property
    def state(self) -> StoreState:
        """As ``SegmentStore.state``."""
        return self._health.state

    @property
    def appending_to(self) -> str | None:
        """The segment that is appended to at the moment; once left, it never is again."""
        tail = self._tail
        return None if tail is None else tail.segment

    def append(self, permit: Permit, batch: Sequence[Sealable]) -> list[Location]:
        """As ``SegmentStore.append``."""
        pending = self.begin_append(permit, batch)
        pending.finish()
        return list(pending.locations)

    def begin_append(self, permit: Permit, batch: Sequence[Sealable]) -> PendingAppend:
        """As ``SegmentStore.begin_append``."""
        require_permit(permit)
        if not batch:
            return _Nothing()
        self._health.require()
        tail = self._tail_for(sum(item.length for item in batch))
        locations = []
        end = tail.size_bytes
        for item in batch:
            locations.append(Location(tail.segment, end, item.length))
            end += item.length
        return _Placed(locations, tail, batch, self._write)

    def begin_large(self, permit: Permit, object_id: bytes) -> LargeObject:
        """As ``SegmentStore.begin_large``."""
        require_permit(permit)
        self._keys.current()  # without one it ends here, before any byte is taken
        sealer = Sealer(object_id, self._random_bytes, self._limits.chunk_bytes)
        setting = LargeSetting(self._directory, self._filesystem, self._health, self._keys)
        return LocalLargeObject(setting, self._new_name(), sealer)

    def open(self, permit: Permit, location: Location, object_id: bytes) -> SealedReader:
        """As ``SegmentStore.open``."""
        require_permit(permit)
        try:
            return open_record(self._read_at, location, object_id, self._keys)
        except IntegrityBroken:
            if not self._journal.is_pending:
                raise
        with self._journal.exclusively():  # its header may be half written
            return open_record(self._read_at, location, object_id, self._keys)

    def verify(self, permit: Permit, location: Location, object_id: bytes) -> None:
        """As ``SegmentStore.verify``."""
        require_permit(permit)
        for _ in self.open(permit, location, object_id).chunks():
            pass

    def segments(self, permit: Permit) -> Iterator[SegmentInfo]:
        """As ``SegmentStore.segments``."""
        require_permit(permit)
        return self._directory.segments()

    def scan(self, permit: Permit, segment: str, start: int = 0) -> Iterator[ScannedRecord | TornTail]:
        """As ``SegmentStore.scan``."""
        require_permit(permit)
        with self._readable.borrow(segment) as descriptor:
            size_bytes = os.fstat(descriptor).st_size
        return walk(self._read_at, segment, size_bytes, start)

    def truncate_tail(self, permit: Permit, segment: str, keep_bytes: int) -> None:
        """As ``SegmentStore.truncate_tail``."""
        require_permit(permit)
        if self._tail is not None and self._tail.segment == segment:
            raise LocalProtocolError("recovery cuts only segments that are not appended to")
        descriptor = self._directory.open_for_cutting(segment)
        try:
            size_bytes = os.fstat(descriptor).st_size
            if not 0 <= keep_bytes <= size_bytes:
                raise ValueError(f"cannot keep {keep_bytes} bytes of {size_bytes}")
            self._cut(segment, descriptor, keep_bytes)
        finally:
            os.close(descriptor)

    def discard_unfinished(self, permit: Permit) -> int:
        """As ``SegmentStore.discard_unfinished``."""
        require_permit(permit)
        files = self._directory.unfinished()
        try:
            for file in files:
                self._directory.remove(file)
        except OSError as error:
            raise StorageFailed(f"cannot remove an unfinished object: {error.strerror}") from error
        return len(files)

    def rewrap(self, permit: Permit, records: Sequence[Record]) -> int:
        """As ``SegmentStore.rewrap``."""
        require_permit(permit)
        with self._journal.exclusively():
            headers = rewrapped_headers(self._read_at, records, self._keys, self._random_bytes)
            self._change(headers)
        return len(headers)

    def erase(self, permit: Permit, records: Sequence[Record]) -> None:
        """As ``SegmentStore.erase``."""
        require_permit(permit)
        with self._journal.exclusively():
            self._change(erased_headers(self._read_at, records))

    def finish_rewrites(self, permit: Permit) -> bool:
        """As ``SegmentStore.finish_rewrites``."""
        require_permit(permit)
        if not self._journal.is_pending:
            return False
        with self._journal.exclusively():
            return True

    def sealed(self, permit: Permit, location: Location) -> bytes:
        """A record as it lies on the disk, for a copy elsewhere.

        Raises:
            IntegrityBroken: it is not there.
        """
        require_permit(permit)
        raw = self._read_at(location.segment, location.offset, location.length)
        if len(raw) != location.length:
            raise IntegrityBroken(f"segments/{location.segment}.seg ends within a record of it")
        return raw

    @contextlib.contextmanager
    def unchanging(self, permit: Permit) -> Iterator[None]:
        """Meanwhile nobody, in any process, changes a header: no rewrap, no erasure.

        Raises:
            StorageFailed: the folder cannot be locked.
        """
        require_permit(permit)
        with self._journal.exclusively():
            yield

    def free_bytes(self, permit: Permit) -> int:
        """As ``SegmentStore.free_bytes``."""
        require_permit(permit)
        try:
            return self._directory.free_bytes()
        except OSError as error:
            raise StorageFailed(f"the system does not say how much room is left: {error.strerror}") from error

    def close(self) -> None:
        """As ``SegmentStore.close``."""
        self._retire()
        self._readable.close()
        self._directory.close()

    def _tail_for(self, length: int) -> _Tail:
        """The segment that takes ``length`` more bytes: the open one, or a new one."""
        with self._writing:
            if self._tail_is_left:
                self._retire()
                self._tail_is_left = False
        tail = self._tail
        if tail is not None and tail.key_id != self._keys.current().key_id:
            self._retire()  # so that no record of the older key is in a segment that grows
            tail = None
        if tail is not None and (
            not tail.size_bytes or tail.size_bytes + length <= self._limits.segment_bytes
        ):
            return tail
        self._retire()
        segment = self._new_name()
        try:
            descriptor = self._directory.create(segment + SEGMENT)
        except OSError as error:
            raise StorageFailed(f"cannot make a segment: {error.strerror}") from error
        tail = self._tail = _Tail(segment, descriptor, 0, self._keys.current().key_id)
        tail.direct = self._filesystem.open_direct(descriptor)
        if tail.direct is not None:
            tail.blocks = BlockWriter(self._filesystem, descriptor, tail.direct, self._staging)
        self._sync_directory()
        return tail

    def _change(self, headers: Sequence[NewHeader]) -> None:
        """Put new headers in place; the open segment is left first, for its last block is in memory."""
        with self._writing:
            if self._tail is not None and any(each.segment == self._tail.segment for each in headers):
                self._tail_is_left = True
        self._journal.change(headers)

    def _write(self, tail: _Tail, batch: Sequence[Sealable]) -> None:
        """Write a batch behind all that counts, and make it durable."""
        with self._writing:
            if self._tail_is_left:
                raise StorageFailed("the segment was left while a batch was on its way: send it again")
            self._write_now(tail, batch)

    def _write_now(self, tail: _Tail, batch: Sequence[Sealable]) -> None:
        self._health.require()
        buffers = [buffer for item in batch for buffer in item.buffers]
        try:
            if tail.blocks is None:
                write_all(self._filesystem, tail.descriptor, buffers, tail.size_bytes)
            else:
                tail.blocks.write(buffers)
        except OSError as error:
            self._take_back(tail)
            reason = f"cannot append to segments/{tail.segment}.seg: {error.strerror or error}"
            raise StorageFailed(reason) from error
        self._sync(tail)
        if tail.blocks is not None:
            tail.blocks.keep()

    def _sync(self, tail: _Tail) -> None:
        try:
            self._filesystem.fdatasync(tail.descriptor)
        except OSError as error:
            if error.errno in NO_ROOM:
                self._take_back(tail)
            # Even then this file is never synced again: what its pages hold is unknown.
            self._retire()
            raise self._health.sync_failed(error, f"segments/{tail.segment}.seg") from error

    def _take_back(self, tail: _Tail) -> None:
        """Cut off what a failed append left, or else append to that segment no more."""
        try:
            self._filesystem.ftruncate(tail.descriptor, tail.size_bytes)
        except OSError:
            self._retire()

    def _retire(self) -> None:
        if self._tail is not None:
            self._tail.close()
            self._tail = None

    def _cut(self, segment: str, descriptor: int, keep_bytes: int) -> None:
        what = f"segments/{segment}.seg"
        self._readable.forget(segment)
        try:
            if keep_bytes:
                self._filesystem.ftruncate(descriptor, keep_bytes)
            else:
                self._directory.remove(segment + SEGMENT)
        except OSError as error:
            raise StorageFailed(f"cannot cut {what}: {error.strerror or error}") from error
        if not keep_bytes:
            self._sync_directory()
            return
        try:
            self._filesystem.fsync(descriptor)
        except OSError as error:
            raise self._health.sync_failed(error, what) from error

    def _sync_directory(self) -> None:
        try:
            self._filesystem.fsync(self._directory.descriptor)
        except OSError as error:
            # Whatever the reason: the folder has one descriptor, and it must not be synced again.
            self._health.fail(f"cannot sync the segments folder: {error.strerror or error}")
            self._health.require()

    def _new_name(self) -> str:
        return new_ulid(self._clock.now(), self._random_bytes)

    def _read_at(self, segment: str, offset: int, length: int) -> bytes:
        with self._readable.borrow(segment) as descriptor:
            try:
                return self._filesystem.pread(descriptor, length, offset)
            except OSError as error:
                raise unreadable(segment, error) from error
