"""What did not read back as it was received, and how far the scrubber has come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Engine,
    Integer,
    Table,
    Text,
    bindparam,
    delete,
    insert,
    literal,
    null,
    or_,
    select,
    union_all,
    update,
)

from leadglass.index.engine import reading
from leadglass.index.entries import Conflict, from_microseconds, microseconds
from leadglass.index.failures import database_failures
from leadglass.index.inventory import Held
from leadglass.index.schema import binned, damaged, instance, progress, quarantine, series, study
from leadglass.index.stored_row import BINNED_COLUMNS, INSTANCE_COLUMNS, QUARANTINE_COLUMNS, stored_instance
from leadglass.index.verbs import MAY_COUNT, MAY_INVENTORY, require
from leadglass.model.instance import StoredInstance
from leadglass.model.permit import Permit

SCRUB: Final = "scrub"


@dataclass(frozen=True, slots=True)
class Damaged:
    """An object that does not read well."""

    sop_instance: str
    study_uid: str
    what: str
    found_at: datetime


class Pass(msgspec.Struct, frozen=True):
    """A visit to every object. ``segment`` and ``offset`` are of the last one seen; times in microseconds."""

    began_at_us: int
    ended_at_us: int = 0
    segment: str = ""
    offset: int = -1
    objects: int = 0
    size_bytes: int = 0
    damaged: int = 0

    @property
    def ended(self) -> bool:
        """Whether it has seen everything."""
        return self.ended_at_us > 0


class Damages:
    """The scrubber's side of one index database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def following(self, permit: Permit, segment: str, offset: int, limit: int) -> list[Held]:
        """Objects after this place, by segment and offset: served, quarantined and binned ones.

        Raises:
            NotPermitted: the permit is for neither check nor operation.
        """
        require(permit, MAY_INVENTORY)
        place = {"segment": segment, "offset": offset, "most": limit}
        with database_failures(), reading(self._engine).connect() as connection:
            return [
                Held(
                    stored_instance(row, frozenset()),
                    None if row.reason is None else Conflict[row.reason],
                    bool(row.binned),
                    row.received_from,
                )
                for row in connection.execute(_FOLLOWING, place)
            ]

    def note(self, permit: Permit, stored: StoredInstance, what: str, now: datetime) -> bool:
        """Keep that an object is damaged; whether that was not known. Raises as ``following``."""
        require(permit, MAY_INVENTORY)
        row = {
            "object_id": stored.object_id,
            "sop_instance": stored.sop_instance,
            "study_uid": stored.study,
            "what": what,
            "found_at_us": microseconds(now),
        }
        statement = insert(damaged).prefix_with("OR IGNORE", dialect="sqlite")
        with database_failures(), self._engine.begin() as connection:
            return connection.execute(statement, row).rowcount > 0

    def clear(self, permit: Permit, object_id: bytes) -> bool:
        """Forget it: it reads well again; whether it was known. Raises as ``following``."""
        require(permit, MAY_INVENTORY)
        with database_failures(), self._engine.begin() as connection:
            return connection.execute(delete(damaged).where(damaged.c.object_id == object_id)).rowcount > 0

    def known(self, permit: Permit) -> frozenset[bytes]:
        """The object ids of all that is damaged. Raises as ``following``."""
        require(permit, MAY_INVENTORY)
        with database_failures(), reading(self._engine).connect() as connection:
            return frozenset(connection.execute(select(damaged.c.object_id)).scalars())

    def every(self, permit: Permit) -> list[Damaged]:
        """All that is damaged, oldest finding first.

        Raises:
            NotPermitted: the permit is for none of status, check, operation.
        """
        require(permit, MAY_COUNT)
        with database_failures(), reading(self._engine).connect() as connection:
            rows = connection.execute(select(damaged).order_by(damaged.c.found_at_us)).all()
        return [
            Damaged(row.sop_instance, row.study_uid, row.what, from_microseconds(row.found_at_us))
            for row in rows
        ]

    def last_pass(self, permit: Permit) -> Pass | None:
        """The pass under way, or the last one. Raises as ``every``."""
        require(permit, MAY_COUNT)
        with database_failures(), reading(self._engine).connect() as connection:
            body = connection.execute(
                select(progress.c.body).where(progress.c.name == SCRUB)
            ).scalar_one_or_none()
        return None if body is None else msgspec.json.decode(body, type=Pass)

    def keep(self, permit: Permit, at: Pass, now: datetime) -> None:
        """Keep how far a pass has come. Raises as ``following``."""
        require(permit, MAY_INVENTORY)
        row = {"body": msgspec.json.encode(at).decode(), "updated_at_us": microseconds(now)}
        with database_failures(), self._engine.begin() as connection:
            there = connection.execute(update(progress).where(progress.c.name == SCRUB).values(row)).rowcount
            if not there:
                connection.execute(insert(progress), {"name": SCRUB, **row})


def _beyond(table: Table) -> ColumnElement[bool]:
    """Rows of a table that lie after the place."""
    return or_(table.c.segment > _SEGMENT, (table.c.segment == _SEGMENT) & (table.c.offset > _OFFSET))


_SEGMENT: Final = bindparam("segment", type_=Text)
_OFFSET: Final = bindparam("offset", type_=Integer)
_FOLLOWING: Final = (
    union_all(
        select(*INSTANCE_COLUMNS, null().label("reason"), literal(0).label("binned"))
        .select_from(instance.join(series).join(study))
        .where(_beyond(instance)),
        select(*QUARANTINE_COLUMNS, quarantine.c.reason, literal(0)).where(_beyond(quarantine)),
        select(*BINNED_COLUMNS, null(), literal(1)).where(_beyond(binned)),
    )
    .order_by("segment", "offset")
    .limit(bindparam("most"))
)
