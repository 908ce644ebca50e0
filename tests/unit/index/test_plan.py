"""How SQLite goes about a search: which indexes, which tables. The rows are the contract tests' affair."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from leadglass.dataset import tags
from leadglass.index.engine import reading
from leadglass.index.plan import Shape, compile_plan
from leadglass.index.terms import query_terms
from leadglass.model.permit import EVERYTHING, Scope, ScopeFilter
from leadglass.model.query import Level, Match, Query, Range, Root, SingleValue, Tag, UidList, Wildcard

COMPUTED = frozenset(entry.tag for entry in tags.COMPUTED_TAGS)
LIMITED = Scope((ScopeFilter(frozenset({"night"}), frozenset({"CT"})),))


def steps(engine: Engine, level: Level, matches: tuple[tuple[Tag, Match], ...], scope: Scope) -> list[str]:
    terms, values = query_terms(Query(Root.STUDY, level, matches, ()))
    plan = compile_plan(Shape(level, terms, COMPUTED, scope), engine.dialect)
    with reading(engine).connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {plan.sql}", plan.parameters(values, 10))
        return [str(row[3]) for row in rows]


@pytest.mark.parametrize(
    ("tag", "match", "index_used"),
    [
        (tags.PATIENT_ID, SingleValue("P1"), "patient_key"),
        (tags.PATIENT_ID, Wildcard("P1*"), "patient_key"),
        (tags.PATIENT_NAME, SingleValue("Doe^Jane"), "patient_name_alphabetic"),
        (tags.PATIENT_NAME, Wildcard("Doe*"), "patient_name_alphabetic"),
        (tags.PATIENT_NAME, Wildcard("Doe*"), "patient_name_ideographic"),
        (tags.PATIENT_NAME, Wildcard("Doe*"), "patient_name_phonetic"),
        (tags.PATIENT_BIRTH_DATE, SingleValue("19700101"), "patient_birth_date"),
        (tags.STUDY_INSTANCE_UID, SingleValue("1.2"), "study_uid"),
        (tags.STUDY_INSTANCE_UID, UidList(("1.2", "1.3")), "study_uid"),
        (tags.STUDY_DATE, Range("20240101", "20240102"), "study_date"),
        (tags.ACCESSION_NUMBER, SingleValue("A1"), "study_accession_number"),
        (tags.ACCESSION_NUMBER, Wildcard("A1*"), "study_accession_number"),
    ],
)
@pytest.mark.parametrize("scope", [EVERYTHING, LIMITED])
def test_a_study_search_uses_its_index(
    engine: Engine, tag: Tag, match: Match, index_used: str, scope: Scope
) -> None:
    taken = steps(engine, Level.STUDY, ((tag, match),), scope)
    assert any(f"INDEX {index_used} (" in step for step in taken)
    assert not any(step.startswith(("SCAN patient", "SCAN study")) for step in taken)


@pytest.mark.parametrize("level", [Level.PATIENT, Level.STUDY, Level.SERIES])
@pytest.mark.parametrize("scope", [EVERYTHING, LIMITED])
def test_no_search_above_the_image_level_reads_an_instance(
    engine: Engine, level: Level, scope: Scope
) -> None:
    taken = steps(engine, level, ((tags.PATIENT_ID, SingleValue("P1")),), scope)
    assert taken
    assert not any("instance" in step for step in taken)


def test_statements_never_use_exists(engine: Engine) -> None:
    for level in Level:
        plan = compile_plan(Shape(level, (), COMPUTED, LIMITED), engine.dialect)
        assert "EXISTS" not in plan.sql
