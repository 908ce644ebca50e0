"""What is deleted: out of the served tables into the bin, back again, or on to be erased.

Each move is one transaction, however many instances it takes, so that nothing is ever half deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    delete,
    func,
    insert,
    literal,
    select,
)

from leadglass.index.engine import reading
from leadglass.index.entries import Outcome, Placed, from_microseconds, microseconds
from leadglass.index.failures import database_failures
from leadglass.index.holds import refuse_held
from leadglass.index.lists import one_of, read_json_list
from leadglass.index.recount import recount
from leadglass.index.returning import entry_of
from leadglass.index.schema import (
    binned,
    damaged,
    erasure,
    instance,
    patient,
    series,
    study,
    study_hold,
    study_label,
)
from leadglass.index.verbs import MAY_DELETE, MAY_ERASE, require
from leadglass.index.write import write_transaction
from leadglass.model.instance import Location
from leadglass.model.names import Uid
from leadglass.model.permit import Permit
from leadglass.model.query import Level

_KEY: Final[dict[Level, ColumnElement[Any]]] = {
    Level.STUDY: study.c.study_uid,
    Level.SERIES: series.c.series_uid,
    Level.IMAGE: instance.c.sop_instance,
}
_BINNED_KEY: Final[dict[Level, ColumnElement[Any]]] = {
    Level.STUDY: binned.c.study_uid,
    Level.SERIES: binned.c.series_uid,
    Level.IMAGE: binned.c.sop_instance,
}
_OBJECT: Final = (
    "object_id",
    "segment",
    "offset",
    "length",
    "size_bytes",
    "sha256",
    "received_at_us",
    "received_from",
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be deleted or put back: one study, series or instance, by its UID."""

    level: Level
    uid: Uid


@dataclass(frozen=True, slots=True)
class Deletion:
    """Who deletes, why, and from when on it may be erased."""

    who: str
    reason: str
    at: datetime
    erase_at: datetime


@dataclass(frozen=True, slots=True)
class Affected:
    """What a subject holds. PHI: for whoever decides, never for a log."""

    studies: tuple[str, ...]
    series: int
    instances: int
    size_bytes: int
    patient_id: str
    patient_name: str


@dataclass(frozen=True, slots=True)
class BinnedStudy:
    """What the bin holds of one study, deleted at one time."""

    study_uid: str
    instances: int
    size_bytes: int
    deleted_at: datetime
    deleted_by: str
    reason: str
    erase_at: datetime
    held: bool


@dataclass(frozen=True, slots=True)
class PutBack:
    """What became of a subject in the bin. ``kept`` contradict what is stored now, and stay in the bin."""

    studies: tuple[str, ...]
    restored: int
    kept: int


@dataclass(frozen=True, slots=True)
class ToErase:
    """An object whose key is to be destroyed."""

    row: int
    object_id: bytes
    location: Location
    sop_instance: str
    study_uid: str


