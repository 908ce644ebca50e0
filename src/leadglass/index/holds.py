"""Legal holds: nothing of a study under one is deleted or erased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, Text, bindparam, delete, insert, select

from leadglass.index.engine import reading
from leadglass.index.entries import from_microseconds, microseconds
from leadglass.index.failures import database_failures
from leadglass.index.schema import study_hold
from leadglass.index.verbs import MAY_DELETE, require
from leadglass.model.errors import HeldBack
from leadglass.model.names import Uid
from leadglass.model.permit import Permit


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold: nothing of the study is deleted or erased."""

    study_uid: str
    placed_at: datetime
    placed_by: str
    reason: str


class Holds:
    """The legal holds in one index database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def place(self, permit: Permit, hold: Hold) -> bool:
        """Place a legal hold; whether there was none.

        Raises:
            NotPermitted: the permit is not for a deletion.
        """
        require(permit, MAY_DELETE)
        row = {
            "study_uid": hold.study_uid,
            "placed_at_us": microseconds(hold.placed_at),
            "placed_by": hold.placed_by,
            "reason": hold.reason,
        }
        with database_failures(), self._engine.begin() as connection:
            if connection.execute(_IS_HELD, {"uid": hold.study_uid}).first() is not None:
                return False
            connection.execute(insert(study_hold), row)
            return True

    def release(self, permit: Permit, study_uid: Uid) -> bool:
        """Lift a legal hold; whether there was one. Raises as ``place``."""
        require(permit, MAY_DELETE)
        with database_failures(), self._engine.begin() as connection:
            gone = delete(study_hold).where(study_hold.c.study_uid == study_uid)
            return connection.execute(gone).rowcount > 0

    def every(self, permit: Permit) -> list[Hold]:
        """Every legal hold. Raises as ``place``."""
        require(permit, MAY_DELETE)
        with database_failures(), reading(self._engine).connect() as connection:
            rows = connection.execute(select(study_hold).order_by(study_hold.c.study_uid)).all()
        return [
            Hold(row.study_uid, from_microseconds(row.placed_at_us), row.placed_by, row.reason)
            for row in rows
        ]


_IS_HELD: Final = select(study_hold).where(study_hold.c.study_uid == bindparam("uid", type_=Text))


def refuse_held(connection: Connection, study_uids: Sequence[str]) -> None:
    """Go no further where one of the studies is under a legal hold.

    Raises:
        HeldBack: says whose it is and why.
    """
    for uid in study_uids:
        held = connection.execute(_IS_HELD, {"uid": uid}).first()
        if held is not None:
            raise HeldBack(f"study {uid} is under a legal hold by {held.placed_by}: {held.reason}")
