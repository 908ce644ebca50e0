"""Queries: answers a few at a time, to the last one, and nothing held afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import QueuePool

from leadglass.archive.query import ANSWERS_PER_CHUNK, Answers, Asked, Finder
from leadglass.dataset.identifier import decode_answer, encode_identifier
from leadglass.model.errors import DatasetInvalid, NotPermitted, OutOfResources
from leadglass.model.event import Outcome
from leadglass.model.names import AETitle, Uid
from leadglass.model.query import Level, Root
from tests.support.archive_rig import CT1, POLICY, WS1, ArchiveRig, archive_rig, ct_images
from tests.support.policies import policy

EXPLICIT = Uid("1.2.840.10008.1.2.1")
COUNT = 600


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveRig]:
    """More instances than the index reads at once."""
    with archive_rig(tmp_path_factory.mktemp("query")) as rig:
        rig.start()
        rig.stored(ct_images(COUNT, rows=1))
        yield rig


def asked(keys: list[tuple[str, str]], level: Level = Level.IMAGE) -> Asked:
    identifier = encode_identifier(level, keys, EXPLICIT)
    return Asked(WS1, "a1", Root.STUDY, identifier, EXPLICIT)


def everything(extra: tuple[tuple[str, str], ...] = ()) -> Asked:
    item = ct_images(1)[0]
    values = {element.keyword: element.text for element in decode_answer(item.dataset, EXPLICIT)}
    upper = [(name, values[name]) for name in ("StudyInstanceUID", "SeriesInstanceUID")]
    return asked([*upper, ("SOPInstanceUID", ""), *extra])


def finder(rig: ArchiveRig, max_answers: int) -> Finder:
    return Finder(rig.gate, rig.index, AETitle("NORTH"), max_answers)


def all_chunks(answers: Answers) -> list[list[bytes]]:
    chunks = []
    while not answers.at_end:
        chunks.append(answers.release(answers.next_chunk()))
    return chunks


def last_answered(rig: ArchiveRig) -> tuple[Outcome, int, str]:
    rig.committer.flush()
    event = rig.audit("query.answered")[-1].event
    return event.outcome, event.count, event.reason


def connections_held(rig: ArchiveRig) -> int:
    rig.committer.flush()  # which holds one while it writes
    pool = rig.engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()


def test_all_answers_come_in_chunks(full: ArchiveRig) -> None:
    answers = finder(full, 1000).begin(everything())
    chunks = all_chunks(answers)
    answers.close("")
    assert {len(chunk) for chunk in chunks[:-1]} == {ANSWERS_PER_CHUNK}
    uids = {element.text for chunk in chunks for one in chunk for element in decode_answer(one, EXPLICIT)}
    assert {item.sop_instance for item in ct_images(COUNT, rows=1)} <= uids
    assert last_answered(full) == (Outcome.DONE, COUNT, "")
    assert answers.all_keys_supported


def test_a_query_without_answers_ends_at_once(full: ArchiveRig) -> None:
    answers = finder(full, 10).begin(asked([("StudyInstanceUID", "1.2.3")], Level.STUDY))
    assert answers.next_chunk() == []
    assert answers.at_end
    answers.close("")
    assert last_answered(full)[1] == 0


def test_a_key_that_cannot_be_matched_is_told(full: ArchiveRig) -> None:
    answers = finder(full, 10).begin(everything((("WindowCenter", "40"),)))
    assert not answers.all_keys_supported
    answers.close("")


@pytest.mark.parametrize("limit", [100, 2 * ANSWERS_PER_CHUNK])
def test_every_answer_up_to_the_limit_goes_out_before_the_refusal(full: ArchiveRig, limit: int) -> None:
    answers = finder(full, limit).begin(everything())
    given = 0
    with pytest.raises(OutOfResources):  # noqa: PT012  at some chunk
        while True:
            given += len(answers.release(answers.next_chunk()))
    assert given == limit
    answers.close("too many")
    assert last_answered(full) == (Outcome.FAILED, limit, "too many")


def test_exactly_as_many_as_the_limit_is_no_failure(full: ArchiveRig) -> None:
    answers = finder(full, COUNT).begin(everything())
    assert sum(map(len, all_chunks(answers))) == COUNT
    answers.close("")


def test_an_abandoned_query_gives_its_connection_back(full: ArchiveRig) -> None:
    answers = finder(full, 1000).begin(everything())
    before = connections_held(full)  # the committer keeps one
    answers.release(answers.next_chunk())
    assert connections_held(full) == before + 1
    answers.close("cancelled")
    assert connections_held(full) == before
    assert last_answered(full) == (Outcome.FAILED, ANSWERS_PER_CHUNK, "cancelled")


def test_who_may_not_find_is_refused_and_recorded(full: ArchiveRig) -> None:
    with pytest.raises(NotPermitted):
        finder(full, 10).begin(replace(everything(), caller=CT1))
    full.committer.flush()
    assert full.audit("operation.find")[-1].event.outcome is Outcome.DENIED


def test_an_identifier_that_cannot_be_read_is_refused_after_the_gate(full: ArchiveRig) -> None:
    with pytest.raises(DatasetInvalid):
        finder(full, 10).begin(replace(everything(), identifier=b"\xff" * 9))
    full.committer.flush()
    assert full.audit("operation.find")[-1].event.outcome is Outcome.ALLOWED


MINIMUM = POLICY.replace('"get", "move"] }', '"get", "move"], show = ["StudyDate", "Modality"] }')


@pytest.fixture
def narrow(full: ArchiveRig) -> Iterator[ArchiveRig]:
    """What ws1 may query shows dates and modalities only."""
    full.gate.replace_policy(policy(MINIMUM))
    yield full
    full.gate.replace_policy(policy(POLICY))


def values_of(rig: ArchiveRig, keys: list[tuple[str, str]], level: Level = Level.STUDY) -> dict[str, str]:
    answers = finder(rig, 10).begin(asked(keys, level))
    [[answer]] = all_chunks(answers)
    answers.close("")
    return {element.keyword: element.text for element in decode_answer(answer, EXPLICIT)}


def test_an_answer_holds_the_minimum_that_the_rule_shows(narrow: ArchiveRig) -> None:
    found = values_of(
        narrow, [("PatientName", ""), ("PatientID", "*"), ("StudyDate", ""), ("StudyInstanceUID", "")]
    )
    assert (found["PatientName"], found["PatientID"]) == ("", "")
    assert found["StudyDate"]
    assert found["StudyInstanceUID"]


@pytest.mark.parametrize(
    ("keys", "level", "named"),
    [
        ([("PatientName", "A*")], Level.STUDY, "PatientName"),
        ([("StudyDate", "20200101-"), ("PatientID", "X")], Level.STUDY, "PatientID"),
    ],
)
def test_a_query_that_matches_on_what_is_not_shown_is_refused_and_recorded(
    narrow: ArchiveRig, keys: list[tuple[str, str]], level: Level, named: str
) -> None:
    with pytest.raises(NotPermitted):
        finder(narrow, 10).begin(asked(keys, level))
    narrow.committer.flush()
    event = narrow.audit("operation.find")[-1].event
    assert event.outcome is Outcome.DENIED
    assert event.reason == f"scope: flows.read.show does not show {named}, so nothing is matched on it"
    assert event.fix == f"add {named} to flows.read.show if that is really needed"


def test_the_key_of_a_level_must_be_shown(narrow: ArchiveRig) -> None:
    patients = replace(asked([("PatientID", "")], Level.PATIENT), root=Root.PATIENT)
    with pytest.raises(NotPermitted):
        finder(narrow, 10).begin(patients)


def test_a_query_on_what_is_shown_is_answered(narrow: ArchiveRig) -> None:
    assert values_of(narrow, [("StudyDate", "19000101-"), ("StudyInstanceUID", "")])["StudyDate"]
