"""Which headers change, and into what, when keys are rotated and when objects are erased."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leadglass.storage.journal import NewHeader
from leadglass.storage.keys import KeyProvider
from leadglass.storage.reader import ReadAt, read_header
from leadglass.storage.record import NONCE_BYTES, erased, rewrapped
from leadglass.storage.store import Record


def rewrapped_headers(
    read_at: ReadAt, records: Sequence[Record], keys: KeyProvider, random_bytes: Callable[[int], bytes]
) -> list[NewHeader]:
    """Of the records that another key than the current one wraps.

    Raises:
        IntegrityBroken, KeyUnavailable: as ``SegmentStore.rewrap``.
    """
    current = keys.current()
    changed = []
    for record in records:
        location = record.location
        header = read_header(read_at, location, record.object_id)
        if header.is_erased or header.key_id == current.key_id:
            continue
        raw = rewrapped(header, keys.find(header.key_id), current, random_bytes(NONCE_BYTES), location)
        changed.append(NewHeader(location.segment, location.offset, raw))
    return changed


def erased_headers(read_at: ReadAt, records: Sequence[Record]) -> list[NewHeader]:
    """Of the records that are not erased yet.

    Raises:
        IntegrityBroken: as ``SegmentStore.erase``.
    """
    changed = []
    for record in records:
        header = read_header(read_at, record.location, record.object_id)
        if not header.is_erased:
            changed.append(NewHeader(record.location.segment, record.location.offset, erased(header)))
    return changed