class Bin:
    """Everything about deletion in one index database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def affected(self, permit: Permit, subject: Subject) -> Affected:
        """What the subject holds now; nothing, if there is no such thing.

        Raises:
            NotPermitted: the permit is not for a deletion.
        """
        require(permit, MAY_DELETE)
        wanted = (
            select(
                func.json_group_array(study.c.study_uid.distinct()).label("studies"),
                func.count(series.c.id.distinct()).label("series"),
                func.count().label("instances"),
                func.coalesce(func.sum(instance.c.size_bytes), 0).label("size_bytes"),
                func.max(patient.c.patient_id).label("patient_id"),
                func.max(patient.c.name_alphabetic).label("patient_name"),
            )
            .select_from(instance.join(series).join(study).join(patient))
            .where(_KEY[subject.level] == subject.uid)
        )
        with database_failures(), reading(self._engine).connect() as connection:
            row = connection.execute(wanted).one()
        return Affected(
            tuple(read_json_list(row.studies)),
            row.series,
            row.instances,
            row.size_bytes,
            row.patient_id or "",
            row.patient_name or "",
        )

    def throw_away(self, permit: Permit, subject: Subject, deletion: Deletion) -> int:
        """Move the subject to the bin; how many instances.

        Raises:
            NotPermitted: the permit is not for a deletion.
            HeldBack: its study is under a legal hold; says whose and why.
        """
        require(permit, MAY_DELETE)
        return self._move(subject, deletion, refuse_held)

    def set_aside(self, permit: Permit, instance_uid: Uid, deletion: Deletion) -> int:
        """The same of one damaged instance, legal hold or not: it is kept, and nobody could read it.

        Raises:
            NotPermitted: the permit is not for a deletion.
        """
        require(permit, MAY_DELETE)
        return self._move(Subject(Level.IMAGE, instance_uid), deletion, lambda _connection, _uids: None)

    def _move(
        self, subject: Subject, deletion: Deletion, check: Callable[[Connection, Sequence[str]], None]
    ) -> int:
        with database_failures(), self._engine.begin() as connection:
            rows = connection.execute(
                select(instance.c.id, series.c.id, study.c.id, patient.c.id, study.c.study_uid)
                .select_from(instance.join(series).join(study).join(patient))
                .where(_KEY[subject.level] == subject.uid)
            ).all()
            if not rows:
                return 0
            check(connection, sorted({row[4] for row in rows}))
            ids = _ids(row[0] for row in rows)
            connection.execute(_copy_to_bin(deletion), ids)
            connection.execute(delete(instance).where(instance.c.id.in_(one_of("ids"))), ids)
            recount(connection, *({row[position] for row in rows} for position in (1, 2, 3)))
        return len(rows)

    def put_back(self, permit: Permit, subject: Subject) -> PutBack:
        """Serve again what the bin holds of the subject, as it was received.

        Raises:
            NotPermitted: the permit is not for a deletion.
        """
        require(permit, MAY_DELETE)
        with write_transaction(self._engine) as transaction:
            connection = transaction.connection
            rows = connection.execute(
                select(binned).where(_BINNED_KEY[subject.level] == subject.uid).order_by(binned.c.id)
            ).all()
            arrivals = [(row.site, entry_of(row)) for row in rows]
            outcomes: list[Outcome] = transaction.put_back(permit, arrivals)
            back = [row for row, outcome in zip(rows, outcomes, strict=True) if outcome is Placed.STORED]
            ids = _ids(row.id for row in back)
            connection.execute(delete(binned).where(binned.c.id.in_(one_of("ids"))), ids)
            for row in back:
                for label in msgspec.json.decode(row.attributes, type=_Kept).labels:
                    transaction.label_study(permit, Uid(row.study_uid), label)
        return PutBack(tuple(sorted({row.study_uid for row in rows})), len(back), len(rows) - len(back))

    def content(self, permit: Permit) -> list[BinnedStudy]:
        """Everything in the bin, by study and time of deletion.

        Raises:
            NotPermitted: the permit is not for a deletion.
        """
        require(permit, MAY_DELETE)
        held = select(study_hold.c.study_uid)
        grouped = (
            select(
                binned.c.study_uid,
                func.count().label("instances"),
                func.sum(binned.c.size_bytes).label("size_bytes"),
                binned.c.deleted_at_us,
                binned.c.deleted_by,
                binned.c.reason,
                binned.c.erase_at_us,
                binned.c.study_uid.in_(held).label("held"),
            )
            .group_by(
                binned.c.study_uid,
                binned.c.deleted_at_us,
                binned.c.deleted_by,
                binned.c.reason,
                binned.c.erase_at_us,
            )
            .order_by(binned.c.erase_at_us, binned.c.study_uid)
        )
        with database_failures(), reading(self._engine).connect() as connection:
            return [
                BinnedStudy(
                    row.study_uid,
                    row.instances,
                    row.size_bytes,
                    from_microseconds(row.deleted_at_us),
                    row.deleted_by,
                    row.reason,
                    from_microseconds(row.erase_at_us),
                    bool(row.held),
                )
                for row in connection.execute(grouped)
            ]

    def condemn(self, permit: Permit, now: datetime, study_uid: Uid | None = None) -> int:
        """Take out of the bin, for good, what is past its time, or all of one study; how many instances.

        They can be put back no more; ``to_erase`` names them until ``erased`` is told. Of studies under a
        legal hold nothing is taken.

        Raises:
            NotPermitted: the permit is for neither a deletion nor the server's own work.
            HeldBack: the study named is under a legal hold.
        """
        require(permit, MAY_ERASE)
        with database_failures(), self._engine.begin() as connection:
            if study_uid is not None:
                refuse_held(connection, [study_uid])
            due = (
                binned.c.erase_at_us <= microseconds(now)
                if study_uid is None
                else binned.c.study_uid == study_uid
            )
            free = due & binned.c.study_uid.not_in(select(study_hold.c.study_uid))
            names = ("object_id", "sop_instance", "study_uid", "segment", "offset", "length")
            taken = select(*(binned.c[name] for name in names)).where(free)
            connection.execute(insert(erasure).from_select(names, taken))
            gone = select(erasure.c.object_id)
            connection.execute(delete(damaged).where(damaged.c.object_id.in_(gone)))
            return connection.execute(delete(binned).where(free)).rowcount

    def to_erase(self, permit: Permit, limit: int) -> list[ToErase]:
        """Objects whose keys are to be destroyed, some at a time.

        Raises:
            NotPermitted: as ``condemn``.
        """
        require(permit, MAY_ERASE)
        with database_failures(), reading(self._engine).connect() as connection:
            rows = connection.execute(select(erasure).order_by(erasure.c.id).limit(limit)).all()
        return [
            ToErase(
                row.id,
                row.object_id,
                Location(row.segment, row.offset, row.length),
                row.sop_instance,
                row.study_uid,
            )
            for row in rows
        ]

    def erased(self, permit: Permit, done: Sequence[ToErase], record: Callable[[Connection], None]) -> None:
        """Their keys are destroyed, durably: forget them, and ``record`` it in the same transaction.

        Raises:
            NotPermitted: as ``condemn``.
        """
        require(permit, MAY_ERASE)
        ids = _ids(each.row for each in done)
        with database_failures(), self._engine.begin() as connection:
            record(connection)
            connection.execute(delete(erasure).where(erasure.c.id.in_(one_of("ids"))), ids)


class _Kept(msgspec.Struct):
    labels: list[str]


def _copy_to_bin(deletion: Deletion) -> Any:
    """INSERT of everything that the levels of these instances hold, as one text each."""
    labels = (
        select(func.json_group_array(study_label.c.label))
        .where(study_label.c.study == study.c.id)
        .correlate(study)
        .scalar_subquery()
    )
    kept = func.json_object(
        literal("patient_id"),
        patient.c.patient_id,
        literal("patient"),
        func.json(patient.c.attributes),
        literal("study"),
        func.json(study.c.attributes),
        literal("series"),
        func.json(series.c.attributes),
        literal("instance"),
        func.json(instance.c.attributes),
        literal("labels"),
        func.json(labels),
    )
    columns: dict[str, Any] = {
        "sop_instance": instance.c.sop_instance,
        "sop_class": instance.c.sop_class,
        "study_uid": study.c.study_uid,
        "series_uid": series.c.series_uid,
        "modality": series.c.modality,
        "transfer_syntax": instance.c.transfer_syntax,
        **{name: instance.c[name] for name in _OBJECT},
        "site": study.c.site,
        "attributes": kept,
        "deleted_at_us": literal(microseconds(deletion.at)),
        "deleted_by": literal(deletion.who),
        "reason": literal(deletion.reason),
        "erase_at_us": literal(microseconds(deletion.erase_at)),
    }
    wanted = (
        select(*(column.label(name) for name, column in columns.items()))
        .select_from(instance.join(series).join(study).join(patient))
        .where(instance.c.id.in_(one_of("ids")))
    )
    return insert(binned).from_select(list(columns), wanted)


def _ids(rows: Iterable[int]) -> dict[str, str]:
    return {"ids": msgspec.json.encode(list(rows)).decode()}
