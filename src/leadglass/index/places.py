"""Where objects lie, and that they lie elsewhere now: what compaction asks and changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, union_all, update

from leadglass.index.engine import reading
from leadglass.index.entries import from_microseconds, microseconds
from leadglass.index.failures import database_failures
from leadglass.index.schema import binned, instance, progress, quarantine
from leadglass.index.verbs import MAY_ERASE, MAY_INVENTORY, require
from leadglass.model.instance import Location, StoredInstance
from leadglass.model.permit import Permit

_HOLDING: Final = (instance, quarantine, binned)
_NAME: Final = "compaction"


@dataclass(frozen=True, slots=True)
class Move:
    """One object that was copied."""

    object_id: bytes
    old: Location
    new: Location


@dataclass(frozen=True, slots=True)
class Compaction:
    """One that was begun: from the segment ``source`` to ``target``.

    Until ``moved`` the index names nothing in ``target``; from then on nothing in ``source``.
    """

    source: str
    target: str
    moved: bool
    at: datetime


class _Body(msgspec.Struct):
    source: str
    target: str
    moved: bool


class Places:
    """The locations in one index database. Every method raises NotPermitted but for whoever may erase."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def known_bytes(self, permit: Permit) -> dict[str, int]:
        """By segment, the bytes of all records that the index names in it."""
        require(permit, MAY_ERASE)
        records = union_all(*(select(table.c.segment, table.c.length) for table in _HOLDING)).subquery()
        wanted = select(records.c.segment, func.sum(records.c.length)).group_by(records.c.segment)
        with database_failures(), reading(self._engine).connect() as connection:
            return {segment: int(length) for segment, length in connection.execute(wanted)}

    def in_segment(self, permit: Permit, segment: str) -> dict[bytes, Location]:
        """Every object that the index names in a segment."""
        require(permit, MAY_ERASE)
        with database_failures(), reading(self._engine).connect() as connection:
            return {
                row.object_id: Location(segment, row.offset, row.length)
                for table in _HOLDING
                for row in connection.execute(
                    select(table.c.object_id, table.c.offset, table.c.length).where(
                        table.c.segment == segment
                    )
                )
            }

    def now(self, permit: Permit, stored: StoredInstance) -> Location | None:
        """Where an object lies now that was looked up before, whoever asks that may take the inventory."""
        require(permit, MAY_INVENTORY | MAY_ERASE)
        with database_failures(), reading(self._engine).connect() as connection:
            for table in _HOLDING:
                row = connection.execute(
                    select(table.c.segment, table.c.offset, table.c.length).where(
                        table.c.sop_instance == stored.sop_instance,
                        table.c.object_id == stored.object_id,
                    )
                ).one_or_none()
                if row is not None:
                    return Location(row.segment, row.offset, row.length)
        return None

    def begun(self, permit: Permit) -> Compaction | None:
        """The compaction that was begun and not forgotten, if any."""
        require(permit, MAY_ERASE)
        with database_failures(), reading(self._engine).connect() as connection:
            row = connection.execute(select(progress).where(progress.c.name == _NAME)).one_or_none()
        if row is None:
            return None
        body = msgspec.json.decode(row.body, type=_Body)
        return Compaction(body.source, body.target, body.moved, from_microseconds(row.updated_at_us))

    def begin(self, permit: Permit, compaction: Compaction) -> None:
        """Write down that it begins, before its target holds anything."""
        require(permit, MAY_ERASE)
        with database_failures(), self._engine.begin() as connection:
            _write_down(connection, compaction)

    def move(self, permit: Permit, compaction: Compaction, moves: Sequence[Move]) -> bool:
        """Name the new places of all of them, in one transaction; or of none, if one is not at its old place.

        An object that was condemned meanwhile is such a one: its copy must not outlive its key.
        """
        require(permit, MAY_ERASE)
        rows = [
            {
                "at_object": each.object_id,
                "at_segment": each.old.segment,
                "at_offset": each.old.offset,
                "new_segment": each.new.segment,
                "new_offset": each.new.offset,
            }
            for each in moves
        ]
        with database_failures(), self._engine.connect() as connection, connection.begin() as transaction:
            moved = sum(_move(connection, rows, number) for number in range(len(_HOLDING)))
            if moved != len(moves):
                transaction.rollback()
                return False
            _write_down(connection, compaction)
        return True

    def forget(self, permit: Permit) -> None:
        """What was begun is done with, on the disk too."""
        require(permit, MAY_ERASE)
        with database_failures(), self._engine.begin() as connection:
            connection.execute(delete(progress).where(progress.c.name == _NAME))


def _move(connection: Connection, rows: Sequence[dict[str, object]], number: int) -> int:
    table = _HOLDING[number]
    statement = (
        update(table)
        .where(
            table.c.segment == bindparam("at_segment"),
            table.c.offset == bindparam("at_offset"),
            table.c.object_id == bindparam("at_object"),
        )
        .values(segment=bindparam("new_segment"), offset=bindparam("new_offset"))
    )
    return sum(connection.execute(statement, row).rowcount for row in rows)


def _write_down(connection: Connection, compaction: Compaction) -> None:
    body = _Body(compaction.source, compaction.target, compaction.moved)
    connection.execute(delete(progress).where(progress.c.name == _NAME))
    connection.execute(
        insert(progress).values(
            name=_NAME, body=msgspec.json.encode(body).decode(), updated_at_us=microseconds(compaction.at)
        )
    )
