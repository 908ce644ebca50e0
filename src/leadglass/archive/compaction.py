"""Compaction: the room of what was erased goes back to the disk, while the archive serves. DESIGN §5.

One segment at a time: what lives in it is copied, still sealed, into a segment of its own; one
transaction names the new places; the old segment is removed when no reader can still be on its way to
it. So at most one segment is on the disk twice. Only what is known to be erased is ever dropped: a
segment with a record that the index does not know, and that was not erased, is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Final, Protocol

from leadglass.archive.recording import Recorder
from leadglass.index.places import Compaction, Move, Places
from leadglass.model.clock import Clock
from leadglass.model.errors import IntegrityBroken
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.instance import Location
from leadglass.model.permit import Permit
from leadglass.storage.directory import SegmentInfo
from leadglass.storage.reader import ScannedRecord, TornTail
from leadglass.storage.seal import Sealable
from leadglass.storage.store import PendingAppend, Record

BATCH_BYTES: Final = 16 << 20
RESERVE_BYTES: Final = 64 << 20
READERS_GRACE: Final = timedelta(minutes=10)


class Segments(Protocol):
    """The segments that are compacted; ``LocalSegmentStore`` is them."""

    @property
    def appending_to(self) -> str | None:
        """The segment that is appended to at the moment."""

    def segments(self, permit: Permit) -> Iterator[SegmentInfo]:
        """As ``SegmentStore.segments``."""

    def scan(self, permit: Permit, segment: str) -> Iterator[ScannedRecord | TornTail]:
        """As ``SegmentStore.scan``."""

    def sealed(self, permit: Permit, location: Location) -> bytes:
        """A record as it lies on the disk."""

    def truncate_tail(self, permit: Permit, segment: str, keep_bytes: int) -> None:
        """As ``SegmentStore.truncate_tail``."""

    def erase(self, permit: Permit, records: Sequence[Record]) -> None:
        """As ``SegmentStore.erase``."""

    def free_bytes(self, permit: Permit) -> int:
        """As ``SegmentStore.free_bytes``."""

    def unchanging(self, permit: Permit) -> AbstractContextManager[None]:
        """Meanwhile nobody rewraps, erases or compacts."""


class Target(Protocol):
    """Where the copies go: a store that never turns to another segment by itself."""

    def begin_append(self, permit: Permit, batch: Sequence[Sealable]) -> PendingAppend:
        """As ``SegmentStore.begin_append``."""

    def close(self) -> None:
        """As ``SegmentStore.close``."""


@dataclass(frozen=True, slots=True)
class CompactionRooms:
    """What it works on. ``target`` makes a new store over the same folder."""

    places: Places
    segments: Segments
    target: Callable[[], Target]
    recorder: Recorder
    clock: Clock


@dataclass(frozen=True, slots=True)
class Candidate:
    """A segment of which enough is dead. ``unknown``: it holds something that only a person may judge."""

    segment: str
    size_bytes: int
    live_bytes: int
    unknown: bool


class Result(Enum):
    """What became of one candidate."""

    DONE = "done"
    NO_ROOM = "no room"
    CHANGED = "changed meanwhile"


@dataclass(frozen=True, slots=True)
class _Copy:
    """A sealed record on its way; implements ``Sealable``. It binds its object, not its place."""

    object_id: bytes
    length: int
    buffers: Sequence[bytes]


class Compactor:
    """Gives room back; one for a site. ``dead_percent``: from this share of dead bytes on."""

    def __init__(self, rooms: CompactionRooms, dead_percent: int) -> None:
        self._rooms = rooms
        self._dead_percent = dead_percent

    def candidates(self, permit: Permit) -> list[Candidate]:
        """Segments that would be compacted now.

        Raises:
            NotPermitted: the permit is for neither a deletion nor the server's own work.
            IntegrityBroken: the disk does not give a segment's bytes.
        """
        known = self._rooms.places.known_bytes(permit)
        begun = self._rooms.places.begun(permit)
        busy = {self._rooms.segments.appending_to, *((begun.source, begun.target) if begun else ())}
        found = []
        for info in self._rooms.segments.segments(permit):
            live_bytes = known.get(info.name, 0)
            dead_bytes = info.size_bytes - live_bytes
            if info.name in busy or not dead_bytes or dead_bytes * 100 < info.size_bytes * self._dead_percent:
                continue
            unknown = self._live(permit, info.name) is None
            found.append(Candidate(info.name, info.size_bytes, live_bytes, unknown))
        return found

    def settle(self, permit: Permit, grace: timedelta) -> bool:
        """Finish what was begun or broken off; whether nothing is left to wait for.

        Raises:
            NotPermitted: as ``candidates``.
            StorageFailed: the disk refuses.
        """
        with self._rooms.segments.unchanging(permit):
            begun = self._rooms.places.begun(permit)
            if begun is None:
                return True
            if begun.moved and self._rooms.clock.now() - begun.at < grace:
                return False
            self._remove(permit, begun.source if begun.moved else begun.target)
            self._rooms.places.forget(permit)
        return True

    def erase_copies(self, permit: Permit, object_ids: Collection[bytes]) -> None:
        """Of objects that were condemned and erased where the index named them: what else there is of them.

        A compaction that is not settled leaves each object twice: in the old segment, until no reader is
        on its way there; or, broken off, in the new one, of which nothing counts, and which goes.

        Raises:
            NotPermitted: as ``candidates``.
            IntegrityBroken: the old segment cannot be read to its end.
            StorageFailed: the disk refuses.
        """
        if self.settle(permit, READERS_GRACE):
            return
        begun = self._rooms.places.begun(permit)
        if begun is None:
            return
        try:
            self._erase_in(permit, begun.source, object_ids)
        except IntegrityBroken:
            if self._is_there(permit, begun.source):
                raise  # else it was settled meanwhile

    def compact(self, permit: Permit, candidate: Candidate, copied: Callable[[int], bool]) -> Result:
        """Compact one; the old segment stays until ``settle``.

        ``copied`` is told how many bytes after each batch; it may wait, and says whether to go on.

        Raises:
            NotPermitted, IntegrityBroken: as ``candidates``.
            StorageFailed: the disk refuses; ``settle`` clears up.
        """
        segment = candidate.segment
        with self._rooms.segments.unchanging(permit):
            live = self._live(permit, segment)
            if live is None or self._rooms.places.begun(permit) is not None:
                return Result.CHANGED
            if not live:
                self._remove(permit, segment)
                self._note(permit, candidate, 0)
                return Result.DONE
            live_bytes = sum(location.length for location in live.values())
            if self._rooms.segments.free_bytes(permit) < live_bytes + RESERVE_BYTES:
                return Result.NO_ROOM
            if not self._copy(permit, segment, live, copied):
                return Result.CHANGED
        self._note(permit, candidate, len(live))
        return Result.DONE

    def _copy(
        self, permit: Permit, source: str, live: dict[bytes, Location], copied: Callable[[int], bool]
    ) -> bool:
        """Copy all and name the new places; or nothing, and no copy is left."""
        places = self._rooms.places
        target = self._rooms.target()
        moves: list[Move] = []
        begun: Compaction | None = None
        whole = True
        try:
            for batch in _batches(live):
                pending = target.begin_append(permit, [self._sealed(permit, *each) for each in batch])
                if begun is None:
                    name = pending.locations[0].segment
                    begun = Compaction(source, name, moved=False, at=self._rooms.clock.now())
                    places.begin(permit, begun)
                pending.finish()
                moves += [
                    Move(object_id, old, new)
                    for (object_id, old), new in zip(batch, pending.locations, strict=True)
                ]
                whole = copied(sum(old.length for _, old in batch))
                if not whole:
                    break
        finally:
            target.close()
        if begun is None:
            return False
        whole = whole and {move.new.segment for move in moves} == {begun.target}
        done = replace(begun, moved=True, at=self._rooms.clock.now())
        if whole and places.move(permit, done, moves):
            return True
        for name in {begun.target, *(move.new.segment for move in moves)}:
            self._remove(permit, name)
        places.forget(permit)
        return False

    def _sealed(self, permit: Permit, object_id: bytes, location: Location) -> _Copy:
        return _Copy(object_id, location.length, (self._rooms.segments.sealed(permit, location),))

    def _live(self, permit: Permit, segment: str) -> dict[bytes, Location] | None:
        """What lives in a segment; ``None`` if not all else in it is known to be erased."""
        scanned = list(self._rooms.segments.scan(permit, segment))
        known = self._rooms.places.in_segment(permit, segment)
        seen = {}
        for record in scanned:
            if isinstance(record, TornTail):
                return None
            if known.get(record.object_id) == record.location:
                seen[record.object_id] = record.location
            elif not record.is_erased:
                return None
        return known if len(seen) == len(known) else None

    def _remove(self, permit: Permit, segment: str) -> None:
        """Remove a segment in which the index names nothing; it may be gone already."""
        if self._is_there(permit, segment) and not self._rooms.places.in_segment(permit, segment):
            self._rooms.segments.truncate_tail(permit, segment, 0)

    def _erase_in(self, permit: Permit, segment: str, object_ids: Collection[bytes]) -> None:
        copies = []
        for record in self._rooms.segments.scan(permit, segment):
            if isinstance(record, TornTail):
                raise IntegrityBroken(f"segments/{segment}.seg+{record.offset}: no copy can be found beyond")
            if record.object_id in object_ids:
                copies.append(Record(record.location, record.object_id))
        self._rooms.segments.erase(permit, copies)

    def _is_there(self, permit: Permit, segment: str) -> bool:
        return any(info.name == segment for info in self._rooms.segments.segments(permit))

    def _note(self, permit: Permit, candidate: Candidate, count: int) -> None:
        returned = candidate.size_bytes - candidate.live_bytes
        event = AuditEvent(
            kind="segment.compacted",
            outcome=Outcome.DONE,
            who=permit.who,
            verb=permit.action.verb,
            target=permit.action.target,
            rule=permit.rule,
            reason=f"{candidate.segment}: {returned} bytes given back",
            count=count,
        )
        self._rooms.recorder.note([event])
        self._rooms.recorder.flush()


def compact_all(
    compactor: Compactor, permit: Permit, grace: timedelta, copied: Callable[[int], bool]
) -> Iterator[tuple[Candidate, Result]]:
    """Compact whatever can be, one segment after another, as long as nothing is left to wait for.

    Raises:
        As ``Compactor.settle`` and ``Compactor.compact``.
    """
    if not compactor.settle(permit, grace):
        return
    for candidate in compactor.candidates(permit):
        if candidate.unknown:
            continue
        yield candidate, compactor.compact(permit, candidate, copied)
        if not compactor.settle(permit, grace):
            return


def _batches(live: dict[bytes, Location]) -> Iterable[list[tuple[bytes, Location]]]:
    batch: list[tuple[bytes, Location]] = []
    size_bytes = 0
    for object_id, location in sorted(live.items(), key=lambda each: each[1].offset):
        if batch and size_bytes + location.length > BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
        batch.append((object_id, location))
        size_bytes += location.length
    if batch:
        yield batch
