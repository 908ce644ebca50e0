"""Whoever walks through the patients is stopped by the budget of an hour, whatever way they go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.archive.query import Asked
from leadglass.archive.retrieve import Retrieval, Wanted
from leadglass.dataset.identifier import encode_identifier
from leadglass.dataset.synthetic import Modality, SyntheticInstance, SyntheticPatient, synthetic_study
from leadglass.ledger import BUCKET_S, HOUR_S
from leadglass.model.errors import NotPermitted
from leadglass.model.event import Outcome
from leadglass.model.names import AETitle, Uid
from leadglass.model.query import Level, Root
from tests.support.archive_rig import CT1, POLICY, WS1, ArchiveRig, archive_rig
from tests.unit.archive.test_query import all_chunks

EXPLICIT = Uid("1.2.840.10008.1.2.1")
PATIENTS, IMAGES_EACH, BUDGET = 100, 2, 10
READ = 'can = ["echo", "find", "get", "move"]'
SENDS = 'to = "dest", can = ["store"]'
HARVESTED = POLICY.replace(READ, f"{READ}, per_hour = {{ patients = {BUDGET}, objects = 50 }}")


def images_of(number: int, count: int = IMAGES_EACH) -> list[SyntheticInstance]:
    patient = SyntheticPatient(f"Harvest^{number}", f"H{number:03}", "19700101", "O")
    return list(synthetic_study(number, Modality.CT, patient, instances=count, rows=2, columns=2))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveRig]:
    """A hundred patients. Each test begins hours after the one before."""
    folder: Path = tmp_path_factory.mktemp("harvest")
    with archive_rig(folder, policy_text=HARVESTED) as rig:
        rig.start()
        rig.stored([image for number in range(PATIENTS) for image in images_of(number)])
        yield rig


@pytest.fixture(autouse=True)
def another_hour(rig: ArchiveRig) -> None:
    rig.clock.pass_s(HOUR_S + 2 * BUCKET_S)


def find(rig: ArchiveRig, *keys: tuple[str, str]) -> list[bytes]:
    """The answers, where there was no refusal."""
    identifier = encode_identifier(Level.STUDY, [("StudyInstanceUID", ""), *keys], EXPLICIT)
    answers = rig.finder.begin(Asked(WS1, "a1", Root.STUDY, identifier, EXPLICIT))
    try:
        return [one for chunk in all_chunks(answers) for one in chunk]
    finally:
        answers.close("")


def found_before_refusal(rig: ArchiveRig, *keys: tuple[str, str]) -> int:
    identifier = encode_identifier(Level.STUDY, [("StudyInstanceUID", ""), *keys], EXPLICIT)
    answers = rig.finder.begin(Asked(WS1, "a1", Root.STUDY, identifier, EXPLICIT))
    told = 0
    with pytest.raises(NotPermitted, match=f"budget: over {BUDGET} patients"):  # noqa: PT012  at some chunk
        while not answers.at_end:
            told += len(answers.release(answers.next_chunk()))
    answers.close("budget")
    return told


def retrieval(rig: ArchiveRig, number: int, *, to: str = "") -> Retrieval:
    identifier = encode_identifier(Level.PATIENT, [("PatientID", f"H{number:03}")], EXPLICIT)
    wanted = Wanted(WS1, "a1", Root.PATIENT, identifier, EXPLICIT)
    return rig.retriever.begin_move(wanted, AETitle(to)) if to else rig.retriever.begin_get(wanted)


def test_by_wildcard_no_more_is_told_than_the_budget(rig: ArchiveRig) -> None:
    assert found_before_refusal(rig) == BUDGET
    rig.committer.flush()
    event = rig.audit("query.answered")[-1].event
    assert (event.outcome, event.count) == (Outcome.FAILED, BUDGET)
    with pytest.raises(NotPermitted):
        find(rig, ("PatientID", "H000"))


def test_by_ranges_and_partial_names_as_well(rig: ArchiveRig) -> None:
    told = len(find(rig, ("PatientID", "H00?"))) + found_before_refusal(rig, ("PatientID", "H01*"))
    assert told == BUDGET


def test_one_by_one_as_well(rig: ArchiveRig) -> None:
    for number in range(BUDGET):
        assert len(find(rig, ("PatientID", f"H{number:03}"))) == 1
    assert found_before_refusal(rig, ("PatientID", "H050")) == 0
    with pytest.raises(NotPermitted):
        find(rig, ("PatientID", "H051"))


@pytest.mark.parametrize("to", ["", "DEST"])
def test_retrieving_one_by_one_as_well(rig: ArchiveRig, to: str) -> None:
    for number in range(BUDGET):
        each = retrieval(rig, number, to=to)
        assert len(each.permitted(each.locate())) == IMAGES_EACH
    one_more = retrieval(rig, 50, to=to)
    with pytest.raises(NotPermitted, match="over 10 patients"):
        one_more.permitted(one_more.locate())
    again = retrieval(rig, 3, to=to)
    assert len(again.permitted(again.locate())) == IMAGES_EACH


def test_when_the_hour_has_passed_reading_goes_on(rig: ArchiveRig) -> None:
    assert found_before_refusal(rig) == BUDGET
    rig.clock.pass_s(HOUR_S + BUCKET_S)
    assert len(find(rig, ("PatientID", "H09?"))) == BUDGET


def test_what_did_not_go_is_given_back(rig: ArchiveRig) -> None:
    for _ in range(50):
        failing = retrieval(rig, 1, to="DEST")
        failing.permitted(failing.locate())
        failing.close([], IMAGES_EACH, "the destination is down")
    for _ in range(25):
        sent = retrieval(rig, 1)
        sent.close(sent.permitted(sent.locate()), 0, "")
    with pytest.raises(NotPermitted, match="over 50 objects"):
        retrieval(rig, 1)


def test_what_a_destination_may_have_in_an_hour_is_bounded_by_its_flow(tmp_path: Path) -> None:
    text = POLICY.replace(SENDS, f"{SENDS}, per_hour = 5")
    with archive_rig(tmp_path, policy_text=text) as rig:
        rig.start()
        rig.stored([*images_of(1, 5), *images_of(2, 1)])
        whole, more = retrieval(rig, 1, to="DEST"), retrieval(rig, 2, to="DEST")
        sent = whole.permitted(whole.locate())
        assert len(sent) == 5
        with pytest.raises(NotPermitted, match="over 5 objects"):
            more.permitted(more.locate())
        whole.close(sent[:2], 3, "")
        assert len(more.permitted(more.locate())) == 1


def test_where_the_requester_has_no_room_the_destination_loses_none(tmp_path: Path) -> None:
    text = POLICY.replace(SENDS, f"{SENDS}, per_hour = 5").replace(
        READ, f"{READ}, per_hour = {{ objects = 4 }}"
    )
    with archive_rig(tmp_path, policy_text=text) as rig:
        rig.start()
        rig.stored([*images_of(1, 5), *images_of(2, 4)])
        for _ in range(3):
            refused = retrieval(rig, 1, to="DEST")
            with pytest.raises(NotPermitted, match="over 4 objects"):
                refused.permitted(refused.locate())
        allowed = retrieval(rig, 2, to="DEST")
        assert len(allowed.permitted(allowed.locate())) == 4


def test_a_scanner_is_bounded_by_bytes_and_patients_where_its_flow_says_so(tmp_path: Path) -> None:
    scans = 'can = ["echo", "store"]'
    text = POLICY.replace(scans, f'{scans}, per_hour = {{ patients = 2, bytes = "1 MB" }}')
    with archive_rig(tmp_path, policy_text=text) as rig:
        rig.start()
        rig.stored([*images_of(1), *images_of(2), *images_of(1)])
        third, incoming = images_of(3, 1)[0], rig.incoming(images_of(3, 1)[0])
        incoming.fragment(third.dataset)
        with pytest.raises(NotPermitted, match="over 2 patients"):
            incoming.finish(lambda _result: None)
        incoming.abort()
        patient = SyntheticPatient("Harvest^1", "H001", "19700101", "O")
        large = next(synthetic_study(9, Modality.CT, patient, instances=1, rows=1000, columns=512))
        incoming = rig.incoming(large, CT1)
        with pytest.raises(NotPermitted, match="over 1 MB"):  # noqa: PT012  at its end, as a large one is known
            for start in range(0, len(large.dataset), 1 << 16):
                incoming.fragment(large.dataset[start : start + (1 << 16)])
            incoming.finish(lambda _result: None)
        incoming.abort()
        assert rig.ingest.budget.held_bytes == 0
        rig.stored(images_of(2))
