"""From a row of the bin back to what the index takes in: an instance as it was received."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from leadglass.dataset import tags
from leadglass.index.entries import NewInstance, from_microseconds
from leadglass.model.instance import InstanceRecord, Location
from leadglass.model.names import Uid
from leadglass.model.query import Tag


class _Kept(msgspec.Struct):
    """The JSON text of a row's levels."""

    patient_id: str
    patient: dict[str, str | list[str]]
    study: dict[str, str | list[str]]
    series: dict[str, str | list[str]]
    instance: dict[str, str | list[str]]


def kept_attributes(text: str) -> dict[Tag, str]:
    """Everything that the levels of a binned instance held, of the ``attributes`` of its row."""
    kept = msgspec.json.decode(text, type=_Kept)
    attributes: dict[Tag, str] = {}
    for level in (kept.patient, kept.study, kept.series, kept.instance):
        for name, value in level.items():
            if not name.endswith("~"):  # a folded list is made anew
                attributes[int(name, 16)] = value if isinstance(value, str) else "\\".join(value)
    if kept.patient_id:
        attributes[tags.PATIENT_ID] = kept.patient_id
    return attributes


def entry_of(row: Row[Any]) -> NewInstance:
    """The instance of a row of ``binned``, with everything that its levels held."""
    record = InstanceRecord(
        sop_class=Uid(row.sop_class),
        sop_instance=Uid(row.sop_instance),
        study=Uid(row.study_uid),
        series=Uid(row.series_uid),
        transfer_syntax=Uid(row.transfer_syntax),
        modality=row.modality,
        attributes=kept_attributes(row.attributes),
    )
    return NewInstance(
        record=record,
        object_id=row.object_id,
        location=Location(row.segment, row.offset, row.length),
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        received_at=from_microseconds(row.received_at_us),
        received_from=row.received_from,
    )
