"""Studies that a retention rule reaches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, case, func, select

from leadglass.index.engine import reading
from leadglass.index.entries import from_microseconds, microseconds
from leadglass.index.failures import database_failures
from leadglass.index.schema import instance, series, study, study_hold, study_label
from leadglass.index.verbs import MAY_DELETE, require
from leadglass.model.permit import Permit


@dataclass(frozen=True, slots=True)
class Reach:
    """Nothing received since ``before``; every series of ``modalities``; one of ``labels``, no other one."""

    before: datetime
    modalities: tuple[str, ...]
    labels: tuple[str, ...]
    not_labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Aged:
    """One study that is reached."""

    study_uid: str
    received_at: datetime
    instances: int
    size_bytes: int


class Aging:
    """What one index database says of age."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def reached(self, permit: Permit, reach: Reach) -> list[Aged]:
        """The studies reached, the oldest first; none that is under a legal hold.

        Raises:
            NotPermitted: the permit is not for a deletion.
        """
        require(permit, MAY_DELETE)
        last_us = func.max(instance.c.received_at_us)
        wanted = (
            select(
                study.c.study_uid,
                last_us.label("last_us"),
                func.count().label("instances"),
                func.sum(instance.c.size_bytes).label("size_bytes"),
            )
            .select_from(instance.join(series).join(study))
            .where(study.c.study_uid.not_in(select(study_hold.c.study_uid)))
            .group_by(study.c.id)
            .having(last_us < microseconds(reach.before))
            .order_by(last_us, study.c.study_uid)
        )
        if reach.modalities:
            others = case((series.c.modality.in_(reach.modalities), 0), else_=1)
            wanted = wanted.having(func.sum(others) == 0)
        if reach.labels:
            bearing = select(study_label.c.study).where(study_label.c.label.in_(reach.labels))
            wanted = wanted.where(study.c.id.in_(bearing))
        if reach.not_labels:
            bearing = select(study_label.c.study).where(study_label.c.label.in_(reach.not_labels))
            wanted = wanted.where(study.c.id.not_in(bearing))
        with database_failures(), reading(self._engine).connect() as connection:
            return [
                Aged(row.study_uid, from_microseconds(row.last_us), row.instances, row.size_bytes)
                for row in connection.execute(wanted)
            ]
