"""The contract of a segment store. ``tests/contract/test_segment_store.py`` holds all to it.

One committer thread calls ``append``; any thread may do everything else. What is not in the index
does not exist: a record counts from the moment the index names it, so an append that was never
acknowledged leaves at most bytes that ``scan`` shows and ``truncate_tail`` removes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from leadglass.model.instance import Location
from leadglass.model.permit import Permit
from leadglass.storage.directory import SegmentInfo
from leadglass.storage.health import StoreState
from leadglass.storage.large import LargeObject
from leadglass.storage.reader import ScannedRecord, SealedReader, TornTail
from leadglass.storage.seal import Sealable


@dataclass(frozen=True, slots=True)
class Record:
    """A record that the index names."""

    location: Location
    object_id: bytes


class PendingAppend(Protocol):
    """A batch that is not stored yet. ``locations`` say where each object will lie."""

    @property
    def locations(self) -> Sequence[Location]:
        """In the order of the batch."""

    def finish(self) -> None:
        """Write the batch and make it durable. Called once, from any thread, before the next begins.

        Raises:
            StorageFailed: nothing of the batch counts.
        """


class SegmentStore(Protocol):
    """Append-only segments of sealed records. Constructing one changes nothing that is stored."""

    @property
    def state(self) -> StoreState:
        """FAILED after a sync failed: nothing is stored until the store is opened anew."""

    def append(self, permit: Permit, batch: Sequence[Sealable]) -> list[Location]:
        """Make the whole batch durable with one sync; where each object lies, in order.

        A batch lies in one segment, which may so become longer than a segment usually is.

        Raises:
            StorageFailed: nothing of the batch counts. With no room (``state`` stays READY) a
                later append may succeed.
        """

    def begin_append(self, permit: Permit, batch: Sequence[Sealable]) -> PendingAppend:
        """As ``append``, but ``finish`` makes the batch durable: rows can be written meanwhile.

        A batch that is never finished does not count; the next one takes its place.
        """

    def begin_large(self, permit: Permit, object_id: bytes) -> LargeObject:
        """Start an object of unknown length, in a segment of its own; holds one chunk in memory.

        Raises:
            StorageFailed: no file could be made.
            KeyUnavailable: there is no key to seal it with.
        """

    def open(self, permit: Permit, location: Location, object_id: bytes) -> SealedReader:
        """Open a record for reading.

        Raises:
            IntegrityBroken: it is not there, not whole, or not authentic; names segment and offset.
            KeyUnavailable: the site key that sealed it is missing.
            OutOfResources: no descriptors left.
        """

    def verify(self, permit: Permit, location: Location, object_id: bytes) -> None:
        """Read a record to its end and forget it. Raises as ``open``."""

    def segments(self, permit: Permit) -> Iterator[SegmentInfo]:
        """All segments, oldest first; a large object shows when it is finished."""

    def scan(self, permit: Permit, segment: str, start: int = 0) -> Iterator[ScannedRecord | TornTail]:
        """Walk a segment record by record, without any key. A TornTail comes last, if at all.

        ``start``: where a record begins, or the segment ends.

        Raises:
            IntegrityBroken: there is no such segment, or the disk does not give its bytes.
        """

    def truncate_tail(self, permit: Permit, segment: str, keep_bytes: int) -> None:
        """Recovery at start: cut off what the index does not know; with nothing to keep, remove.

        The caller has looked through the index and knows that nothing there points beyond
        ``keep_bytes``. Never a TornTail's word alone: damage in the middle looks like one.

        Raises:
            IntegrityBroken: there is no such segment.
            LocalProtocolError: this store appends to it at the moment.
            StorageFailed: it could not be cut durably.
            ValueError: ``keep_bytes`` is not within the segment.
        """

    def discard_unfinished(self, permit: Permit) -> int:
        """Recovery at start: remove large objects that were never finished; how many.

        Only the process that holds the site's lock may call it, before it begins any.

        Raises:
            StorageFailed: one could not be removed.
        """

    def rewrap(self, permit: Permit, records: Sequence[Record]) -> int:
        """Have the current site key wrap the data keys of these records; how many it did not before.

        On disk when it returns. Killed in between, each record is under the old key or the new one.

        Raises:
            IntegrityBroken: one is not there, not whole or not authentic; none is changed.
            KeyUnavailable: the site key of one is missing; none is changed.
            StorageFailed: the disk refuses.
        """

    def erase(self, permit: Permit, records: Sequence[Record]) -> None:
        """Destroy the data keys of these records, for good: nobody will ever read them again.

        On disk when it returns. A record that was erased before stays so.

        Raises:
            IntegrityBroken: one is not there or not whole; none is changed.
            StorageFailed: the disk refuses.
        """

    def finish_rewrites(self, permit: Permit) -> bool:
        """Recovery at start: finish a rewrap or an erasure that was broken off; whether there was one.

        Raises:
            StorageFailed: the disk refuses.
            IntegrityBroken: the journal is damaged.
        """

    def free_bytes(self, permit: Permit) -> int:
        """Room left.

        Raises:
            StorageFailed: the system does not say.
        """

    def close(self) -> None:
        """Let go of all files. Nothing else may be called afterwards."""
