"""What ``check`` and recovery ask: everything the index says lies in the segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, Table, func, literal, null, select, union_all

from leadglass.index.engine import reading
from leadglass.index.entries import Conflict
from leadglass.index.failures import database_failures
from leadglass.index.schema import binned, erasure, instance, patient, quarantine, series, study
from leadglass.index.stored_row import BINNED_COLUMNS, INSTANCE_COLUMNS, QUARANTINE_COLUMNS, stored_instance
from leadglass.index.verbs import MAY_COUNT, MAY_INVENTORY, require
from leadglass.model.instance import StoredInstance
from leadglass.model.permit import Permit

ROWS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Held:
    """One stored object and who sent it.

    ``quarantined`` is why it is not served, ``None`` for one that is; a ``binned`` one is deleted, and
    not erased yet.
    """

    stored: StoredInstance
    quarantined: Conflict | None
    binned: bool
    received_from: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is. ``size_bytes`` is of the data sets, quarantined and binned ones included."""

    patients: int
    studies: int
    series: int
    instances: int
    quarantined: int
    binned: int
    size_bytes: int


def inventory(engine: Engine, permit: Permit) -> Iterator[Held]:
    """Every stored object, by segment and offset, streamed from one snapshot.

    Raises:
        NotPermitted: at once; the permit is for neither check nor operation.
    """
    require(permit, MAY_INVENTORY)
    return _inventory(engine)


def _inventory(engine: Engine) -> Iterator[Held]:
    served = select(*INSTANCE_COLUMNS, null().label("reason"), literal(0).label("binned")).select_from(
        instance.join(series).join(study)
    )
    held_back = select(*QUARANTINE_COLUMNS, quarantine.c.reason, literal(0))
    deleted = select(*BINNED_COLUMNS, null(), literal(1))
    every = union_all(served, held_back, deleted).order_by("segment", "offset")
    with database_failures(), reading(engine).connect() as connection:
        for row in connection.execution_options(yield_per=ROWS_AT_ONCE).execute(every):
            yield Held(
                stored_instance(row, frozenset()),
                None if row.reason is None else Conflict[row.reason],
                bool(row.binned),
                row.received_from,
            )


def counts(engine: Engine, permit: Permit) -> Counts:
    """Rows of each table.

    Raises:
        NotPermitted: the permit is for none of status, check, operation.
    """
    require(permit, MAY_COUNT)
    with database_failures(), reading(engine).connect() as connection:
        rows = {table.name: _rows_of(connection, table) for table in _COUNTED}
        size_bytes = sum(_bytes_of(connection, table) for table in _WITH_BYTES)
    return Counts(
        patients=rows[patient.name],
        studies=rows[study.name],
        series=rows[series.name],
        instances=rows[instance.name],
        quarantined=rows[quarantine.name],
        binned=rows[binned.name],
        size_bytes=size_bytes,
    )


def segment_ends(engine: Engine, permit: Permit) -> dict[str, int]:
    """By segment, the byte after the last record the index knows in it.

    What lies beyond was never acknowledged: recovery may cut it.

    Raises:
        NotPermitted: the permit is for neither check nor operation.
    """
    require(permit, MAY_INVENTORY)
    ends: dict[str, int] = {}
    with database_failures(), reading(engine).connect() as connection:
        for statement in _ENDS:  # each along one index: 0.2 s for a million records
            for segment, end in connection.execute(statement):
                ends[segment] = max(ends.get(segment, 0), int(end))
    return ends


def damage(engine: Engine, permit: Permit) -> list[str]:
    """What SQLCipher and SQLite find wrong with the database file itself; empty when sound.

    Raises:
        NotPermitted: the permit is for neither check nor operation.
    """
    require(permit, MAY_INVENTORY)
    found: list[str] = []
    with database_failures(), reading(engine).connect() as connection:
        for pragma in ("cipher_integrity_check", "integrity_check", "foreign_key_check"):
            result = connection.exec_driver_sql(f"PRAGMA {pragma}")
            if result.returns_rows:  # the first says nothing at all of a database in memory
                found += [f"{pragma}: {row[0]}" for row in result if row[0] != "ok"]
    return found


_ENDS: Final = tuple(
    select(table.c.segment, func.max(table.c.offset + table.c.length)).group_by(table.c.segment)
    for table in (instance, quarantine, binned, erasure)
)
_WITH_BYTES: Final = (instance, quarantine, binned)
_COUNTED: Final = (patient, study, series, instance, quarantine, binned)


def _rows_of(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _bytes_of(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.coalesce(func.sum(table.c.size_bytes), 0))).scalar_one())
