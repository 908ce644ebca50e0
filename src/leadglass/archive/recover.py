"""Recovery at start: what a crash left behind was never acknowledged, and goes. DESIGN §3, §5."""

from __future__ import annotations

from dataclasses import dataclass

from leadglass.archive.jobs import MAX_BATCH_BYTES
from leadglass.index.index import Index
from leadglass.model.permit import Permit
from leadglass.storage.reader import ScannedRecord
from leadglass.storage.store import SegmentStore

MAX_CUT_BYTES = 2 * MAX_BATCH_BYTES


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


def recover(index: Index, store: SegmentStore, permit: Permit) -> Recovered:
    """Cut from each segment what lies beyond the last record the index names.

    A crash leaves at most one batch, in one segment. Anything more is left alone: it may be that the
    index is an older copy, and then these bytes are all there is.

    Only for the process that holds the site's lock, before it stores anything.

    Raises:
        NotPermitted, StorageFailed, IntegrityBroken
    """
    rewritten = store.finish_rewrites(permit)
    unfinished = store.discard_unfinished(permit)
    sizes = {segment.name: segment.size_bytes for segment in store.segments(permit)}
    known = index.segment_ends(permit)
    ends = {name: known.get(name, 0) for name in sizes}
    for name, size_bytes in sizes.items():
        if size_bytes > ends[name]:
            ends[name] = _past_erased(store, permit, name, ends[name])
    beyond = {name: size_bytes - ends[name] for name, size_bytes in sizes.items() if size_bytes > ends[name]}
    unknown_bytes = sum(beyond.values())
    if len(beyond) != 1 or unknown_bytes > MAX_CUT_BYTES:
        return Recovered(unfinished, 0, unknown_bytes, rewritten)
    segment = next(iter(beyond))
    store.truncate_tail(permit, segment, ends[segment])
    return Recovered(unfinished, unknown_bytes, 0, rewritten)


def _past_erased(store: SegmentStore, permit: Permit, segment: str, end: int) -> int:
    """The end of what is accounted for: records that were erased are in no row any more."""
    for record in store.scan(permit, segment):
        if isinstance(record, ScannedRecord) and record.location.offset == end and record.is_erased:
            end += record.location.length
    return end
