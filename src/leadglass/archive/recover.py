"""Recovery at start: what a crash left behind was never acknowledged, and goes. DESIGN §3, §5.

Two things leave bytes that no row names: a crash, after which nobody was told that they are stored; and an
index that was put back from an older copy, beside which they are all there is. The mark in the segments
folder (``storage/mark.py``) tells them apart. With an index that has the marked line of the audit trail,
what one run of a server can leave undecided is cut, however it is spread over segments. With one that
lacks it nothing is cut, then or at any later start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import structlog
from sqlalchemy import Engine

from leadglass.archive.jobs import MAX_BATCH_BYTES, MAX_BATCH_OBJECTS
from leadglass.audit.read import end_of, link_at
from leadglass.index.engine import reading
from leadglass.index.index import Index
from leadglass.model.errors import StorageFailed
from leadglass.model.permit import Permit
from leadglass.storage.directory import SegmentInfo
from leadglass.storage.mark import IndexMark, Mark
from leadglass.storage.reader import TornTail
from leadglass.storage.store import SegmentStore

MAX_CUT_BYTES = 2 * MAX_BATCH_BYTES
MAX_CUT_ALONE = MAX_BATCH_OBJECTS

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RecoveryRooms:
    """What recovery looks at. ``engine`` is of the database that holds index and audit trail."""

    index: Index
    engine: Engine
    store: SegmentStore
    mark: IndexMark


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was done.

    ``unfinished`` large objects were removed, ``cut_bytes`` that the index does not know were cut
    off, ``left_bytes`` that it does not know either were left, because no crash explains them;
    ``rewritten`` says that headers were left half changed, and are not any more.
    """

    unfinished: int
    cut_bytes: int
    left_bytes: int
    rewritten: bool = False

    @property
    def anything(self) -> bool:
        """Whether there was something to do."""
        return bool(self.unfinished or self.cut_bytes or self.left_bytes or self.rewritten)

    @property
    def text(self) -> str:
        """In words."""
        text = f"{self.unfinished} unfinished objects removed, {self.cut_bytes} unacknowledged bytes cut"
        if self.left_bytes:
            text += f", {self.left_bytes} bytes left that the index does not know: is index.db an old copy?"
        if self.rewritten:
            text += "; a change of keys, or an erasure, that was broken off is finished"
        return text


class _Standing(Enum):
    """What the mark says of the index."""

    UNMARKED = "no server of this version has ended its recovery here"
    CURRENT = "it has all that was committed up to the mark"
    OLDER = "it lacks what was committed once"
    DISPUTED = "an index that lacked it was used meanwhile"


@dataclass(frozen=True, slots=True)
class _Tail:
    """What a segment holds beyond all that is accounted for.

    ``is_filling``: only the zeros that fill a last block. ``is_alone``: one whole record, and nothing
    else in the segment: so lies a large object.
    """

    segment: str
    keep_bytes: int
    unknown_bytes: int
    is_filling: bool
    is_alone: bool


def recover(rooms: RecoveryRooms, permit: Permit) -> Recovered:
    """Cut from each segment what lies beyond the last record the index names, where a crash explains it.

    Only for the process that holds the site's lock, before it stores anything. From then on what it
    commits is marked, unless something was left.

    Raises:
        NotPermitted, StorageFailed, IntegrityBroken
    """
    rewritten = rooms.store.finish_rewrites(permit)
    unfinished = rooms.store.discard_unfinished(permit)
    tails = list(_tails(rooms, permit))
    unknown = [tail for tail in tails if not tail.is_filling]
    mark = rooms.mark.read(permit)
    standing = _standing(rooms.engine, mark)
    to_cut = tails if _explained(unknown, standing) else [tail for tail in tails if tail.is_filling]
    for tail in to_cut:
        rooms.store.truncate_tail(permit, tail.segment, tail.keep_bytes)
    cut_bytes = sum(tail.unknown_bytes for tail in to_cut)
    left_bytes = sum(tail.unknown_bytes for tail in tails) - cut_bytes
    if not left_bytes:
        _begin_to_mark(rooms, permit)
    elif mark is not None and standing is _Standing.OLDER:
        rooms.mark.dispute(permit, mark)  # so that the newer index, put back, does not cut what is stored now
    return Recovered(unfinished, cut_bytes, left_bytes, rewritten)


def _tails(rooms: RecoveryRooms, permit: Permit) -> Iterator[_Tail]:
    known = rooms.index.segment_ends(permit)
    for info in list(rooms.store.segments(permit)):
        if info.size_bytes > known.get(info.name, 0):
            tail = _tail(rooms.store, permit, info, known.get(info.name, 0))
            if tail.unknown_bytes:
                yield tail


def _tail(store: SegmentStore, permit: Permit, info: SegmentInfo, end: int) -> _Tail:
    """Records that were erased are in no row any more, and accounted for all the same."""
    is_filling, is_alone = True, False
    for record in store.scan(permit, info.name, end):
        if isinstance(record, TornTail):
            is_filling = False
        elif record.location.offset == end and record.is_erased:
            end += record.location.length
        else:
            is_filling = False
            is_alone = record.location.length == info.size_bytes
    return _Tail(info.name, end, info.size_bytes - end, is_filling, is_alone)


def _standing(engine: Engine, mark: Mark | None) -> _Standing:
    if mark is None:
        return _Standing.UNMARKED
    if mark.disputed:
        return _Standing.DISPUTED
    with reading(engine).connect() as connection:
        link = link_at(connection, mark.line)
    return _Standing.CURRENT if link is not None and link.hash == mark.hash else _Standing.OLDER


def _explained(unknown: Sequence[_Tail], standing: _Standing) -> bool:
    """Whether a crash left this.

    It leaves at most one batch: its small objects in the open segment and each large one alone in its
    own; and of batches that failed before, for want of room say, what was not removed yet. Without a
    mark only the plainest case is believed; and with one, an index that has lost a mass of rows is not.
    """
    together = [tail.unknown_bytes for tail in unknown if not tail.is_alone]
    match standing:
        case _Standing.CURRENT:
            return sum(together) <= MAX_CUT_BYTES and len(unknown) - len(together) <= MAX_CUT_ALONE
        case _Standing.UNMARKED:
            return len(unknown) <= 1 and sum(tail.unknown_bytes for tail in unknown) <= MAX_CUT_BYTES
        case _Standing.OLDER | _Standing.DISPUTED:
            return not unknown


def _begin_to_mark(rooms: RecoveryRooms, permit: Permit) -> None:
    with reading(rooms.engine).connect() as connection:
        end = end_of(connection)
    try:
        rooms.mark.begin(permit, Mark(end.seq, end.hash))
    except StorageFailed as error:  # a full disk keeps nobody from reading; the mark there is stays true
        log.warning("an old copy of the index would not be known as one", reason=str(error))
