"""An instance as the index knows it, and where its bytes lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from leadglass.model.names import Uid
from leadglass.model.query import Tag


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """What the header scan found.

    ``attributes`` maps index tags to decoded text (multiple values joined by backslash, padding
    removed); an absent tag was absent. PHI.
    """

    sop_class: Uid
    sop_instance: Uid
    study: Uid
    series: Uid
    transfer_syntax: Uid
    modality: str
    attributes: Mapping[Tag, str]


@dataclass(frozen=True, slots=True)
class Location:
    """One sealed record: segment name, byte offset and length of the record in it."""

    segment: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance that can be read back.

    ``object_id`` is the 16 random bytes the sealed record is bound to; ``size_bytes`` and
    ``sha256`` are of the data set as received, without file meta. ``sender`` is the device that sent it.
    ``patient`` is the index's number of whose it is, ``site`` what stands in for a missing issuer of theirs;
    both where that was asked for.
    """

    sop_class: Uid
    sop_instance: Uid
    study: Uid
    series: Uid
    transfer_syntax: Uid
    modality: str
    object_id: bytes
    location: Location
    size_bytes: int
    sha256: bytes
    sender: str = ""
    study_date: date | None = None
    labels: frozenset[str] = frozenset()
    patient: int = 0
    site: str = ""
