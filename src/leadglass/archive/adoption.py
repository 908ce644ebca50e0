"""Adoption: what was kept of a device while it was learned is served, now that it has a rule.

The policy is asked of each object as if the device sent it now. The bytes are read once more and stay
where they lie.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from leadglass.archive.recording import Recorder
from leadglass.archive.store_facts import facts_of_store
from leadglass.dataset.header import HeaderLimits, NeedMoreBytes, Part, scan_header
from leadglass.dataset.record import instance_record
from leadglass.index.entries import Conflict, Placed
from leadglass.index.learned import Adopter, Kept, LearnedObjects
from leadglass.model.action import Facts
from leadglass.model.errors import DatasetInvalid, IntegrityBroken, KeyUnavailable, PeerError
from leadglass.model.event import AuditEvent, Outcome, under
from leadglass.model.instance import InstanceRecord, StoredInstance
from leadglass.model.permit import Permit
from leadglass.storage.store import SegmentStore

AT_ONCE = 256
FIRST_LOOK_BYTES = 1 << 20
HEADER_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Adoption:
    """A device, what it was called while it was learned, its site, and what its rule lets it store."""

    device: str
    sender: str
    site: str
    may_store: Callable[[Facts], bool]


@dataclass(slots=True)
class Adopted:
    """How many objects are served now, or were stored already; or stay apart, and why."""

    served: int = 0
    repeated: int = 0
    refused: int = 0
    conflicting: int = 0
    damaged: int = 0

    @property
    def stay(self) -> int:
        """Those that are still in quarantine."""
        return self.refused + self.conflicting + self.damaged


def adopt(
    permit: Permit,
    adoption: Adoption,
    rooms: tuple[LearnedObjects, SegmentStore, Recorder],
    limits: HeaderLimits,
) -> Adopted:
    """Serve what is kept of a sender and its rule allows, some at a time; broken off, it goes on when called.

    Raises:
        NotPermitted: the permit is not for a deletion.
    """
    learned, store, recorder = rooms
    result = Adopted()
    kept = learned.content(permit, adoption.sender)
    for start in range(0, len(kept), AT_ONCE):
        batch = {each.row: each for each in kept[start : start + AT_ONCE]}
        records = {}
        for row, each in batch.items():
            record = _read(permit, store, each.stored, limits)
            if record is None:
                result.damaged += 1
            elif not adoption.may_store(facts_of_store(record)):
                result.refused += 1
            else:
                records[row] = record
        adopter = Adopter(adoption.device, adoption.site)
        outcomes = learned.serve(permit, adoption.sender, adopter, records)
        recorder.note(_line(permit, batch[row].stored, outcome) for row, outcome in outcomes.items())
        recorder.flush()
        placed = list(outcomes.values())
        result.served += placed.count(Placed.STORED)
        result.repeated += placed.count(Placed.ALREADY_STORED)
        result.conflicting += sum(isinstance(outcome, Conflict) for outcome in placed)
    return result


def _line(permit: Permit, stored: StoredInstance, outcome: Placed | Conflict) -> AuditEvent:
    failed = isinstance(outcome, Conflict)
    return under(
        permit,
        "instance.adopted",
        Outcome.FAILED if failed else Outcome.DONE,
        reason=outcome.value if outcome is not Placed.STORED else "",
        study=stored.study,
        instance=stored.sop_instance,
    )


def _read(
    permit: Permit, store: SegmentStore, stored: StoredInstance, limits: HeaderLimits
) -> InstanceRecord | None:
    """What the index is to know of it; ``None``: its bytes are not those that were received."""
    digest = hashlib.sha256()
    head = bytearray()
    record: InstanceRecord | None = None
    look_at_bytes = FIRST_LOOK_BYTES
    try:
        for chunk in store.open(permit, stored.location, stored.object_id).chunks():
            digest.update(chunk)
            if record is not None:
                continue
            head += chunk
            if len(head) >= look_at_bytes:
                record = _understood(bytes(head), stored, limits, Part.PREFIX)
                look_at_bytes *= 2
        if digest.digest() != stored.sha256:
            return None
        return record or _understood(bytes(head), stored, limits, Part.WHOLE)
    except (IntegrityBroken, KeyUnavailable, PeerError):
        return None


def _understood(
    head: bytes, stored: StoredInstance, limits: HeaderLimits, part: Part
) -> InstanceRecord | None:
    """Its record; ``None``: the header does not end here yet."""
    try:
        header = scan_header(head, stored.transfer_syntax, limits, part)
    except NeedMoreBytes:
        if len(head) > HEADER_BYTES:
            raise DatasetInvalid("no pixel data within the bytes that a header may take") from None
        return None
    return instance_record(
        header,
        sop_class=stored.sop_class,
        sop_instance=stored.sop_instance,
        transfer_syntax=stored.transfer_syntax,
    )


__all__ = ["Adopted", "Adoption", "Kept", "adopt"]
