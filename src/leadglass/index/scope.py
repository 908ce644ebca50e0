"""A permit's scope as SQL: what nobody may search or retrieve around."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, and_, false, literal, or_, select, true

from leadglass.index.existence import any_row
from leadglass.index.schema import instance, patient, series, study, study_label
from leadglass.model.permit import Release, Scope, ScopeFilter
from leadglass.model.query import Level

_EVERY_OBJECT: Final = ScopeFilter()
_INNER: Final = instance.alias("inner_instance")
INNER_SOP_CLASS: Final = _INNER.c.sop_class
_DIGITS: Final = "[0-9]" * 8


def is_unlimited(scope: Scope) -> bool:
    """Whether the scope reaches every object."""
    return any(
        replace(each, shows=None, release=Release.WHOLE) == _EVERY_OBJECT for each in scope.alternatives
    )


def filters_instances(scope: Scope) -> bool:
    """Whether it may reach some instances of a series and not the others."""
    return not is_unlimited(scope) and any(_filters_instances(each) for each in scope.alternatives)


def within_scope(scope: Scope, level: Level) -> ColumnElement[bool]:
    """True for rows of ``level`` that the scope reaches, given the tables of that level and above.

    A patient, study or series is reached when at least one instance of it is.
    """
    if is_unlimited(scope):
        return true()
    if level is Level.IMAGE:
        return reached_instance(scope, instance, series, study)
    if level is Level.SERIES:
        return reached_series(scope, series, study)
    inner = select(1).select_from(series)
    if level is Level.STUDY:
        inner = inner.where(series.c.study == study.c.id, reached_series(scope, series, study))
        return any_row(inner.correlate(study))
    inner = inner.join(study, study.c.id == series.c.study)
    inner = inner.where(study.c.patient == patient.c.id, reached_series(scope, series, study))
    return any_row(inner.correlate(patient))


def reached_series(scope: Scope, of_series: FromClause, of_study: FromClause) -> ColumnElement[bool]:
    """True for a row of ``of_series``, joined with its row of ``of_study``, that the scope reaches."""
    if is_unlimited(scope):
        return true()
    return or_(false(), *(_series_by(each, of_series, of_study) for each in scope.alternatives))


def reached_instance(
    scope: Scope, of_instance: FromClause, of_series: FromClause, of_study: FromClause
) -> ColumnElement[bool]:
    """True for a row of ``of_instance``, joined with its series and study, that the scope reaches."""
    if is_unlimited(scope):
        return true()
    return or_(
        false(),
        *(
            and_(_above(each, of_series, of_study), _instance_by(each, of_instance))
            for each in scope.alternatives
        ),
    )


def reached_within(
    scope: Scope, what: ColumnElement[Any], of_series: FromClause, of_study: FromClause
) -> ColumnElement[Any]:
    """``what``, of INNER_SOP_CLASS, over the instances of a series that the scope reaches."""
    inner = select(what).select_from(_INNER)
    inner = inner.where(
        _INNER.c.series == of_series.c.id, reached_instance(scope, _INNER, of_series, of_study)
    )
    return inner.correlate(of_series, of_study).scalar_subquery()


def _filters_instances(each: ScopeFilter) -> bool:
    return each.sop_classes is not None or each.senders is not None


def _series_by(each: ScopeFilter, of_series: FromClause, of_study: FromClause) -> ColumnElement[bool]:
    above = _above(each, of_series, of_study)
    if not _filters_instances(each):
        return above
    some = select(1).select_from(_INNER)
    some = some.where(_INNER.c.series == of_series.c.id, _instance_by(each, _INNER))
    return and_(above, any_row(some.correlate(of_series)))


def _instance_by(each: ScopeFilter, of_instance: FromClause) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [true()]
    if each.sop_classes is not None:
        conditions.append(_is_one_of(of_instance.c.sop_class, each.sop_classes))
    if each.senders is not None:
        conditions.append(_is_one_of(of_instance.c.received_from, each.senders))
    return and_(*conditions)


def _above(each: ScopeFilter, of_series: FromClause, of_study: FromClause) -> ColumnElement[bool]:
    """What a filter asks of the series and of the study."""
    conditions: list[ColumnElement[bool]] = [true()]
    if each.labels is not None:
        bears = select(1).select_from(study_label)
        bears = bears.where(
            study_label.c.study == of_study.c.id, _is_one_of(study_label.c.label, each.labels)
        )
        conditions.append(any_row(bears.correlate(of_study)))
    if each.modalities is not None:
        conditions.append(_is_one_of(of_series.c.modality, each.modalities))
    if each.studies is not None:
        conditions.append(_is_one_of(of_study.c.study_uid, each.studies))
    if each.studied_from is not None or each.studied_to is not None:
        conditions.append(_studied_between(each, of_study.c.study_date))
    return and_(*conditions)


def _studied_between(each: ScopeFilter, column: ColumnElement[str]) -> ColumnElement[bool]:
    """A study whose date is none, or cannot be read, is on neither side of any day."""
    return and_(
        column.op("GLOB")(literal(_DIGITS)),
        column >= literal(_eight_digits(each.studied_from or date.min)),
        column <= literal(_eight_digits(each.studied_to or date.max)),
    )


def _eight_digits(day: date) -> str:
    return day.isoformat().replace("-", "")


def _is_one_of(column: ColumnElement[str], words: frozenset[str]) -> ColumnElement[bool]:
    return or_(false(), *(column == literal(word) for word in sorted(words)))
