from __future__ import annotations

import threading

from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool

from leadglass.dataset import tags
from leadglass.index import Index
from leadglass.index.search import ROWS_AT_ONCE, Searcher
from leadglass.model.action import Verb
from leadglass.model.query import Level, Query, Root, SingleValue
from tests.support.entries import new_instance, permit, record

FIND = permit(Verb.FIND)
STUDIES = Query(Root.STUDY, Level.STUDY, (), (tags.STUDY_INSTANCE_UID,))


def _fill(engine: Engine, studies: int) -> None:
    with Index(engine).transaction() as transaction:
        arrivals = [(permit(Verb.STORE), new_instance(record(number))) for number in range(studies)]
        transaction.insert_many(arrivals)


def _held(engine: Engine) -> int:
    assert isinstance(engine.pool, QueuePool)
    return engine.pool.checkedout()


def test_a_short_answer_holds_no_connection_while_the_peer_reads_it(engine: Engine) -> None:
    _fill(engine, 3)
    answers = Searcher(engine).search(FIND, STUDIES, 100)
    next(answers)
    assert _held(engine) == 0


def test_a_cancelled_long_answer_gives_its_connection_back(engine: Engine) -> None:
    _fill(engine, ROWS_AT_ONCE + 1)
    answers = Searcher(engine).search(FIND, STUDIES, 10_000)
    next(answers)
    assert _held(engine) == 1
    answers.close()
    assert _held(engine) == 0


def test_one_plan_serves_every_value_and_any_number_of_uids(engine: Engine) -> None:
    _fill(engine, 1)
    searcher = Searcher(engine)
    for number in range(5):
        asked = ((tags.PATIENT_ID, SingleValue(f"P{number}")),)
        list(searcher.search(FIND, Query(Root.STUDY, Level.STUDY, asked, ()), 10))
    assert searcher.plans_compiled == 1


def test_searches_run_from_several_threads(engine: Engine) -> None:
    _fill(engine, 20)
    searcher = Searcher(engine)
    sizes: list[int] = []

    def search() -> None:
        sizes.extend(len(list(searcher.search(FIND, STUDIES, 100))) for _ in range(10))

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [20] * 40
