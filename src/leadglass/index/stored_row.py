"""Between rows and ``StoredInstance``: the columns of what has bytes in a segment."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Table, literal

from leadglass.index.folding import parse_date
from leadglass.index.schema import binned, instance, quarantine, series, study
from leadglass.model.instance import Location, StoredInstance
from leadglass.model.names import Uid


def _object_columns(table: Table) -> tuple[ColumnElement[Any], ...]:
    names = ("object_id", "segment", "offset", "length", "size_bytes", "sha256")
    return tuple(table.c[name] for name in names)


INSTANCE_COLUMNS: Final = (
    instance.c.sop_class,
    instance.c.sop_instance,
    study.c.study_uid,
    series.c.series_uid,
    instance.c.transfer_syntax,
    series.c.modality,
    instance.c.received_from,
    study.c.study_date,
    *_object_columns(instance),
)


def _apart_columns(table: Table) -> tuple[ColumnElement[Any], ...]:
    """The same of an object that is kept apart from the levels above it."""
    names = ("sop_class", "sop_instance", "study_uid", "series_uid", "transfer_syntax", "modality")
    return (
        *(table.c[name] for name in names),
        table.c.received_from,
        literal("").label("study_date"),
        *_object_columns(table),
    )


QUARANTINE_COLUMNS: Final = _apart_columns(quarantine)
BINNED_COLUMNS: Final = _apart_columns(binned)


def stored_instance(
    row: Row[Any], labels: frozenset[str], patient: int = 0, site: str = ""
) -> StoredInstance:
    """Read a row of one of the column lists above."""
    return StoredInstance(
        sop_class=Uid(row.sop_class),
        sop_instance=Uid(row.sop_instance),
        study=Uid(row.study_uid),
        series=Uid(row.series_uid),
        transfer_syntax=Uid(row.transfer_syntax),
        modality=row.modality,
        sender=row.received_from,
        study_date=parse_date(row.study_date),
        object_id=row.object_id,
        location=Location(row.segment, row.offset, row.length),
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        labels=labels,
        patient=patient,
        site=site,
    )
