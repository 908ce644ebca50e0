"""Segments in memory: for tests and the demo's rehearsals. Nothing of it survives the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from leadglass.model.clock import Clock
from leadglass.model.errors import IntegrityBroken, LocalProtocolError
from leadglass.model.instance import Location
from leadglass.model.permit import Permit
from leadglass.storage.directory import SegmentInfo
from leadglass.storage.health import StoreState
from leadglass.storage.journal import NewHeader
from leadglass.storage.keys import KeyProvider
from leadglass.storage.large import LargeObject
from leadglass.storage.permits import require_permit
from leadglass.storage.reader import ScannedRecord, SealedReader, TornTail, open_record, verify_record, walk
from leadglass.storage.record import CHUNK_BYTES
from leadglass.storage.rewriting import erased_headers, rewrapped_headers
from leadglass.storage.seal import Sealable, Sealer
from leadglass.storage.store import PendingAppend, Record
from leadglass.storage.ulid import new_ulid

_UNLIMITED_BYTES = 1 << 62


@dataclass(frozen=True, slots=True)
class _MemoryAppend:
    """A batch that does not count yet; implements ``PendingAppend``."""

    locations: Sequence[Location]
    content: bytearray
    batch: Sequence[Sealable]

    def finish(self) -> None:
        """As ``PendingAppend.finish``."""
        for item in self.batch:
            self.content.extend(b"".join(item.buffers))


class MemorySegmentStore:
    """A ``SegmentStore`` of byte arrays, with the same sealed records as on disk."""

    def __init__(
        self,
        keys: KeyProvider,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        *,
        segment_bytes: int = 1 << 30,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._random_bytes = random_bytes
        self._segment_bytes = segment_bytes
        self._chunk_bytes = chunk_bytes
        self._segments: dict[str, bytearray] = {}
        self._tail: str | None = None
        self._tail_key_id = b""

    @property
    def state(self) -> StoreState:
        """Memory never fails to sync."""
        return StoreState.READY

    def append(self, permit: Permit, batch: Sequence[Sealable]) -> list[Location]:
        """As ``SegmentStore.append``."""
        pending = self.begin_append(permit, batch)
        pending.finish()
        return list(pending.locations)

    def begin_append(self, permit: Permit, batch: Sequence[Sealable]) -> PendingAppend:
        """As ``SegmentStore.begin_append``."""
        require_permit(permit)
        if not batch:
            return _MemoryAppend((), bytearray(), ())
        length = sum(item.length for item in batch)
        segment = self._tail
        key_id = self._keys.current().key_id
        if key_id != self._tail_key_id:
            segment = None
        if segment is None or len(self._segments[segment]) + length > self._segment_bytes:
            segment = self._tail = self._new_name()
            self._tail_key_id = key_id
            self._segments[segment] = bytearray()
        content = self._segments[segment]
        locations = []
        end = len(content)
        for item in batch:
            locations.append(Location(segment, end, item.length))
            end += item.length
        return _MemoryAppend(locations, content, batch)

    def begin_large(self, permit: Permit, object_id: bytes) -> LargeObject:
        """As ``SegmentStore.begin_large``, but it is all in memory."""
        require_permit(permit)
        self._keys.current()  # without one it ends here
        sealer = Sealer(object_id, self._random_bytes, self._chunk_bytes)
        return _MemoryLargeObject(self._segments, self._new_name(), sealer, self._keys)

    def open(self, permit: Permit, location: Location, object_id: bytes) -> SealedReader:
        """As ``SegmentStore.open``."""
        require_permit(permit)
        return open_record(self._read_at, location, object_id, self._keys)

    def verify(self, permit: Permit, location: Location, object_id: bytes) -> None:
        """As ``SegmentStore.verify``."""
        require_permit(permit)
        verify_record(self._read_at, location, object_id, self._keys)

    def segments(self, permit: Permit) -> Iterator[SegmentInfo]:
        """As ``SegmentStore.segments``."""
        require_permit(permit)
        return iter([SegmentInfo(name, len(self._segments[name])) for name in sorted(self._segments)])

    def scan(self, permit: Permit, segment: str, start: int = 0) -> Iterator[ScannedRecord | TornTail]:
        """As ``SegmentStore.scan``."""
        require_permit(permit)
        return walk(self._read_at, segment, len(self._content(segment)), start)

    def truncate_tail(self, permit: Permit, segment: str, keep_bytes: int) -> None:
        """As ``SegmentStore.truncate_tail``."""
        require_permit(permit)
        if segment == self._tail:
            raise LocalProtocolError("recovery cuts only segments that are not appended to")
        content = self._content(segment)
        if not 0 <= keep_bytes <= len(content):
            raise ValueError(f"cannot keep {keep_bytes} bytes of {len(content)}")
        del content[keep_bytes:]
        if not keep_bytes:
            del self._segments[segment]

    def discard_unfinished(self, permit: Permit) -> int:
        """As ``SegmentStore.discard_unfinished``: what is unfinished in memory is nowhere."""
        require_permit(permit)
        return 0

    def rewrap(self, permit: Permit, records: Sequence[Record]) -> int:
        """As ``SegmentStore.rewrap``."""
        require_permit(permit)
        return self._change(rewrapped_headers(self._read_at, records, self._keys, self._random_bytes))

    def erase(self, permit: Permit, records: Sequence[Record]) -> None:
        """As ``SegmentStore.erase``."""
        require_permit(permit)
        self._change(erased_headers(self._read_at, records))

    def finish_rewrites(self, permit: Permit) -> bool:
        """As ``SegmentStore.finish_rewrites``: nothing in memory is broken off."""
        require_permit(permit)
        return False

    def free_bytes(self, permit: Permit) -> int:
        """As ``SegmentStore.free_bytes``: no bound that this store knows."""
        require_permit(permit)
        return _UNLIMITED_BYTES

    def close(self) -> None:
        """As ``SegmentStore.close``."""
        self._segments.clear()

    def _change(self, headers: Sequence[NewHeader]) -> int:
        for each in headers:
            self._content(each.segment)[each.offset : each.offset + len(each.raw)] = each.raw
        return len(headers)

    def _content(self, segment: str) -> bytearray:
        try:
            return self._segments[segment]
        except KeyError:
            raise IntegrityBroken(f"segments/{segment}.seg is missing") from None

    def _new_name(self) -> str:
        return new_ulid(self._clock.now(), self._random_bytes)

    def _read_at(self, segment: str, offset: int, length: int) -> bytes:
        return bytes(self._content(segment)[offset : offset + length])


class _MemoryLargeObject:
    """Collects chunks; becomes a segment at the end."""

    def __init__(
        self, segments: dict[str, bytearray], segment: str, sealer: Sealer, keys: KeyProvider
    ) -> None:
        self._keys = keys
        self._segments = segments
        self._segment = segment
        self._sealer: Sealer | None = sealer
        self._chunks: list[bytes] = []

    def write(self, fragment: bytes | memoryview) -> None:
        """As ``LargeObject.write``."""
        self._chunks += self._open_sealer().add(fragment)

    def settle(self) -> None:
        """As ``LargeObject.settle``."""
        self._open_sealer()

    def finish(self) -> Location:
        """As ``LargeObject.finish``."""
        last, header = self._open_sealer().finish(self._keys.current())
        self._sealer = None
        content = bytearray(b"".join((header, *self._chunks, last)))
        self._segments[self._segment] = content
        return Location(self._segment, 0, len(content))

    def abort(self) -> None:
        """As ``LargeObject.abort``."""
        self._sealer = None
        self._chunks.clear()

    def _open_sealer(self) -> Sealer:
        if self._sealer is None:
            raise LocalProtocolError("the large object is finished, aborted or failed")
        return self._sealer
