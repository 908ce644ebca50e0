from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.pool import QueuePool

from leadglass.index import Index
from leadglass.index.engine import open_engine
from leadglass.index.entries import Conflict, Outcome, Placed
from leadglass.index.schema import instance, patient, series, study
from leadglass.index.write import ROWS_KNOWN, Writer
from leadglass.model.action import Verb
from leadglass.model.errors import OutOfResources
from leadglass.model.instance import InstanceRecord
from tests.support.entries import RECEIVED_AT, new_instance, permit, record, series_uid

STORE = permit(Verb.STORE)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def writer(engine: Engine) -> Iterator[Writer]:
    with closing(Writer(engine)) as writer:
        yield writer


def store(writer: Writer, *records: InstanceRecord) -> list[Outcome]:
    with writer.transaction() as transaction:
        return transaction.insert_many([(STORE, new_instance(each)) for each in records])


def store_and_fail(writer: Writer, *records: InstanceRecord) -> None:
    def fail() -> None:
        with writer.transaction() as transaction:
            transaction.insert_many([(STORE, new_instance(each)) for each in records])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()


def statements_of(writer: Writer, *records: InstanceRecord) -> list[str]:
    """What the database is asked when these are stored."""
    asked: list[str] = []
    with writer.transaction() as transaction:
        driver = transaction.connection.connection.driver_connection
        assert driver is not None
        driver.set_trace_callback(asked.append)
        transaction.insert_many([(STORE, new_instance(each)) for each in records])
        driver.set_trace_callback(None)
    return asked


def counted(engine: Engine) -> Sequence[tuple[int, ...]]:
    """The counters of each series, with those of its study and patient."""
    counts = text(
        "SELECT series.instance_count, study.series_count, study.instance_count, patient.study_count,"
        " patient.series_count, patient.instance_count"
        " FROM series JOIN study ON study.id = series.study JOIN patient ON patient.id = study.patient"
        " ORDER BY series.series_uid"
    )
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(counts)]


def held(engine: Engine) -> int:
    assert isinstance(engine.pool, QueuePool)
    return engine.pool.checkedout()


def test_two_processes_may_write_in_turn(engine: Engine, tmp_path: Path) -> None:
    other = open_engine(str(tmp_path / "index.db"), bytes(range(32)))
    for number, writer in enumerate([engine, other, engine, other], start=1):
        with Index(writer).transaction() as transaction:
            assert transaction.insert(STORE, new_instance(record(instance=number))) is Placed.STORED
    counts = Index(engine).counts(permit(Verb.STATUS))
    assert (counts.patients, counts.series, counts.instances) == (1, 1, 4)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT instance_count FROM study")).scalar_one() == 4
    other.dispose()


def test_a_database_without_room_stores_nothing_and_says_so(engine: Engine) -> None:
    with engine.begin() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    index = Index(engine)
    many = [(STORE, new_instance(record(number))) for number in range(500)]
    with pytest.raises(OutOfResources), index.transaction() as transaction:
        transaction.insert_many(many)
    assert index.counts(permit(Verb.STATUS)).instances == 0


def test_the_time_of_receipt_is_kept_to_the_microsecond(engine: Engine) -> None:
    with Index(engine).transaction() as transaction:
        transaction.insert(STORE, new_instance(record()))
    with engine.connect() as connection:
        kept = connection.execute(text("SELECT received_at_us FROM instance")).scalar_one()
    assert datetime.fromtimestamp(kept // 1_000_000, UTC) == RECEIVED_AT.replace(microsecond=0)
    assert kept % 1_000_000 == RECEIVED_AT.microsecond


def test_what_a_writer_learned_it_does_not_ask_again(engine: Engine, writer: Writer) -> None:
    asked = statements_of(writer, record(instance=1))
    assert any("FROM series" in each for each in asked)
    again = statements_of(writer, record(instance=2), record(instance=3))
    assert not any("FROM series" in each or "FROM study" in each for each in again)
    assert counted(engine) == [(3, 1, 3, 1, 1, 3)]


def test_a_writer_forgets_when_another_process_has_written(
    engine: Engine, writer: Writer, tmp_path: Path
) -> None:
    store(writer, record(instance=1))
    script = tmp_path / "other.py"
    script.write_text(
        "import sys\n"
        "from tests.support.entries import new_instance, permit, record\n"
        "from leadglass.index.engine import open_engine\n"
        "from leadglass.index.write import write_transaction\n"
        "from leadglass.model.action import Verb\n"
        "with write_transaction(open_engine(sys.argv[1], bytes(range(32)))) as transaction:\n"
        "    arrivals = [record(instance=2), record(series=2)]\n"
        "    transaction.insert_many([(permit(Verb.STORE), new_instance(each)) for each in arrivals])\n"
    )
    other = [sys.executable, str(script), str(tmp_path / "index.db")]
    subprocess.run(other, check=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, timeout=60)
    assert store(writer, record(instance=2), record(instance=3)) == [Placed.ALREADY_STORED, Placed.STORED]
    stray = replace(record(study=2), series=series_uid(1, 2))
    assert store(writer, stray) == [Conflict.SERIES_OF_ANOTHER_STUDY]
    assert counted(engine) == [(3, 2, 4, 1, 2, 4), (1, 2, 4, 1, 2, 4)]


def test_a_writer_forgets_what_another_connection_took_away(engine: Engine, writer: Writer) -> None:
    store(writer, record())
    with engine.begin() as connection:
        for table in (instance, series, study, patient):
            connection.execute(table.delete())
    assert store(writer, record()) == [Placed.STORED]
    assert counted(engine) == [(1, 1, 1, 1, 1, 1)]


def test_a_writer_forgets_what_it_rolled_back(engine: Engine, writer: Writer) -> None:
    store(writer, record(instance=1))
    store_and_fail(writer, record(instance=2), record(series=2), record(study=2))
    assert store(writer, record(instance=2), record(study=2)) == [Placed.STORED, Placed.STORED]
    assert counted(engine) == [(2, 1, 2, 2, 2, 3), (1, 1, 1, 2, 2, 3)]


def test_a_writer_forgets_what_the_disk_had_no_room_for(engine: Engine, writer: Writer) -> None:
    store(writer, record(1))
    many = [record(number) for number in range(2, 500)]
    with writer.transaction() as transaction:
        pages = transaction.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        transaction.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutOfResources):
        store(writer, *many)
    with writer.transaction() as transaction:
        transaction.connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert store(writer, *many) == [Placed.STORED] * len(many)
    assert len(counted(engine)) == 499
    assert set(counted(engine)) == {(1, 1, 1, 499, 499, 499)}


def test_what_a_writer_knows_is_bounded(engine: Engine, writer: Writer) -> None:
    store(writer, *(record(series=number) for number in range(ROWS_KNOWN)))
    assert any("FROM series" in each for each in statements_of(writer, record(series=1, instance=2)))
    assert counted(engine)[1][0] == 2


def test_a_writer_keeps_one_connection_and_gives_it_back(engine: Engine) -> None:
    writer = Writer(engine)
    assert held(engine) == 0
    store(writer, record())
    assert held(engine) == 1
    store_and_fail(writer, record(2))
    assert held(engine) == 0
    store(writer, record(2))
    writer.close()
    assert held(engine) == 0
