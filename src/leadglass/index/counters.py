"""Whether the counters and sets that the levels keep are those of the rows below them. See ``schema``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    ScalarSelect,
    Select,
    Table,
    func,
    select,
)

from leadglass.index.engine import reading
from leadglass.index.failures import database_failures
from leadglass.index.lists import json_list, one_of, read_json_list
from leadglass.index.recount import recount
from leadglass.index.schema import instance, patient, series, study
from leadglass.index.verbs import MAY_DELETE, MAY_INVENTORY, require
from leadglass.model.permit import Permit

ROWS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Miscount:
    """A row of ``level`` (a table's name) that keeps something else than the rows below it make.

    ``row`` is its number. ``study`` is the UID of its study, of a patient's the first one; ``series`` only
    of a series. ``column`` is empty where nothing is below it: then it should not be there.
    """

    level: str
    row: int
    study: str
    series: str
    column: str = ""
    kept: str = ""
    counted: str = ""

    def __str__(self) -> str:
        if not self.column:
            return f"a {self.level} has nothing in it"
        return f"a {self.level} keeps {self.column} {self.kept}, and its rows make {self.counted}"


class Counters:
    """What the levels of one index database keep of the rows below them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def miscounts(self, permit: Permit) -> Iterator[Miscount]:
        """Everything that is off, all in one state of the index, streamed.

        Raises:
            NotPermitted: at once; the permit is for neither check nor operation.
        """
        require(permit, MAY_INVENTORY)
        return self._miscounts()

    def _miscounts(self) -> Iterator[Miscount]:
        with database_failures(), reading(self._engine).connect() as connection:
            for level in _LEVELS:
                streamed = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(level.statement)
                for row in streamed.mappings():
                    yield from level.miscounts(row)

    def mend(self, permit: Permit, off: Iterable[Miscount]) -> None:
        """Recompute what these rows keep, and those above them, from the rows as they are by now.

        One transaction. A row with nothing below it goes.

        Raises:
            NotPermitted: the permit is not for a deletion.
        """
        require(permit, MAY_DELETE)
        rows: dict[str, set[int]] = {level.table.name: set() for level in _LEVELS}
        for each in off:
            rows[each.level].add(each.row)
        with database_failures(), self._engine.begin() as connection:
            studies = rows[study.name] | _above(connection, series, "study", rows[series.name])
            patients = rows[patient.name] | _above(connection, study, "patient", studies)
            recount(connection, rows[series.name], studies, patients)


def _above(connection: Connection, table: Table, parent: str, rows: set[int]) -> set[int]:
    wanted = select(table.c[parent]).where(table.c.id.in_(one_of("ids")))
    return set(connection.execute(wanted, {"ids": msgspec.json.encode(sorted(rows)).decode()}).scalars())


@dataclass(frozen=True, slots=True)
class _Level:
    """A level, its UIDs, and for each counter and set that it keeps what the rows below it make."""

    table: Table
    uids: Mapping[str, ColumnElement[Any]]
    numbers: Mapping[str, ScalarSelect[Any]]
    sets: Mapping[str, ScalarSelect[Any]]

    @property
    def statement(self) -> Select[Any]:
        """Every row: what it keeps by its column's name, what was counted as ``counted NAME``."""
        counted = {**self.numbers, **self.sets}
        return select(
            self.table.c.id,
            *(uid.label(name) for name, uid in self.uids.items()),
            *(self.table.c[name] for name in counted),
            *(value.label(f"counted {name}") for name, value in counted.items()),
        ).order_by(self.table.c.id)

    def miscounts(self, row: Mapping[Any, Any]) -> Iterator[Miscount]:
        """What is off in a row of ``statement``."""
        where = (self.table.name, row["id"], row["of study"] or "", row.get("of series") or "")
        if not row["counted instance_count"]:
            yield Miscount(*where)
            return
        counted = {name: row[f"counted {name}"] for name in self.numbers}
        counted |= {name: json_list(_as_kept(row[f"counted {name}"])) for name in self.sets}
        for name, value in counted.items():
            if row[name] != value:
                yield Miscount(*where, name, str(row[name]), str(value))


def _as_kept(json_texts: str) -> Sequence[str]:
    """A set as the levels keep it: sorted, without what was not said."""
    return sorted(set(read_json_list(json_texts)) - {""})


def _of(table: Table, what: ColumnElement[Any], below: FromClause, parent: Column[Any]) -> ScalarSelect[Any]:
    """``what`` of the rows of ``below`` whose ``parent`` is this row of ``table``."""
    wanted = select(what).select_from(below).where(parent == table.c.id)
    return wanted.correlate(table).scalar_subquery()


def _distinct(column: Column[Any]) -> ColumnElement[Any]:
    return func.json_group_array(column.distinct())


_IN_STUDY: Final = series.join(instance)
_IN_PATIENT: Final = study.join(series).join(instance)
_LEVELS: Final = (
    _Level(
        series,
        {
            "of study": select(study.c.study_uid).where(study.c.id == series.c.study).scalar_subquery(),
            "of series": series.c.series_uid,
        },
        {"instance_count": _of(series, func.count(), instance, instance.c.series)},
        {"sop_classes": _of(series, _distinct(instance.c.sop_class), instance, instance.c.series)},
    ),
    _Level(
        study,
        {"of study": study.c.study_uid},
        {
            "series_count": _of(study, func.count(), series, series.c.study),
            "instance_count": _of(study, func.count(), _IN_STUDY, series.c.study),
        },
        {
            "modalities": _of(study, _distinct(series.c.modality), series, series.c.study),
            "sop_classes": _of(study, _distinct(instance.c.sop_class), _IN_STUDY, series.c.study),
        },
    ),
    _Level(
        patient,
        {"of study": _of(patient, func.min(study.c.study_uid), study, study.c.patient)},
        {
            "study_count": _of(patient, func.count(), study, study.c.patient),
            "series_count": _of(patient, func.count(), study.join(series), study.c.patient),
            "instance_count": _of(patient, func.count(), _IN_PATIENT, study.c.patient),
        },
        {},
    ),
)
