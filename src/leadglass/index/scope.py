"""A permit's scope as SQL: what nobody may search or retrieve around."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, FromClause, and_, false, literal, or_, select, true

from leadglass.index.existence import any_row
from leadglass.index.schema import patient, series, study, study_label
from leadglass.model.permit import Scope, ScopeFilter
from leadglass.model.query import Level

_EVERY_OBJECT: Final = ScopeFilter()


def is_unlimited(scope: Scope) -> bool:
    """Whether the scope reaches every object."""
    return _EVERY_OBJECT in scope.alternatives


def within_scope(scope: Scope, level: Level) -> ColumnElement[bool]:
    """True for rows of ``level`` that the scope reaches, given the tables of that level and above.

    A patient or study is reached when at least one of its series is.
    """
    if is_unlimited(scope):
        return true()
    if level >= Level.SERIES:
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
    return or_(false(), *(_reached_by(each, of_series, of_study) for each in scope.alternatives))


def _reached_by(each: ScopeFilter, of_series: FromClause, of_study: FromClause) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [true()]
    if each.labels is not None:
        bears = select(1).select_from(study_label)
        bears = bears.where(
            study_label.c.study == of_study.c.id, _is_one_of(study_label.c.label, each.labels)
        )
        conditions.append(any_row(bears.correlate(of_study)))
    if each.modalities is not None:
        conditions.append(_is_one_of(of_series.c.modality, each.modalities))
    return and_(*conditions)


def _is_one_of(column: ColumnElement[str], words: frozenset[str]) -> ColumnElement[bool]:
    return or_(false(), *(column == literal(word) for word in sorted(words)))
