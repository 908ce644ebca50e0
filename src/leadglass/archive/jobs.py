"""One object to make durable, and how that ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from threading import Event

from leadglass.audit.trail import Line
from leadglass.index.entries import Conflict, ExistingInstance, NewInstance, Placed
from leadglass.model.errors import LeadglassError, OutOfResources
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.instance import InstanceRecord, Location
from leadglass.model.permit import Permit
from leadglass.storage.large import LargeObject

MAX_BATCH_OBJECTS = 256
MAX_BATCH_BYTES = 64 << 20


class Stored(Enum):
    """How an acknowledged store ended."""

    NEW = "new"
    IDENTICAL = "identical"  # the same bytes were here already
    QUARANTINED = "quarantined"  # it contradicts what is here, or its sender is being learned


StoreResult = Stored | LeadglassError
Done = Callable[[StoreResult], None]
Deliver = Callable[[Sequence[tuple[Done, StoreResult]]], None]


@dataclass(frozen=True, slots=True)
class StoreJob:
    """One object to make durable: its data set in fragments, or streamed to disk already.

    ``digest`` gives the SHA-256 of the data set, and may have to compute it first.
    """

    permit: Permit
    record: InstanceRecord
    object_id: bytes
    payload: Sequence[bytes | memoryview] | LargeObject
    size_bytes: int
    digest: Callable[[], bytes]
    received_from: str
    event: AuditEvent
    done: Done

    def discard(self) -> None:
        """Give up what is on disk of it, if it is not finished."""
        if not isinstance(self.payload, Sequence):
            self.payload.abort()

    def content(self) -> ExistingInstance:
        """What two stores of one instance are compared by."""
        return ExistingInstance(self.digest(), self.record.transfer_syntax)

    def entry(self, location: Location, now: datetime) -> NewInstance:
        """Its row in the index."""
        return NewInstance(
            record=self.record,
            object_id=self.object_id,
            location=location,
            size_bytes=self.size_bytes,
            sha256=self.digest(),
            received_at=now,
            received_from=self.received_from,
        )


@dataclass(slots=True)
class Batch:
    """What is made durable together. ``flushed`` are set when it is decided."""

    stores: list[StoreJob] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    flushed: list[Event] = field(default_factory=list)
    size_bytes: int = 0
    stop: bool = False
    idle: bool = False  # nothing came for a while

    @property
    def full(self) -> bool:
        """Whether the rest has to wait for the next one."""
        return len(self.stores) >= MAX_BATCH_OBJECTS or self.size_bytes >= MAX_BATCH_BYTES

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for its end."""
        return bool(self.stores or self.flushed or self.stop)

    def add(self, job: StoreJob) -> None:
        """Take one object."""
        self.stores.append(job)
        self.size_bytes += job.size_bytes


Verdict = Placed | Conflict | OutOfResources
"""What becomes of one object of a batch that is written; the last is of it alone."""


def audit_line(job: StoreJob, verdict: Verdict) -> AuditEvent:
    """The line of a store; one that contradicts what is here raises an alert."""
    match verdict:
        case Placed.STORED:
            return job.event
        case Placed.ALREADY_STORED:
            return replace(job.event, kind="instance.repeated")
        case Conflict.LEARNED:
            return replace(job.event, kind="instance.learned")
        case OutOfResources():
            return refused_line(job, str(verdict))
        case Conflict():
            return replace(
                job.event, kind="instance.quarantined", outcome=Outcome.ALERT, reason=verdict.value
            )


def refused_line(job: StoreJob, reason: str) -> AuditEvent:
    """The line of a store that could not be made durable."""
    return replace(job.event, kind="instance.refused", outcome=Outcome.FAILED, reason=reason)


def result_of(verdict: Verdict) -> StoreResult:
    """What whoever waits is told."""
    match verdict:
        case Placed.STORED:
            return Stored.NEW
        case Placed.ALREADY_STORED:
            return Stored.IDENTICAL
        case Conflict():
            return Stored.QUARANTINED
        case OutOfResources():
            return verdict
