"""Compile a query's shape into one SQL statement, once.

Building and compiling a statement costs more than running it, so ``search`` keeps plans by shape:
level, terms and scope, never values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, assert_never

from sqlalchemy import (
    Column,
    ColumnElement,
    Dialect,
    FromClause,
    Text,
    and_,
    bindparam,
    distinct,
    func,
    literal,
    or_,
    select,
    union_all,
)

from leadglass.dataset import tags
from leadglass.index.attributes import FOLDED_COLUMNS, PLAIN_COLUMNS, folded_name, json_name
from leadglass.index.existence import any_row
from leadglass.index.folding import FOLDED_VRS
from leadglass.index.lists import one_of
from leadglass.index.schema import instance, patient, series, study
from leadglass.index.scope import (
    INNER_SOP_CLASS,
    filters_instances,
    is_unlimited,
    reached_series,
    reached_within,
    within_scope,
)
from leadglass.index.shown import shown_by
from leadglass.index.terms import Op, Term, Values
from leadglass.model.errors import LocalError
from leadglass.model.permit import Scope
from leadglass.model.query import Level, Tag

_TABLES: Final = MappingProxyType(
    {Level.PATIENT: patient, Level.STUDY: study, Level.SERIES: series, Level.IMAGE: instance}
)
_COUNTERS: Final[Mapping[Tag, Column[Any]]] = MappingProxyType(
    {
        tags.NUMBER_OF_PATIENT_RELATED_STUDIES: patient.c.study_count,
        tags.NUMBER_OF_PATIENT_RELATED_SERIES: patient.c.series_count,
        tags.NUMBER_OF_PATIENT_RELATED_INSTANCES: patient.c.instance_count,
        tags.NUMBER_OF_STUDY_RELATED_SERIES: study.c.series_count,
        tags.NUMBER_OF_STUDY_RELATED_INSTANCES: study.c.instance_count,
        tags.MODALITIES_IN_STUDY: study.c.modalities,
        tags.SOP_CLASSES_IN_STUDY: study.c.sop_classes,
        tags.NUMBER_OF_SERIES_RELATED_INSTANCES: series.c.instance_count,
    }
)
_NAME_COLUMNS: Final = (patient.c.name_alphabetic, patient.c.name_ideographic, patient.c.name_phonetic)
_SIBLING: Final = series.alias("sibling")
_NAMED: Final = patient.alias("named")
_COUSIN: Final = study.alias("cousin")
_MIDNIGHT: Final = "000000.000000"
LIMIT: Final = "row_limit"


@dataclass(frozen=True, slots=True)
class Shape:
    """All that a statement depends on, without values. ``computed``: computed tags to be returned."""

    level: Level
    terms: tuple[Term, ...]
    computed: frozenset[Tag]
    scope: Scope


@dataclass(frozen=True, slots=True)
class Plan:
    """SQL text with positional parameters, and where each result column goes.

    ``columns`` gives the position of each tag kept in a column of its own, ``texts`` the position of
    the JSON text of each level, ``patient`` that of the number of the patient's row. ``shown``: tags,
    ``None`` being all, and the position of what says whether the row shows them; where that is ``None``, each
    row does. A row shows all that any of them says.
    """

    sql: str
    order: tuple[str, ...]
    constants: Mapping[str, Any]
    columns: Mapping[Tag, int]
    texts: Mapping[Level, int]
    patient: int
    shown: tuple[tuple[frozenset[Tag] | None, int | None], ...]

    def parameters(self, values: tuple[Values, ...], row_limit: int) -> tuple[str | int, ...]:
        """The parameters in the order the SQL text wants them."""
        given: dict[str, str | int] = {LIMIT: row_limit}
        for number, compared in enumerate(values):
            for position, value in enumerate(compared):
                given[_name(number, position)] = value
        return tuple(given[name] if name in given else self.constants[name] for name in self.order)


def compile_plan(shape: Shape, dialect: Dialect) -> Plan:
    """The statement for a shape. Never reads the instance table above the IMAGE level."""
    columns: list[ColumnElement[Any]] = []
    positions: dict[Tag, int] = {}
    texts: dict[Level, int] = {}
    for level in range(shape.level + 1):
        table = _TABLES[Level(level)]
        for tag, column in PLAIN_COLUMNS.items():
            if column.table is table:
                positions[tag] = len(columns)
                columns.append(column)
        for tag in sorted(shape.computed):
            if _COUNTERS[tag].table is table:
                positions[tag] = len(columns)
                columns.append(_computed(tag, shape.scope))
        texts[Level(level)] = len(columns)
        columns.append(table.c.attributes)
    number_of_patient = len(columns)
    columns.append(patient.c.id)
    shown = shown_by(shape.scope)
    positions_shown: list[int | None] = [None] * len(shown)
    if len(shown) > 1:
        for number, part in enumerate(shown):
            positions_shown[number] = len(columns)
            columns.append(within_scope(part.scope, shape.level))
    statement = (
        select(*(column.label(f"c{number}") for number, column in enumerate(columns)))
        .select_from(_joined(shape.level))
        .where(
            within_scope(shape.scope, shape.level),
            *_conditions(shape),
        )
        .limit(bindparam(LIMIT))
    )
    compiled = statement.compile(dialect=dialect)
    order = tuple(compiled.positiontup or ())
    return Plan(
        sql=str(compiled),
        order=order,
        constants=MappingProxyType(dict(compiled.params)),
        columns=positions,
        texts=texts,
        patient=number_of_patient,
        shown=tuple(zip((part.tags for part in shown), positions_shown, strict=True)),
    )


def _joined(level: Level) -> FromClause:
    joined: FromClause = patient
    if level >= Level.STUDY:
        joined = joined.join(study, study.c.patient == patient.c.id)
    if level >= Level.SERIES:
        joined = joined.join(series, series.c.study == study.c.id)
    if level >= Level.IMAGE:
        joined = joined.join(instance, instance.c.series == series.c.id)
    return joined


def _name(number: int, position: int) -> str:
    return f"t{number}_{position}"


def _bound(number: int, position: int) -> ColumnElement[str]:
    return bindparam(_name(number, position), type_=Text)


def _conditions(shape: Shape) -> list[ColumnElement[bool]]:
    match shape.terms:
        case [Term(tag=tags.PATIENT_NAME, op=Op.GLOB, group=group)]:
            return [_somewhere_in_a_name(group)]
        case _:
            return [_condition(number, term, shape.scope) for number, term in enumerate(shape.terms)]


def _somewhere_in_a_name(group: int | None) -> ColumnElement[bool]:
    """A name by a pattern that begins with a wildcard, and nothing else to go by: read the names' indexes.

    They are a fifth of the patients' table, and SQLite reads that if the condition is on the table.
    """
    columns = _NAME_COLUMNS if group is None else (_NAME_COLUMNS[group],)
    found = [
        select(_NAMED.c.id).where(
            _NAMED.c[column.name].is_not(None), _compared(_NAMED.c[column.name], 0, Op.GLOB)
        )
        for column in columns
    ]
    return patient.c.id.in_(union_all(*found))


def _condition(number: int, term: Term, scope: Scope) -> ColumnElement[bool]:
    if term.tag in (tags.MODALITIES_IN_STUDY, tags.SOP_CLASSES_IN_STUDY):
        return _some_series(number, term, scope)
    if term.op is Op.DATE_TIME:
        return _date_time(number, term)
    if term.tag == tags.PATIENT_NAME:
        groups = _NAME_COLUMNS if term.group is None else (_NAME_COLUMNS[term.group],)
        return or_(*(_compared(column, number, term.op) for column in groups))
    column = PLAIN_COLUMNS.get(term.tag, FOLDED_COLUMNS.get(term.tag))
    if column is not None:
        return _compared(column, number, term.op)
    return _any_value_of(_attributes(term.tag), _path(term.tag), number, term.op)


def _some_series(number: int, term: Term, scope: Scope) -> ColumnElement[bool]:
    """ModalitiesInStudy and SOPClassesInStudy: met when one series that may be seen meets it."""
    if term.tag == tags.MODALITIES_IN_STUDY:
        met = _compared(_SIBLING.c.modality, number, term.op)
    else:
        met = _any_value_of(_classes_within(scope, _SIBLING, study), None, number, term.op)
    some = select(1).select_from(_SIBLING)
    some = some.where(_SIBLING.c.study == study.c.id, reached_series(scope, _SIBLING, study), met)
    return any_row(some.correlate(study))


def _any_value_of(text: ColumnElement[str], path: str | None, number: int, op: Op) -> ColumnElement[bool]:
    """True when one value of a JSON list compares."""
    listed = func.json_each(text) if path is None else func.json_each(text, literal(path))
    values = listed.table_valued("value")
    return any_row(select(1).select_from(values).where(_compared(values.c.value, number, op)))


def _compared(column: ColumnElement[str], number: int, op: Op) -> ColumnElement[bool]:
    first = _bound(number, 0)
    match op:
        case Op.EQUAL:
            return column == first
        case Op.ANY_OF:
            return column.in_(one_of(_name(number, 0)))
        case Op.GLOB:
            return column.op("GLOB")(first)
        case Op.PREFIX_GLOB:
            # The range is what the index serves: SQLite cannot see a prefix in a bound pattern.
            last = _bound(number, 1)
            return and_(column >= first, column < last, column.op("GLOB")(_bound(number, 2)))
        case Op.BETWEEN:
            return and_(column >= first, column <= _bound(number, 1))
        case Op.DATE_TIME:
            raise LocalError("a date with a time is not one column")
        case _:
            assert_never(op)


def _date_time(number: int, term: Term) -> ColumnElement[bool]:
    """PS3.4 §C.2.2.2.5.2: date and time as one moment; an absent time is midnight."""
    date = _scalar(term.tag)
    time = _scalar(term.time_tag if term.time_tag is not None else term.tag)
    moment = date.concat(func.coalesce(func.nullif(time, ""), _MIDNIGHT))
    return and_(
        date >= _bound(number, 0),
        date <= _bound(number, 1),
        moment >= _bound(number, 2),
        moment <= _bound(number, 3),
    )


def _scalar(tag: Tag) -> ColumnElement[str]:
    """The folded first value of a date or time."""
    column = FOLDED_COLUMNS.get(tag)
    if column is not None:
        return column
    return func.json_extract(_attributes(tag), literal(f"{_path(tag)}[0]"), type_=Text)


def _attributes(tag: Tag) -> ColumnElement[str]:
    return _TABLES[tags.BY_TAG[tag].level].c.attributes


def _path(tag: Tag) -> str:
    name = folded_name(tag) if tags.BY_TAG[tag].vr in FOLDED_VRS else json_name(tag)
    return f'$."{name}"'


def _computed(tag: Tag, scope: Scope) -> ColumnElement[Any]:
    """A counter or set, of what the scope reaches only: a count must not betray what is hidden."""
    counter = _COUNTERS[tag]
    if is_unlimited(scope):
        return counter
    if counter.table is series:
        return _count_within(scope, series, study)
    seen = select(_visible(tag, scope)).select_from(_SIBLING.join(_COUSIN, _COUSIN.c.id == _SIBLING.c.study))
    seen = seen.where(reached_series(scope, _SIBLING, _COUSIN))
    if counter.table is study:
        return seen.where(_COUSIN.c.id == study.c.id).correlate(study).scalar_subquery()
    return seen.where(_COUSIN.c.patient == patient.c.id).correlate(patient).scalar_subquery()


def _visible(tag: Tag, scope: Scope) -> ColumnElement[Any]:
    """What a limited scope sees, over the series it reaches. Sets become a JSON list of lists or words."""
    match tag:
        case tags.NUMBER_OF_PATIENT_RELATED_STUDIES:
            return func.count(distinct(_SIBLING.c.study))
        case tags.NUMBER_OF_PATIENT_RELATED_SERIES | tags.NUMBER_OF_STUDY_RELATED_SERIES:
            return func.count()
        case tags.MODALITIES_IN_STUDY:
            return func.json_group_array(distinct(_SIBLING.c.modality))
        case tags.SOP_CLASSES_IN_STUDY:
            return func.json_group_array(func.json(_classes_within(scope, _SIBLING, _COUSIN)))
        case _:
            return func.sum(_count_within(scope, _SIBLING, _COUSIN))


def _count_within(scope: Scope, of_series: FromClause, of_study: FromClause) -> ColumnElement[Any]:
    """How many instances of a series the scope reaches."""
    if not filters_instances(scope):
        return of_series.c.instance_count
    return reached_within(scope, func.count(), of_series, of_study)


def _classes_within(scope: Scope, of_series: FromClause, of_study: FromClause) -> ColumnElement[Any]:
    """Their SOP classes, a JSON list."""
    if not filters_instances(scope):
        return of_series.c.sop_classes
    return reached_within(scope, func.json_group_array(INNER_SOP_CLASS), of_series, of_study)
