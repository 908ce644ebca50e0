"""The index that is made in bulk says of its studies what an index filled by a scanner would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, select

from bench.million import write
from bench.population import patient_id, people_among, studies_of
from leadglass.dataset import tags
from leadglass.index import Index
from leadglass.index.engine import open_engine
from leadglass.index.migrate import migrate
from leadglass.index.recount import recount
from leadglass.index.schema import METADATA
from leadglass.model.action import Verb
from leadglass.model.query import Level, Match, Query, Root, SingleValue, Tag, Wildcard
from tests.support.entries import permit

STUDIES = 450


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path: Path = tmp_path_factory.mktemp("index") / "index.db"
    made = open_engine(str(path), bytes(32))
    migrate(made)
    with made.begin() as connection:
        write(connection, STUDIES, lambda _done: None)
    yield made
    made.dispose()


def rows(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    tables = METADATA.sorted_tables
    return {table.name: [tuple(row) for row in connection.execute(select(table))] for table in tables}


def found(engine: Engine, *matches: tuple[Tag, Match]) -> int:
    query = Query(Root.STUDY, Level.STUDY, matches, (tags.STUDY_INSTANCE_UID,))
    return len(list(Index(engine).search(permit(Verb.FIND), query, 1_000)))


def test_its_counters_are_those_that_its_rows_give(engine: Engine) -> None:
    with engine.begin() as connection:
        before = rows(connection)
        numbers = set(range(1, STUDIES + 1))
        recount(connection, numbers, numbers, set(range(1, people_among(STUDIES) + 1)))
        assert rows(connection) == before
    assert len(before["study"]) == STUDIES


def test_it_is_found_by_the_keys_of_its_people_and_days(engine: Engine) -> None:
    by_patient: dict[int, int] = {}
    for study in studies_of(STUDIES):
        by_patient[study.patient] = by_patient.get(study.patient, 0) + 1
    for patient, count in list(by_patient.items())[:20]:
        assert found(engine, (tags.PATIENT_ID, SingleValue(patient_id(patient)))) == count
    assert found(engine, (tags.STUDY_DATE, SingleValue("20110103"))) == 200
    assert found(engine, (tags.PATIENT_NAME, Wildcard("*^anna*"))) > 0
