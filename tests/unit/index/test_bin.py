"""The bin: what goes in leaves nothing behind, and comes back as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from leadglass.index.bin import Bin, Deletion, Subject
from leadglass.index.entries import Placed
from leadglass.index.holds import Hold, Holds
from leadglass.index.index import Index
from leadglass.index.write import Writer
from leadglass.model.action import Verb
from leadglass.model.errors import HeldBack, NotPermitted
from leadglass.model.names import Uid
from leadglass.model.query import Level, Query, RetrieveKeys, Root
from tests.support.entries import CT, instance_uid, new_instance, permit, record, series_uid, study_uid

STORE, DELETE, CHECK, MANAGE = (permit(verb) for verb in (Verb.STORE, Verb.DELETE, Verb.CHECK, Verb.MANAGE))
FIND, GET, OPERATE = (permit(verb) for verb in (Verb.FIND, Verb.GET, Verb.OPERATE))
NOW = datetime(2026, 3, 1, tzinfo=UTC)
DELETION = Deletion("tester", "asked by the patient", NOW, NOW + timedelta(days=30))
TABLES = ("patient", "study", "series", "instance", "study_label")
MR = Uid("1.2.840.10008.5.1.4.1.1.4")


@pytest.fixture
def index(engine: Engine) -> Index:
    """Two studies of one patient; the first has two series, of CT and MR, with two instances each."""
    index = Index(engine)
    with index.transaction() as transaction:
        for series in (1, 2):
            for instance in (1, 2):
                modality, sop_class = ("MR", MR) if series == 2 else ("CT", CT)
                kind = record(1, series, instance, modality=modality, sop_class=sop_class)
                entry = new_instance(kind, offset=100 * (2 * series + instance))
                transaction.insert(permit(Verb.STORE, site="north"), entry)
        transaction.insert(permit(Verb.STORE, site="north"), new_instance(record(2), offset=900))
        transaction.label_study(MANAGE, study_uid(1), "teaching")
    return index


def snapshot(engine: Engine) -> dict[str, list[tuple[str, ...]]]:
    """Every row of the served tables, without their own numbers."""
    with engine.connect() as connection:
        found = {}
        for table in TABLES:
            rows = connection.execute(text(f"SELECT * FROM {table}")).mappings().all()  # noqa: S608  our names
            numbers = {"id", "patient", "study", "series"}
            found[table] = sorted(tuple(str(v) for k, v in row.items() if k not in numbers) for row in rows)
    return found


def found(index: Index) -> int:
    query = Query(Root.STUDY, Level.STUDY, (), (), (), (), ())
    return len(list(index.search(FIND, query, 100)))


@pytest.mark.parametrize(
    ("subject", "count"),
    [
        (Subject(Level.STUDY, study_uid(1)), 4),
        (Subject(Level.SERIES, series_uid(1, 2)), 2),
        (Subject(Level.IMAGE, instance_uid(1, 1, 2)), 1),
        (Subject(Level.STUDY, study_uid(2)), 1),
    ],
)
def test_what_is_thrown_away_is_gone_and_what_is_put_back_is_as_it_was(
    engine: Engine, index: Index, subject: Subject, count: int
) -> None:
    before = snapshot(engine)
    bin_ = Bin(engine)
    affected = bin_.affected(DELETE, subject)
    assert (affected.instances, affected.patient_id) == (count, "P1")
    assert bin_.throw_away(DELETE, subject, DELETION) == count
    assert bin_.throw_away(DELETE, subject, DELETION) == 0
    assert index.counts(CHECK).instances == 5 - count
    assert index.counts(CHECK).binned == count
    assert sum(held.binned for held in index.inventory(CHECK)) == count
    back = bin_.put_back(DELETE, subject)
    assert (back.restored, back.kept, back.studies) == (count, 0, affected.studies)
    assert snapshot(engine) == before
    assert index.counts(CHECK).binned == 0


def test_counters_and_sets_follow(engine: Engine, index: Index) -> None:
    Bin(engine).throw_away(DELETE, Subject(Level.SERIES, series_uid(1, 2)), DELETION)
    with engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM study WHERE study_uid = '1.2.3.1.1'")).mappings().one()
        patient = connection.execute(text("SELECT * FROM patient")).mappings().one()
    assert (row["modalities"], row["series_count"], row["instance_count"]) == ('["CT"]', 1, 2)
    assert (patient["study_count"], patient["series_count"], patient["instance_count"]) == (2, 2, 3)
    assert index.locate(GET, RetrieveKeys(Level.SERIES, None, (), (series_uid(1, 2),), ())) == []


def test_levels_that_became_empty_go_too(engine: Engine, index: Index) -> None:
    for number in (1, 2):
        Bin(engine).throw_away(DELETE, Subject(Level.STUDY, study_uid(number)), DELETION)
    assert snapshot(engine) == {table: [] for table in TABLES}
    assert found(index) == 0


def test_a_writer_that_knew_the_study_forgets_it(engine: Engine, index: Index) -> None:
    writer = Writer(engine)
    with writer.transaction() as transaction:
        transaction.insert(STORE, new_instance(record(3, 1, 1), offset=2000))
    Bin(engine).throw_away(DELETE, Subject(Level.STUDY, study_uid(3)), DELETION)
    with writer.transaction() as transaction:
        transaction.insert(STORE, new_instance(record(3, 1, 2), offset=2100))
    writer.close()
    assert index.counts(CHECK).studies == 3


def test_what_was_stored_again_meanwhile_keeps_its_place(engine: Engine, index: Index) -> None:
    bin_ = Bin(engine)
    subject = Subject(Level.SERIES, series_uid(1, 1))
    bin_.throw_away(DELETE, subject, DELETION)
    with index.transaction() as transaction:
        other = replace(new_instance(record(1, 1, 1), b"other"), object_id=bytes(16))
        assert transaction.insert(permit(Verb.STORE, site="north"), other) is Placed.STORED
    back = bin_.put_back(DELETE, subject)
    assert (back.restored, back.kept) == (1, 1)
    assert index.counts(CHECK).binned == 1


def test_a_legal_hold_stops_deletion_and_erasure(engine: Engine, index: Index) -> None:
    bin_, holds = Bin(engine), Holds(engine)
    bin_.throw_away(DELETE, Subject(Level.IMAGE, instance_uid(1, 1, 1)), DELETION)
    hold = Hold(study_uid(1), NOW, "counsel", "case 7")
    assert holds.place(DELETE, hold)
    assert not holds.place(DELETE, replace(hold, reason="another"))
    assert holds.every(DELETE) == [hold]
    for subject in (Subject(Level.STUDY, study_uid(1)), Subject(Level.IMAGE, instance_uid(1, 1, 2))):
        with pytest.raises(HeldBack, match="counsel: case 7"):
            bin_.throw_away(DELETE, subject, DELETION)
    with pytest.raises(HeldBack):
        bin_.condemn(DELETE, NOW, study_uid(1))
    assert bin_.condemn(OPERATE, NOW + timedelta(days=31)) == 0
    assert [each.held for each in bin_.content(DELETE)] == [True]
    assert holds.release(DELETE, study_uid(1))
    assert not holds.release(DELETE, study_uid(1))
    assert bin_.condemn(OPERATE, NOW + timedelta(days=31)) == 1
    assert index.counts(CHECK).binned == 0


def test_what_is_past_its_time_is_condemned_and_named_until_it_is_erased(
    engine: Engine, index: Index
) -> None:
    bin_ = Bin(engine)
    bin_.throw_away(DELETE, Subject(Level.STUDY, study_uid(1)), DELETION)
    [content] = bin_.content(DELETE)
    assert (content.instances, content.reason, content.erase_at) == (4, DELETION.reason, DELETION.erase_at)
    assert bin_.condemn(OPERATE, NOW + timedelta(days=29)) == 0
    assert bin_.condemn(OPERATE, NOW + timedelta(days=30)) == 4
    first = bin_.to_erase(OPERATE, 3)
    assert len(first) == 3
    bin_.erased(OPERATE, first, lambda _connection: None)
    [last] = bin_.to_erase(OPERATE, 3)
    assert last.study_uid == study_uid(1)
    bin_.erased(OPERATE, [last], lambda _connection: None)
    assert bin_.to_erase(OPERATE, 3) == []
    assert index.counts(CHECK).instances == 1


@pytest.mark.parametrize("verb", sorted(set(Verb) - {Verb.DELETE}))
def test_no_other_permit_serves(engine: Engine, verb: Verb) -> None:
    bin_, holds, other = Bin(engine), Holds(engine), permit(verb)
    subject = Subject(Level.STUDY, study_uid(1))
    attempts: list[Callable[[], object]] = [
        lambda: bin_.affected(other, subject),
        lambda: bin_.throw_away(other, subject, DELETION),
        lambda: bin_.put_back(other, subject),
        lambda: bin_.content(other),
        lambda: holds.place(other, Hold(study_uid(1), NOW, "x", "y")),
        lambda: holds.release(other, study_uid(1)),
        lambda: holds.every(other),
    ]
    if verb is not Verb.OPERATE:
        attempts += [
            lambda: bin_.condemn(other, NOW),
            lambda: bin_.to_erase(other, 1),
            lambda: bin_.erased(other, [], lambda _connection: None),
        ]
    for attempt in attempts:
        with pytest.raises(NotPermitted):
            attempt()
