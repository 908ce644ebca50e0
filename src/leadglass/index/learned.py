"""What is kept of those who are being learned: look at it, serve it, or let it go to be erased."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from leadglass.index.engine import reading
from leadglass.index.entries import Conflict, NewInstance, Outcome, Placed, from_microseconds
from leadglass.index.failures import database_failures
from leadglass.index.lists import one_of
from leadglass.index.schema import damaged, erasure, quarantine
from leadglass.index.stored_row import QUARANTINE_COLUMNS, stored_instance
from leadglass.index.verbs import MAY_DELETE, require
from leadglass.index.write import write_transaction
from leadglass.model.instance import InstanceRecord, Location, StoredInstance
from leadglass.model.permit import Permit

_ERASED: Final = ("object_id", "sop_instance", "study_uid", "segment", "offset", "length")


@dataclass(frozen=True, slots=True)
class Kept:
    """One object that is kept apart, and the number of its row."""

    row: int
    stored: StoredInstance


@dataclass(frozen=True, slots=True)
class Adopter:
    """Whose the objects are from now on: the device, and the site it sends from."""

    device: str
    site: str


class LearnedObjects:
    """The part of the quarantine whose senders were being learned, in one index database.

    Every method takes a permit for DELETE: they change what is kept, as the bin's do.

    Raises:
        NotPermitted: the permit is for something else.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def content(self, permit: Permit, sender: str) -> list[Kept]:
        """Everything that is kept of one sender, in the order in which it came."""
        require(permit, MAY_DELETE)
        wanted = select(quarantine.c.id, *QUARANTINE_COLUMNS).where(*_of(sender)).order_by(quarantine.c.id)
        with database_failures(), reading(self._engine).connect() as connection:
            return [Kept(row.id, stored_instance(row, frozenset())) for row in connection.execute(wanted)]

    def serve(
        self, permit: Permit, sender: str, adopter: Adopter, records: Mapping[int, InstanceRecord]
    ) -> dict[int, Outcome]:
        """Serve objects by their rows, as if the adopter had sent them; what became of each.

        One whose like is stored already goes to be erased; one that contradicts what is stored stays in
        quarantine for that, and is this sender's no more.
        """
        require(permit, MAY_DELETE)
        with write_transaction(self._engine) as transaction:
            connection = transaction.connection
            wanted = select(quarantine).where(*_of(sender), quarantine.c.id.in_(one_of("ids")))
            rows = connection.execute(wanted.order_by(quarantine.c.id), _ids(list(records))).all()
            arrivals = [(adopter.site, _entry_of(row, records[row.id], adopter.device)) for row in rows]
            placed = zip(rows, transaction.put_back(permit, arrivals), strict=True)
            outcomes = {int(row.id): outcome for row, outcome in placed}
            for row, outcome in outcomes.items():
                if isinstance(outcome, Conflict):
                    values = {"reason": outcome.name}
                    connection.execute(update(quarantine).where(quarantine.c.id == row).values(values))
            _condemn(
                connection, [row for row, outcome in outcomes.items() if outcome is Placed.ALREADY_STORED]
            )
            served = [row for row, outcome in outcomes.items() if outcome is Placed.STORED]
            connection.execute(delete(quarantine).where(quarantine.c.id.in_(one_of("ids"))), _ids(served))
        return outcomes

    def condemn(self, permit: Permit, sender: str) -> int:
        """Let go of everything that is kept of one sender; how many. ``Bin.to_erase`` names them then."""
        require(permit, MAY_DELETE)
        with database_failures(), self._engine.begin() as connection:
            rows = list(connection.execute(select(quarantine.c.id).where(*_of(sender))).scalars())
            _condemn(connection, rows)
        return len(rows)


def _of(sender: str) -> tuple[Any, Any]:
    return quarantine.c.reason == Conflict.LEARNED.name, quarantine.c.received_from == sender


def _condemn(connection: Connection, rows: Sequence[int]) -> None:
    chosen = quarantine.c.id.in_(one_of("ids"))
    ids = _ids(rows)
    taken = select(*(quarantine.c[name] for name in _ERASED)).where(chosen)
    connection.execute(insert(erasure).from_select(_ERASED, taken), ids)
    gone = select(quarantine.c.object_id).where(chosen)
    connection.execute(delete(damaged).where(damaged.c.object_id.in_(gone)), ids)
    connection.execute(delete(quarantine).where(chosen), ids)


def _entry_of(row: Row[Any], record: InstanceRecord, device: str) -> NewInstance:
    return NewInstance(
        record=record,
        object_id=row.object_id,
        location=Location(row.segment, row.offset, row.length),
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        received_at=from_microseconds(row.received_at_us),
        received_from=device,
    )


def _ids(rows: Sequence[int]) -> dict[str, str]:
    return {"ids": msgspec.json.encode(rows).decode()}
