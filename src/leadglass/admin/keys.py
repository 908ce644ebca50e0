"""The site key: change it while the archive serves, and know that every object is under the new one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from leadglass.admin.desk import Recorder, record, require
from leadglass.index.index import Index
from leadglass.model.action import SITE, Verb
from leadglass.model.errors import ConfigurationInvalid, IntegrityBroken, KeyUnavailable
from leadglass.model.permit import Permit
from leadglass.storage.keys import FileKeyProvider
from leadglass.storage.store import Record, SegmentStore

BATCH_RECORDS = 256

Progress = Callable[[int, int], None]
"""Told how many records were looked at, and of how many."""


class Server(Protocol):
    """The server of this site, if one runs; it reads the current key for itself."""

    def has_taken_up(self, key_id: bytes) -> bool:
        """Wait a little until all that is on its way is sealed with this key; true where none runs."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What was done. ``resumed``: a rotation that was broken off was finished, and no new key made.

    ``unreadable`` records are under a key that is missing, or damaged; while there are any, the older keys
    are kept.
    """

    key_id: str
    resumed: bool
    rewrapped: int
    destroyed: tuple[str, ...]
    unreadable: int


def rotate_keys(
    permit: Permit,
    rooms: tuple[Index, SegmentStore, FileKeyProvider],
    recorder: Recorder,
    server: Server,
    random_bytes: Callable[[int], bytes],
    progress: Progress,
) -> Rotated:
    """Make a new site key, wrap every object's key with it, and destroy the older ones.

    The archive serves and stores meanwhile. Killed at any point, nothing is lost: run again, it finishes.

    Raises:
        NotPermitted: ``permit`` is not for KEYS.
        ConfigurationInvalid: the running server does not take the new key up.
        StorageFailed: the disk refuses.
    """
    require(permit, Verb.KEYS)
    index, store, keys = rooms
    older = keys.older()
    current = keys.current() if older else keys.renew(random_bytes)
    record(recorder, permit, "keys.renewed", SITE, f"current is {current.key_id.hex()}")
    if not server.has_taken_up(current.key_id):
        raise ConfigurationInvalid(
            "the running server does not take the new key up: restart it, run this again"
        )
    rewrapped, unreadable = _rewrap_all(permit, index, store, progress)
    destroyed: list[str] = []
    if not unreadable:
        for key_id in keys.older():
            keys.destroy(key_id)
            destroyed.append(key_id.hex())
    outcome = f"{rewrapped} objects under {current.key_id.hex()}; {len(destroyed)} older keys destroyed"
    if unreadable:
        outcome += f"; {unreadable} objects cannot be read, so the older keys are kept"
    record(recorder, permit, "keys.rotated", SITE, outcome)
    return Rotated(current.key_id.hex(), bool(older), rewrapped, tuple(destroyed), unreadable)


def _rewrap_all(permit: Permit, index: Index, store: SegmentStore, progress: Progress) -> tuple[int, int]:
    """Everything the index names: how many were rewrapped, and how many cannot be read."""
    counts = index.counts(permit)
    total = counts.instances + counts.quarantined + counts.binned
    seen = rewrapped = unreadable = 0
    every = (held.stored for held in index.inventory(permit))
    for batch in _batches(Record(stored.location, stored.object_id) for stored in every):
        try:
            rewrapped += store.rewrap(permit, batch)
        except (IntegrityBroken, KeyUnavailable):
            done, failed = _one_by_one(permit, store, batch)
            rewrapped += done
            unreadable += failed
        seen += len(batch)
        progress(seen, max(seen, total))
    return rewrapped, unreadable


def _one_by_one(permit: Permit, store: SegmentStore, batch: Sequence[Record]) -> tuple[int, int]:
    rewrapped = unreadable = 0
    for each in batch:
        try:
            rewrapped += store.rewrap(permit, [each])
        except (IntegrityBroken, KeyUnavailable):
            unreadable += 1
    return rewrapped, unreadable


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    rest = iter(records)
    while batch := list(islice(rest, BATCH_RECORDS)):
        yield batch
