"""What every index promises, on an encrypted file and in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy import Engine
from sqlalchemy.pool import StaticPool

from leadglass.dataset import tags
from leadglass.index import Index
from leadglass.index.engine import build_engine, open_engine
from leadglass.index.entries import Conflict, ExistingInstance, NewInstance, Outcome, Placed
from leadglass.index.migrate import migrate
from leadglass.model.action import Verb
from leadglass.model.errors import IdentifierMismatch, NotPermitted, OutOfResources, PatientAmbiguous
from leadglass.model.instance import InstanceRecord, Location
from leadglass.model.names import Uid
from leadglass.model.permit import EVERYTHING, NOTHING, Permit, Scope, ScopeFilter
from leadglass.model.query import (
    DateTimeRange,
    Level,
    Match,
    Query,
    Range,
    RetrieveKeys,
    Root,
    SingleValue,
    Tag,
    UidList,
    Wildcard,
)
from tests.support.entries import (
    CT,
    EXPLICIT,
    instance_uid,
    new_instance,
    permit,
    record,
    series_uid,
    study_uid,
)

STORE = permit(Verb.STORE)
FIND = permit(Verb.FIND)
GET = permit(Verb.GET)
CHECK = permit(Verb.CHECK)
MR = Uid("1.2.840.10008.5.1.4.1.1.4")


def _open_file(folder: Path) -> Engine:
    return open_engine(str(folder / "index.db"), bytes(range(32)))


def _open_memory(folder: Path) -> Engine:
    def connect() -> sqlcipher.Connection:
        return sqlcipher.connect(":memory:", isolation_level=None, check_same_thread=False)

    return build_engine(connect, StaticPool)


@pytest.fixture(params=[_open_file, _open_memory], ids=["file", "memory"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    engine: Engine = request.param(tmp_path)
    migrate(engine)
    yield Index(engine)
    engine.dispose()


def store(index: Index, *records: InstanceRecord, using: Permit = STORE) -> list[Outcome]:
    with index.transaction() as transaction:
        return transaction.insert_many([(using, new_instance(each)) for each in records])


def find(
    index: Index,
    level: Level,
    *matches: tuple[Tag, Match],
    returns: Sequence[Tag] = (),
    using: Permit = FIND,
    combined: Sequence[DateTimeRange] = (),
) -> list[dict[Tag, str]]:
    query = Query(Root.STUDY, level, matches, tuple(returns), tuple(combined))
    return [found.attributes for found in index.search(using, query, 100)]


def found_studies(index: Index, *matches: tuple[Tag, Match], using: Permit = FIND) -> set[str]:
    answers = find(index, Level.STUDY, *matches, returns=[tags.STUDY_INSTANCE_UID], using=using)
    return {answer[tags.STUDY_INSTANCE_UID] for answer in answers}


def located(index: Index, keys: RetrieveKeys, using: Permit = GET) -> list[Uid]:
    return [each.sop_instance for each in index.locate(using, keys)]


def of_studies(*studies: Uid) -> RetrieveKeys:
    return RetrieveKeys(Level.STUDY, None, studies, (), ())


# --- storing -----------------------------------------------------------------------------------


def test_a_batch_of_one_series_is_stored_and_counted_once(index: Index) -> None:
    outcomes = store(index, *(record(1, 1, number) for number in range(1, 17)))
    assert outcomes == [Placed.STORED] * 16
    counts = index.counts(CHECK)
    assert (counts.patients, counts.studies, counts.series, counts.instances) == (1, 1, 1, 16)
    assert counts.size_bytes == 16 * 90


def test_the_same_content_again_is_an_idempotent_success(index: Index) -> None:
    store(index, record())
    assert store(index, record()) == [Placed.ALREADY_STORED]
    assert index.counts(CHECK).instances == 1


def test_the_same_instance_twice_in_one_batch_is_stored_once(index: Index) -> None:
    assert store(index, record(), record()) == [Placed.STORED, Placed.ALREADY_STORED]
    assert index.counts(CHECK).instances == 1


@pytest.mark.parametrize(
    "newcomer",
    [
        new_instance(record(), b"other pixels"),
        new_instance(record(transfer_syntax=Uid("1.2.840.10008.1.2"))),
    ],
    ids=["content", "transfer syntax"],
)
def test_different_content_under_a_known_uid_leaves_the_original(index: Index, newcomer: NewInstance) -> None:
    store(index, record())
    with index.transaction() as transaction:
        outcome = transaction.insert(STORE, newcomer)
        assert outcome is Conflict.DIFFERENT_CONTENT
        transaction.quarantine(STORE, newcomer, Conflict.DIFFERENT_CONTENT)
    [stored] = index.locate(GET, of_studies(study_uid(1)))
    assert stored.sha256 == new_instance(record()).sha256
    assert index.counts(CHECK).quarantined == 1


def test_a_study_of_another_patient_is_a_conflict(index: Index) -> None:
    store(index, record())
    other = record(instance=2, attributes={tags.PATIENT_ID: "P2"})
    assert store(index, other) == [Conflict.STUDY_OF_ANOTHER_PATIENT]
    assert index.counts(CHECK).patients == 1


def test_a_series_of_another_study_is_a_conflict(index: Index) -> None:
    store(index, record())
    stray = replace(record(study=2), series=series_uid(1, 1))
    assert store(index, stray) == [Conflict.SERIES_OF_ANOTHER_STUDY]
    assert index.counts(CHECK).studies == 1


def test_a_series_of_another_study_is_a_conflict_within_one_batch(index: Index) -> None:
    stray = replace(record(study=2), series=series_uid(1, 1))
    assert store(index, record(), stray) == [Placed.STORED, Conflict.SERIES_OF_ANOTHER_STUDY]


def test_one_number_at_two_sites_is_two_people(index: Index) -> None:
    store(index, record(1), using=permit(Verb.STORE, site="north"))
    store(index, record(2), using=permit(Verb.STORE, site="south"))
    assert index.counts(CHECK).patients == 2


def test_one_number_of_one_issuer_is_one_person_whatever_the_site(index: Index) -> None:
    issuer = {tags.ISSUER_OF_PATIENT_ID: "HOSPITAL"}
    store(index, record(1, attributes=issuer), using=permit(Verb.STORE, site="north"))
    store(index, record(2, attributes=issuer), using=permit(Verb.STORE, site="south"))
    assert index.counts(CHECK).patients == 1


def test_an_issuer_cannot_pose_as_a_site(index: Index) -> None:
    store(index, record(1), using=permit(Verb.STORE, site="north"))
    store(index, record(2, attributes={tags.ISSUER_OF_PATIENT_ID: "site:north"}))
    assert index.counts(CHECK).patients == 2


def test_people_without_a_number_never_merge(index: Index) -> None:
    nameless = {tags.PATIENT_ID: "", tags.PATIENT_NAME: ""}
    store(index, record(1, attributes=nameless), record(2, attributes=nameless))
    assert index.counts(CHECK).patients == 2
    assert store(index, record(1, instance=2, attributes=nameless)) == [Placed.STORED]


def test_devices_of_one_site_may_disagree_on_naming_the_issuer(index: Index) -> None:
    issuer = {tags.ISSUER_OF_PATIENT_ID: "HOSPITAL"}
    store(index, record(instance=1))
    assert store(index, record(instance=2, attributes=issuer)) == [Placed.STORED]
    assert store(index, record(instance=3), using=permit(Verb.STORE, site="far")) == [
        Conflict.STUDY_OF_ANOTHER_PATIENT
    ]


def test_a_transaction_that_raises_leaves_nothing(index: Index) -> None:
    def fail_after_insert() -> None:
        with index.transaction() as transaction:
            transaction.insert(STORE, new_instance(record()))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_insert()
    assert index.counts(CHECK).instances == 0


def test_existing_tells_content_and_syntax_of_what_is_stored(index: Index) -> None:
    store(index, record())
    with index.transaction() as transaction:
        known = transaction.existing(STORE, [instance_uid(1, 1, 1), instance_uid(1, 1, 2)])
    assert known == {instance_uid(1, 1, 1): ExistingInstance(new_instance(record()).sha256, EXPLICIT)}


def test_existing_sees_what_its_own_transaction_stored(index: Index) -> None:
    with index.transaction() as transaction:
        transaction.existing(STORE, [instance_uid(1, 1, 1)])
        transaction.insert(STORE, new_instance(record()))
        assert transaction.existing(STORE, [instance_uid(1, 1, 1)])


def test_quarantined_tells_contents_already_kept_apart(index: Index) -> None:
    newcomer = new_instance(record(), b"other")
    with index.transaction() as transaction:
        transaction.quarantine(STORE, newcomer, Conflict.DIFFERENT_CONTENT)
        uid = newcomer.record.sop_instance
        assert transaction.quarantined(STORE, [uid]) == {(uid, newcomer.sha256)}


def test_quarantined_instances_are_neither_found_nor_located(index: Index) -> None:
    with index.transaction() as transaction:
        transaction.quarantine(STORE, new_instance(record()), Conflict.DIFFERENT_CONTENT)
    assert find(index, Level.IMAGE) == []
    assert index.locate(GET, of_studies(study_uid(1))) == []


def test_characters_the_database_cannot_hold_do_not_sink_the_batch(index: Index) -> None:
    odd = record(1, attributes={tags.STUDY_DESCRIPTION: "a\ud800b", tags.PATIENT_NAME: "D\udcffe"})
    assert store(index, odd, record(1, 1, 2)) == [Placed.STORED, Placed.STORED]
    [answer] = find(index, Level.STUDY, returns=[tags.STUDY_DESCRIPTION])
    assert answer == {tags.STUDY_DESCRIPTION: "a?b"}


# --- searching ---------------------------------------------------------------------------------


def test_each_level_answers_with_its_own_and_higher_attributes(index: Index) -> None:
    store(index, record(1, 1, 1), record(1, 1, 2), record(1, 2, 1))
    everything = (tags.PATIENT_NAME, tags.STUDY_DATE, tags.MODALITY, tags.INSTANCE_NUMBER)
    sizes = {level: len(find(index, level)) for level in Level}
    assert sizes == {Level.PATIENT: 1, Level.STUDY: 1, Level.SERIES: 2, Level.IMAGE: 3}
    assert find(index, Level.PATIENT, returns=everything) == [{tags.PATIENT_NAME: "Doe^Jane"}]
    image = (tags.SOP_INSTANCE_UID, SingleValue(instance_uid(1, 2, 1)))
    assert find(index, Level.IMAGE, image, returns=everything) == [
        {
            tags.PATIENT_NAME: "Doe^Jane",
            tags.STUDY_DATE: "20240115",
            tags.MODALITY: "CT",
            tags.INSTANCE_NUMBER: "1",
        }
    ]


def test_an_unknown_value_is_answered_empty_and_an_unknown_tag_not_at_all(index: Index) -> None:
    store(index, record())
    assert find(index, Level.STUDY, returns=[tags.STUDY_ID, 0x00091001]) == [{tags.STUDY_ID: ""}]


def test_values_come_back_as_received(index: Index) -> None:
    received = {
        tags.PATIENT_NAME: "Müller^Jörg=小林^太郎=こばやし^たろう",
        tags.STUDY_TIME: "0915",
        tags.OTHER_PATIENT_IDS: "X1\\X2",
        tags.SERIES_NUMBER: "+007",
    }
    store(index, record(attributes=received))
    assert find(index, Level.SERIES, returns=list(received)) == [received]


@pytest.mark.parametrize(
    ("tag", "match"),
    [
        (tags.PATIENT_ID, SingleValue("P1")),
        (tags.PATIENT_ID, Wildcard("P*")),
        (tags.PATIENT_ID, Wildcard("?1")),
        (tags.PATIENT_ID, Wildcard("*")),
        (tags.PATIENT_ID, UidList(("P1", "P9"))),
        (tags.PATIENT_NAME, SingleValue("DOE^jane")),
        (tags.PATIENT_NAME, Wildcard("doe*")),
        (tags.PATIENT_NAME, Wildcard("*JANE")),
        (tags.PATIENT_NAME, Wildcard("d?e^*")),
        (tags.PATIENT_NAME, SingleValue("Doe^Jane^^")),
        (tags.PATIENT_NAME, UidList(("Roe^Rob", "doe^jane"))),
        (tags.PATIENT_BIRTH_DATE, SingleValue("19700102")),
        (tags.PATIENT_BIRTH_DATE, SingleValue("1970.01.02")),
        (tags.STUDY_DATE, Range("20240101", "20240131")),
        (tags.STUDY_DATE, Range("20240115", None)),
        (tags.STUDY_DATE, Range(None, "20240115")),
        (tags.STUDY_TIME, Range("101530.000000", "101530.999999")),
        (tags.STUDY_TIME, SingleValue("101530.0")),
        (tags.STUDY_INSTANCE_UID, UidList((study_uid(1), study_uid(7)))),
        (tags.ACCESSION_NUMBER, Wildcard("A*")),
        (tags.STUDY_DESCRIPTION, Wildcard("H??D")),
        (tags.MODALITIES_IN_STUDY, SingleValue("MR")),
        (tags.MODALITIES_IN_STUDY, UidList(("US", "CT"))),
        (tags.SOP_CLASSES_IN_STUDY, SingleValue(MR)),
    ],
)
def test_study_keys_that_match(index: Index, tag: Tag, match: Match) -> None:
    store(index, record(1, 1), record(1, 2, modality="MR", sop_class=MR))
    assert found_studies(index, (tag, match)) == {study_uid(1)}


@pytest.mark.parametrize(
    ("tag", "match"),
    [
        (tags.PATIENT_ID, SingleValue("p1")),
        (tags.PATIENT_ID, Wildcard("P1?")),
        (tags.PATIENT_NAME, SingleValue("Doe")),
        (tags.PATIENT_NAME, SingleValue("Döe^Jane")),
        (tags.STUDY_DATE, Range("20240116", None)),
        (tags.STUDY_DATE, Range(None, "20240114")),
        (tags.STUDY_TIME, Range("101531.000000", None)),
        (tags.STUDY_INSTANCE_UID, UidList((study_uid(7),))),
        (tags.STUDY_DESCRIPTION, Wildcard("head")),
        (tags.STUDY_ID, SingleValue("1")),
        (tags.MODALITIES_IN_STUDY, SingleValue("US")),
        (tags.SOP_CLASSES_IN_STUDY, SingleValue("1.2.840.10008.5.1.4.1.1")),
    ],
)
def test_study_keys_that_do_not_match(index: Index, tag: Tag, match: Match) -> None:
    store(index, record(1, 1), record(1, 2, modality="MR", sop_class=MR))
    assert found_studies(index, (tag, match)) == set()


@pytest.mark.parametrize("odd", ["a%b", "a_b", "a[b]c", "a[*", "a\\b".replace("\\", "]"), "a'b", 'a"b'])
def test_signs_of_other_pattern_languages_mean_themselves(index: Index, odd: str) -> None:
    literal = odd.replace("*", "")
    store(
        index,
        record(1, attributes={tags.STUDY_DESCRIPTION: literal, tags.PATIENT_ID: literal}),
        record(2, attributes={tags.STUDY_DESCRIPTION: "axb", tags.PATIENT_ID: "axb"}),
    )
    for tag in (tags.STUDY_DESCRIPTION, tags.PATIENT_ID):
        assert found_studies(index, (tag, Wildcard(f"{literal}*"))) == {study_uid(1)}
        assert found_studies(index, (tag, SingleValue(literal))) == {study_uid(1)}


@pytest.mark.parametrize(
    ("match", "studies"),
    [
        (SingleValue("小林^太郎"), {study_uid(1)}),
        (Wildcard("こばやし*"), {study_uid(1)}),
        (SingleValue("=小林^太郎"), {study_uid(1)}),
        (SingleValue("Kobayashi^Taro=小林^太郎"), {study_uid(1)}),
        (Wildcard("koba*==こば*"), {study_uid(1)}),
        (SingleValue("Sato^Taro=小林^太郎"), set()),
    ],
)
@pytest.mark.parametrize("tag", [tags.PATIENT_NAME, tags.REFERRING_PHYSICIAN_NAME])
def test_any_component_group_of_a_name_may_match(
    index: Index, tag: Tag, match: Match, studies: set[str]
) -> None:
    store(index, record(attributes={tag: "Kobayashi^Taro=小林^太郎=こばやし^たろう"}))
    assert found_studies(index, (tag, match)) == studies


def test_a_patient_name_tells_its_component_groups_apart(index: Index) -> None:
    store(index, record(attributes={tags.PATIENT_NAME: "Kobayashi^Taro=小林^太郎"}))
    assert not found_studies(index, (tags.PATIENT_NAME, SingleValue("=Kobayashi^Taro")))


def test_composed_and_decomposed_accents_are_one_name(index: Index) -> None:
    store(index, record(attributes={tags.PATIENT_NAME: "Mu\u0308ller"}))
    assert found_studies(index, (tags.PATIENT_NAME, SingleValue("MÜLLER"))) == {study_uid(1)}


def test_any_of_several_values_matches_and_a_pattern_never_spans_two(index: Index) -> None:
    several = {tags.OTHER_PATIENT_IDS: "AB1\\CD2", tags.OPERATORS_NAME: "Roe^Rob\\Poe^Pat"}
    store(index, record(attributes=several))
    ids = tags.OTHER_PATIENT_IDS
    assert found_studies(index, (ids, SingleValue("CD2")))
    assert found_studies(index, (ids, Wildcard("CD*")))
    assert not found_studies(index, (ids, Wildcard("AB*2")))
    assert find(index, Level.SERIES, (tags.OPERATORS_NAME, Wildcard("poe^*")))


def test_integers_match_by_value(index: Index) -> None:
    store(index, record(attributes={tags.SERIES_NUMBER: "007"}))
    assert find(index, Level.SERIES, (tags.SERIES_NUMBER, SingleValue("7")))


@pytest.mark.parametrize(
    ("low", "high", "answers"),
    [
        ("20240115101530.000000", "20240115101530.999999", 1),
        ("20240114230000.000000", "20240116010000.999999", 1),
        ("20240115101531.000000", None, 0),
        (None, "20240115101529.999999", 0),
        (None, "20240115101530.999999", 1),
    ],
)
def test_date_and_time_match_as_one_moment(
    index: Index, low: str | None, high: str | None, answers: int
) -> None:
    performed = {
        tags.PERFORMED_PROCEDURE_STEP_START_DATE: "20240115",
        tags.PERFORMED_PROCEDURE_STEP_START_TIME: "101530",
    }
    store(index, record(attributes=performed))
    study = DateTimeRange(tags.STUDY_DATE, tags.STUDY_TIME, low, high)
    assert len(find(index, Level.STUDY, combined=[study])) == answers
    date, time = performed
    step = DateTimeRange(date, time, low, high)
    assert len(find(index, Level.SERIES, combined=[step])) == answers


def test_an_open_range_does_not_match_an_absent_date(index: Index) -> None:
    store(index, record(attributes={tags.STUDY_DATE: "", tags.STUDY_TIME: ""}))
    assert not found_studies(index, (tags.STUDY_DATE, Range(None, "20991231")))
    both = DateTimeRange(tags.STUDY_DATE, tags.STUDY_TIME, None, "20991231235959.999999")
    assert not find(index, Level.STUDY, combined=[both])


def test_counts_and_sets_follow_what_is_stored(index: Index) -> None:
    store(index, record(1, 1, 1), record(1, 1, 2), record(2, 1))
    store(index, record(1, 2, modality="MR", sop_class=MR))
    [patient] = find(
        index,
        Level.PATIENT,
        returns=[
            tags.NUMBER_OF_PATIENT_RELATED_STUDIES,
            tags.NUMBER_OF_PATIENT_RELATED_SERIES,
            tags.NUMBER_OF_PATIENT_RELATED_INSTANCES,
        ],
    )
    assert list(patient.values()) == ["2", "3", "4"]
    study_counts = [
        tags.MODALITIES_IN_STUDY,
        tags.SOP_CLASSES_IN_STUDY,
        tags.NUMBER_OF_STUDY_RELATED_SERIES,
        tags.NUMBER_OF_STUDY_RELATED_INSTANCES,
    ]
    [study] = find(
        index, Level.STUDY, (tags.STUDY_INSTANCE_UID, SingleValue(study_uid(1))), returns=study_counts
    )
    assert list(study.values()) == ["CT\\MR", f"{CT}\\{MR}", "2", "3"]
    [series] = find(
        index,
        Level.SERIES,
        (tags.SERIES_INSTANCE_UID, SingleValue(series_uid(1, 1))),
        returns=[tags.NUMBER_OF_SERIES_RELATED_INSTANCES],
    )
    assert list(series.values()) == ["2"]


def test_more_matches_than_the_limit_are_an_error_after_the_last_allowed(index: Index) -> None:
    store(index, *(record(number) for number in range(5)))
    query = Query(Root.STUDY, Level.STUDY, (), (tags.STUDY_INSTANCE_UID,))
    assert len(list(index.search(FIND, query, 5))) == 5
    answers = index.search(FIND, query, 4)
    assert len([next(answers) for _ in range(4)]) == 4
    with pytest.raises(OutOfResources):
        next(answers)


def test_long_answers_stream_whole(index: Index) -> None:
    store(index, *(record(number) for number in range(600)))
    query = Query(Root.STUDY, Level.STUDY, (), (tags.STUDY_INSTANCE_UID,))
    answers = {found.attributes[tags.STUDY_INSTANCE_UID] for found in index.search(FIND, query, 1000)}
    assert answers == {study_uid(number) for number in range(600)}


@pytest.mark.parametrize(
    ("tag", "match"),
    [
        (tags.MODALITY, SingleValue("CT")),
        (0x00091001, SingleValue("x")),
        (tags.NUMBER_OF_STUDY_RELATED_SERIES, SingleValue("1")),
        (tags.PATIENT_NAME, Range("a", "b")),
    ],
)
def test_keys_that_cannot_match_at_study_level_are_refused_at_once(
    index: Index, tag: Tag, match: Match
) -> None:
    with pytest.raises(IdentifierMismatch):
        index.search(FIND, Query(Root.STUDY, Level.STUDY, ((tag, match),), ()), 10)


def test_only_a_date_and_a_time_are_one_moment(index: Index) -> None:
    twice = DateTimeRange(tags.STUDY_DATE, tags.STUDY_DATE, None, None)
    with pytest.raises(IdentifierMismatch):
        find(index, Level.STUDY, combined=[twice])


# --- scope -------------------------------------------------------------------------------------


@pytest.fixture
def two_studies(index: Index) -> Index:
    """Study 1: CT and MR, label night. Study 2: CT. One patient."""
    store(index, record(1, 1), record(1, 2, modality="MR", sop_class=MR), record(2, 1))
    with index.transaction() as transaction:
        assert transaction.label_study(permit(Verb.MANAGE), study_uid(1), "night")
        transaction.label_study(permit(Verb.MANAGE), study_uid(1), "night")
        assert not transaction.label_study(permit(Verb.MANAGE), study_uid(9), "night")
    return index


NIGHT = Scope((ScopeFilter(labels=frozenset({"night"})),))
ONLY_MR = Scope((ScopeFilter(modalities=frozenset({"MR"})),))
NIGHT_CT = Scope((ScopeFilter(labels=frozenset({"night"}), modalities=frozenset({"CT"})),))
NO_LABEL_WILL_DO = Scope((ScopeFilter(labels=frozenset()),))
MR_OR_NIGHT = Scope((*ONLY_MR.alternatives, *NIGHT.alternatives))


@pytest.mark.parametrize(
    ("scope", "sizes"),
    [
        (NOTHING, (0, 0, 0, 0)),
        (NO_LABEL_WILL_DO, (0, 0, 0, 0)),
        (NIGHT, (1, 1, 2, 2)),
        (ONLY_MR, (1, 1, 1, 1)),
        (NIGHT_CT, (1, 1, 1, 1)),
        (MR_OR_NIGHT, (1, 1, 2, 2)),
        (Scope((*ONLY_MR.alternatives, ScopeFilter())), (1, 2, 3, 3)),
    ],
)
def test_no_search_or_retrieval_reaches_beyond_the_scope(
    two_studies: Index, scope: Scope, sizes: tuple[int, ...]
) -> None:
    found = tuple(len(find(two_studies, level, using=permit(Verb.FIND, scope))) for level in Level)
    assert found == sizes
    keys = of_studies(study_uid(1), study_uid(2))
    assert len(located(two_studies, keys, permit(Verb.GET, scope))) == sizes[-1]


@pytest.mark.parametrize("match", [SingleValue("CT"), UidList(("CT", "MR")), Wildcard("*")])
def test_a_study_of_several_matching_series_is_answered_once(two_studies: Index, match: Match) -> None:
    for scope in (EVERYTHING, NIGHT, MR_OR_NIGHT):
        asked = (tags.MODALITIES_IN_STUDY, match)
        answers = find(
            two_studies,
            Level.STUDY,
            asked,
            (tags.PATIENT_ID, UidList(("P1", "P2"))),
            (tags.SOP_CLASSES_IN_STUDY, UidList((CT, MR))),
            returns=[tags.STUDY_INSTANCE_UID],
            using=permit(Verb.FIND, scope),
        )
        assert len(answers) == (2 if scope is EVERYTHING else 1)


def test_counts_and_sets_do_not_betray_what_the_scope_hides(two_studies: Index) -> None:
    using = permit(Verb.FIND, ONLY_MR)
    patient_counts = [
        tags.NUMBER_OF_PATIENT_RELATED_STUDIES,
        tags.NUMBER_OF_PATIENT_RELATED_SERIES,
        tags.NUMBER_OF_PATIENT_RELATED_INSTANCES,
    ]
    [patient] = find(two_studies, Level.PATIENT, returns=patient_counts, using=using)
    assert list(patient.values()) == ["1", "1", "1"]
    study_counts = [
        tags.MODALITIES_IN_STUDY,
        tags.SOP_CLASSES_IN_STUDY,
        tags.NUMBER_OF_STUDY_RELATED_SERIES,
        tags.NUMBER_OF_STUDY_RELATED_INSTANCES,
    ]
    [study] = find(two_studies, Level.STUDY, returns=study_counts, using=using)
    assert list(study.values()) == ["MR", MR, "1", "1"]
    assert not found_studies(two_studies, (tags.MODALITIES_IN_STUDY, SingleValue("CT")), using=using)
    assert not found_studies(two_studies, (tags.SOP_CLASSES_IN_STUDY, SingleValue(CT)), using=using)


@pytest.fixture
def of_two_senders(index: Index) -> Index:
    """Study 1, of 2024: two CT of ct1, in the same series one MR of ws1. Study 2, undated: a CT of us1."""
    undated = record(2, attributes={tags.STUDY_DATE: ""})
    sent = [
        ("ct1", record(1, 1, 1)),
        ("ct1", record(1, 1, 2)),
        ("ws1", record(1, 1, 3, sop_class=MR)),
        ("us1", undated),
    ]
    with index.transaction() as transaction:
        transaction.insert_many(
            [(STORE, replace(new_instance(each), received_from=sender)) for sender, each in sent]
        )
    return index


def by_filter(**filters: object) -> Scope:
    return Scope((ScopeFilter(**filters),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scope", "sizes"),
    [
        (by_filter(senders=frozenset({"ws1"})), (1, 1, 1, 1)),
        (by_filter(senders=frozenset({"ct1", "us1"})), (1, 2, 2, 3)),
        (by_filter(senders=frozenset({"nobody"})), (0, 0, 0, 0)),
        (by_filter(sop_classes=frozenset({MR})), (1, 1, 1, 1)),
        (by_filter(sop_classes=frozenset({CT}), senders=frozenset({"ws1"})), (0, 0, 0, 0)),
        (by_filter(studies=frozenset({study_uid(2)})), (1, 1, 1, 1)),
        (by_filter(studied_from=date(2024, 1, 15)), (1, 1, 1, 3)),
        (by_filter(studied_from=date(2024, 1, 16)), (0, 0, 0, 0)),
        (by_filter(studied_to=date(2024, 1, 15)), (1, 1, 1, 3)),
        (by_filter(studied_to=date(2024, 1, 14)), (0, 0, 0, 0)),
        (by_filter(shows=frozenset({"StudyDate"})), (1, 2, 2, 4)),
    ],
)
def test_scope_by_sender_class_study_and_date_reaches_no_further(
    of_two_senders: Index, scope: Scope, sizes: tuple[int, ...]
) -> None:
    found = tuple(len(find(of_two_senders, level, using=permit(Verb.FIND, scope))) for level in Level)
    assert found == sizes
    keys = of_studies(study_uid(1), study_uid(2))
    assert len(located(of_two_senders, keys, permit(Verb.GET, scope))) == sizes[-1]


@pytest.mark.parametrize("unreadable", ["2024.1.1", "20240115\\20240116", "9ABCDEFG", "2024011", "٢٠٢٤٠١١٥"])
def test_date_that_cannot_be_read_is_on_neither_side_of_any_day(index: Index, unreadable: str) -> None:
    store(index, record(1, attributes={tags.STUDY_DATE: unreadable}))
    for scope in (by_filter(studied_from=date.min), by_filter(studied_to=date.max)):
        assert not find(index, Level.STUDY, using=permit(Verb.FIND, scope))
    [found] = index.locate(GET, of_studies(study_uid(1)))
    assert found.study_date is None


def test_counts_and_sets_do_not_betray_the_instances_that_the_scope_hides(of_two_senders: Index) -> None:
    using = permit(Verb.FIND, by_filter(senders=frozenset({"ws1"})))
    counts = [
        tags.NUMBER_OF_PATIENT_RELATED_STUDIES,
        tags.NUMBER_OF_PATIENT_RELATED_INSTANCES,
        tags.SOP_CLASSES_IN_STUDY,
        tags.NUMBER_OF_STUDY_RELATED_INSTANCES,
        tags.NUMBER_OF_SERIES_RELATED_INSTANCES,
    ]
    [answer] = find(of_two_senders, Level.SERIES, returns=counts, using=using)
    assert list(answer.values()) == ["1", "1", MR, "1", "1"]
    assert not found_studies(of_two_senders, (tags.SOP_CLASSES_IN_STUDY, SingleValue(CT)), using=using)
    assert found_studies(of_two_senders, (tags.SOP_CLASSES_IN_STUDY, SingleValue(MR)), using=using)


def test_located_instances_know_their_sender_and_the_study_s_date(of_two_senders: Index) -> None:
    found = of_two_senders.locate(GET, of_studies(study_uid(1), study_uid(2)))
    assert [(each.sender, each.study_date) for each in found] == [
        ("ct1", date(2024, 1, 15)),
        ("ct1", date(2024, 1, 15)),
        ("ws1", date(2024, 1, 15)),
        ("us1", None),
    ]


SEEN = [
    tags.PATIENT_NAME,
    tags.STUDY_INSTANCE_UID,
    tags.STUDY_DATE,
    tags.MODALITIES_IN_STUDY,
    tags.NUMBER_OF_STUDY_RELATED_SERIES,
]


def test_what_is_not_shown_comes_back_empty(two_studies: Index) -> None:
    using = permit(Verb.FIND, by_filter(labels=frozenset({"night"}), shows=frozenset({"StudyDate"})))
    [answer] = find(two_studies, Level.STUDY, returns=SEEN, using=using)
    assert list(answer.values()) == ["", study_uid(1), "20240115", "", ""]


def test_row_shows_all_that_any_rule_which_reaches_it_shows(two_studies: Index) -> None:
    dates = ScopeFilter(shows=frozenset({"StudyDate"}))
    names = ScopeFilter(labels=frozenset({"night"}), shows=frozenset({"PatientName"}))
    using = permit(Verb.FIND, Scope((dates, names)))
    answers = find(two_studies, Level.STUDY, returns=SEEN[:3], using=using)
    assert sorted(tuple(each.values()) for each in answers) == [
        ("", study_uid(2), "20240115"),
        ("Doe^Jane", study_uid(1), "20240115"),
    ]
    whole = permit(Verb.FIND, Scope((dates, ScopeFilter(labels=frozenset({"night"})))))
    answers = find(two_studies, Level.STUDY, returns=SEEN[:1], using=whole)
    assert sorted(each[tags.PATIENT_NAME] for each in answers) == ["", "Doe^Jane"]


def test_located_instances_carry_their_study_s_labels(two_studies: Index) -> None:
    labels = {
        each.study: each.labels for each in two_studies.locate(GET, of_studies(*map(study_uid, (1, 2))))
    }
    assert labels == {study_uid(1): {"night"}, study_uid(2): frozenset()}


# --- locating and inventory ----------------------------------------------------------------------


def test_located_instances_come_by_series_then_instance_number(index: Index) -> None:
    store(index, record(1, 2, 1), record(1, 1, 10), record(1, 1, 9))
    assert located(index, of_studies(study_uid(1))) == [
        instance_uid(1, 1, 9),
        instance_uid(1, 1, 10),
        instance_uid(1, 2, 1),
    ]


def of_patient(issuer: str | None = None) -> RetrieveKeys:
    return RetrieveKeys(Level.PATIENT, "P1", (), (), (), issuer)


def by(issuer: str) -> dict[Tag, str]:
    return {tags.ISSUER_OF_PATIENT_ID: issuer}


def test_one_number_of_two_issuers_is_refused_until_one_is_named(index: Index) -> None:
    store(index, record(1, attributes=by("NORTH")), record(2, attributes=by("SOUTH")))
    with pytest.raises(PatientAmbiguous):
        index.locate(GET, of_patient())
    with pytest.raises(PatientAmbiguous):
        index.locate(GET, RetrieveKeys(Level.STUDY, "P1", (study_uid(1), study_uid(2)), (), ()))
    assert located(index, of_patient("SOUTH")) == [instance_uid(2, 1, 1)]
    assert located(index, of_patient("EAST")) == []
    assert located(index, RetrieveKeys(Level.STUDY, "P1", (study_uid(1),), (), ())) == [instance_uid(1, 1, 1)]
    assert len(located(index, of_studies(study_uid(1), study_uid(2)))) == 2


def test_one_number_of_two_sites_is_refused(index: Index) -> None:
    store(index, record(1), using=permit(Verb.STORE, site="north"))
    store(index, record(2, attributes=by("SOUTH")), using=permit(Verb.STORE, site="south"))
    with pytest.raises(PatientAmbiguous):
        index.locate(GET, of_patient())


def test_devices_of_one_site_that_disagree_on_naming_the_issuer_have_one_patient(index: Index) -> None:
    store(index, record(1), record(2, attributes=by("NORTH")))
    assert len(located(index, of_patient())) == 2


def test_what_the_caller_may_not_have_makes_no_number_ambiguous(index: Index) -> None:
    store(index, record(1, attributes=by("NORTH")))
    store(index, record(2, attributes=by("SOUTH"), modality="MR"))
    only_mr = permit(Verb.GET, Scope((ScopeFilter(modalities=frozenset({"MR"})),)))
    assert located(index, of_patient(), only_mr) == [instance_uid(2, 1, 1)]


@pytest.mark.parametrize(
    ("keys", "size"),
    [
        (RetrieveKeys(Level.PATIENT, "P1", (), (), ()), 3),
        (RetrieveKeys(Level.PATIENT, "P2", (), (), ()), 0),
        (RetrieveKeys(Level.SERIES, "P1", (study_uid(1),), (series_uid(1, 1),), ()), 2),
        (RetrieveKeys(Level.SERIES, "P2", (study_uid(1),), (series_uid(1, 1),), ()), 0),
        (
            RetrieveKeys(
                Level.IMAGE, None, (), (), (instance_uid(1, 1, 1), instance_uid(1, 2, 1), Uid("9.9"))
            ),
            2,
        ),
    ],
)
def test_each_key_given_narrows_the_retrieval(index: Index, keys: RetrieveKeys, size: int) -> None:
    store(index, record(1, 1, 1), record(1, 1, 2), record(1, 2, 1))
    assert len(located(index, keys)) == size


@pytest.mark.parametrize("level", list(Level))
def test_a_retrieval_without_its_unique_key_never_means_everything(index: Index, level: Level) -> None:
    with pytest.raises(IdentifierMismatch):
        index.locate(GET, RetrieveKeys(level, None, (), (), ()))


def test_a_located_instance_is_what_was_stored(index: Index) -> None:
    entry = new_instance(record())
    store(index, record())
    [stored] = index.locate(GET, of_studies(study_uid(1)))
    assert (stored.object_id, stored.location, stored.size_bytes, stored.sha256) == (
        entry.object_id,
        entry.location,
        entry.size_bytes,
        entry.sha256,
    )
    assert (stored.sop_class, stored.transfer_syntax, stored.modality) == (CT, EXPLICIT, "CT")


def test_inventory_goes_through_the_segments_in_order_quarantine_included(index: Index) -> None:
    places = [Location("B", 50, 10), Location("A", 900, 100), Location("A", 0, 100)]
    entries = [
        replace(new_instance(record(instance=number)), location=place)
        for number, place in enumerate(places, start=1)
    ]
    with index.transaction() as transaction:
        transaction.insert_many([(STORE, entry) for entry in entries[:2]])
        transaction.quarantine(STORE, entries[2], Conflict.SERIES_OF_ANOTHER_STUDY)
    held = list(index.inventory(CHECK))
    assert [each.stored.location for each in held] == [places[2], places[1], places[0]]
    assert [each.quarantined for each in held] == [Conflict.SERIES_OF_ANOTHER_STUDY, None, None]
    assert index.segment_ends(CHECK) == {"A": 1000, "B": 60}


def test_a_sound_database_has_no_damage(index: Index) -> None:
    store(index, record())
    assert index.damage(CHECK) == []


# --- permits -------------------------------------------------------------------------------------


def test_every_method_refuses_a_permit_for_another_verb(index: Index) -> None:
    wrong = permit(Verb.ECHO)
    entry = new_instance(record())
    with index.transaction() as transaction:
        for attempt in (
            lambda: transaction.existing(wrong, []),
            lambda: transaction.quarantined(wrong, []),
            lambda: transaction.insert(wrong, entry),
            lambda: transaction.insert_many([(STORE, entry), (FIND, entry)]),
            lambda: transaction.quarantine(wrong, entry, Conflict.DIFFERENT_CONTENT),
            lambda: transaction.label_study(wrong, study_uid(1), "x"),
            lambda: transaction.labels(wrong, study_uid(1)),
            lambda: index.labelled(wrong),
            lambda: index.search(wrong, Query(Root.STUDY, Level.STUDY, (), ()), 1),
            lambda: index.locate(FIND, of_studies(study_uid(1))),
            lambda: index.inventory(wrong),
            lambda: index.counts(wrong),
            lambda: index.segment_ends(wrong),
            lambda: index.damage(wrong),
        ):
            with pytest.raises(NotPermitted):
                attempt()
    assert index.counts(CHECK).instances == 0
