"""What goes into the index and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from leadglass.model.instance import InstanceRecord, Location
from leadglass.model.names import Uid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NewInstance:
    """An instance whose bytes are durable and whose row is not yet written.

    ``received_at`` is aware; ``received_from`` the proven name of the sender.
    """

    record: InstanceRecord
    object_id: bytes
    location: Location
    size_bytes: int
    sha256: bytes
    received_at: datetime
    received_from: str


@dataclass(frozen=True, slots=True)
class ExistingInstance:
    """What the index already holds under a SOP Instance UID."""

    sha256: bytes
    transfer_syntax: Uid


class Placed(StrEnum):
    """The instance is in the index."""

    STORED = "stored"
    ALREADY_STORED = "already stored"  # identical content: an idempotent success


class Conflict(StrEnum):
    """The instance may not be served: not stored; ``quarantine`` keeps it, under this name.

    All but the last contradict the index.
    """

    DIFFERENT_CONTENT = "same SOP Instance UID, different content"
    STUDY_OF_ANOTHER_PATIENT = "study known under another patient"
    SERIES_OF_ANOTHER_STUDY = "series known under another study"
    LEARNED = "its sender is being learned"


Outcome = Placed | Conflict


def from_microseconds(time_us: int) -> datetime:
    """The other way; aware, UTC."""
    return _EPOCH + timedelta(microseconds=time_us)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970, as the tables keep time."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
