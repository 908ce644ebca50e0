"""What leaves the archive without identity, by whose rule, and what the trail says of it."""

from __future__ import annotations

import pytest

from leadglass.archive.retrieve import Retrieval, Wanted
from leadglass.dataset.identifier import decode_answer, encode_identifier
from leadglass.dataset.synthetic import PATIENTS, Modality, SyntheticInstance, synthetic_study
from leadglass.model.errors import NotDeidentifiable, NotPermitted
from leadglass.model.event import Outcome
from leadglass.model.instance import StoredInstance
from leadglass.model.names import AETitle, Uid
from leadglass.model.query import Level, Root
from tests.support.archive_rig import POLICY, WS1, ArchiveRig, ct_images
from tests.support.policies import policy

EXPLICIT, IMPLICIT = Uid("1.2.840.10008.1.2.1"), Uid("1.2.840.10008.1.2")
BARE = POLICY.replace('"find", "get", "move"] }', '"find", "get", "move"], deid = "basic" }')
BARE_OUT = POLICY.replace('to = "dest", can = ["store"] }', 'to = "dest", can = ["store"], deid = "basic" }')
IMAGES = ct_images(3)


def text_of(dataset: bytes, syntax: Uid, keyword: str) -> str:
    return next((one.text for one in decode_answer(dataset, syntax) if one.keyword == keyword), "")


STUDY = text_of(IMAGES[0].dataset, EXPLICIT, "StudyInstanceUID")
PATIENT_ID = text_of(IMAGES[0].dataset, EXPLICIT, "PatientID")


def wanted(study: str = STUDY, *others: tuple[str, str]) -> Wanted:
    identifier = encode_identifier(Level.STUDY, [("StudyInstanceUID", study), *others], EXPLICIT)
    return Wanted(WS1, "a1", Root.PATIENT if others else Root.STUDY, identifier, EXPLICIT)


def full(rig: ArchiveRig, text: str, images: list[SyntheticInstance] = IMAGES) -> ArchiveRig:
    rig.stored(images)
    rig.gate.replace_policy(policy(text))
    return rig


def read(retrieval: Retrieval, instance: StoredInstance, syntax: Uid = EXPLICIT) -> bytes:
    return b"".join(retrieval.read(instance, syntax))


def sent_lines(rig: ArchiveRig) -> list[tuple[Outcome, int, str]]:
    rig.committer.flush()
    return [(line.event.outcome, line.event.count, line.event.reason) for line in rig.audit("retrieval.sent")]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_get_reads_without_identity_in_whatever_syntax(running: ArchiveRig, syntax: Uid) -> None:
    retrieval = full(running, BARE).retriever.begin_get(wanted())
    instances = retrieval.permitted(retrieval.locate())
    for instance in instances:
        dataset = read(retrieval, instance, syntax)
        assert text_of(dataset, syntax, "PatientID").startswith("ANON-")
        assert text_of(dataset, syntax, "StudyInstanceUID") == STUDY
        assert PATIENT_ID.encode() not in dataset
    retrieval.close(instances, 0, "")
    assert sent_lines(running) == [(Outcome.DONE, 3, "de-identified, by flow read")]


def test_retrieval_by_number_is_refused_and_recorded(running: ArchiveRig) -> None:
    retriever = full(running, BARE).retriever
    by_number = wanted(STUDY, ("PatientID", PATIENT_ID))
    with pytest.raises(NotPermitted):
        retriever.begin_get(by_number)
    with pytest.raises(NotPermitted):
        retriever.begin_move(by_number, AETitle("DEST"))
    running.committer.flush()
    for verb in ("get", "move"):
        event = running.audit(f"operation.{verb}")[-1].event
        assert event.outcome is Outcome.DENIED
        assert event.reason == "scope: flows.read.deid does not tell PatientID, so nothing is matched on it"


def test_move_goes_without_identity_where_the_destination_s_rule_says_so(running: ArchiveRig) -> None:
    retrieval = full(running, BARE_OUT).retriever.begin_move(
        wanted(STUDY, ("PatientID", PATIENT_ID)), AETitle("DEST")
    )
    instances = retrieval.permitted(retrieval.locate())
    assert text_of(read(retrieval, instances[0]), EXPLICIT, "PatientID").startswith("ANON-")
    retrieval.close(instances, 0, "")
    assert sent_lines(running) == [(Outcome.DONE, 3, "de-identified, by flow deliver")]


def test_get_stays_whole_where_only_a_destination_is_bound(running: ArchiveRig) -> None:
    retrieval = full(running, BARE_OUT).retriever.begin_get(wanted())
    (first, *_) = retrieval.locate()
    assert read(retrieval, first) == IMAGES[0].dataset


def test_another_rule_gives_its_objects_whole(running: ArchiveRig) -> None:
    text = f'{BARE}ct = {{ from = ["ws1"], to = "archive", can = ["get"], only = "modality:CT" }}\n'
    retrieval = full(running, text).retriever.begin_get(wanted())
    instances = retrieval.locate()
    assert read(retrieval, instances[0]) == IMAGES[0].dataset
    retrieval.close(instances, 0, "")
    assert sent_lines(running) == [(Outcome.DONE, 3, "")]


def test_what_cannot_be_made_safe_is_not_read_and_the_trail_says_why(running: ArchiveRig) -> None:
    images = list(synthetic_study(9, Modality.US, PATIENTS[1], instances=2, rows=4, columns=4))
    study = text_of(images[0].dataset, EXPLICIT, "StudyInstanceUID")
    all_makes = BARE.replace('makes = ["CT"]', 'makes = ["CT", "US"]')
    running.gate.replace_policy(policy(all_makes))
    retrieval = full(running, all_makes, images).retriever.begin_get(wanted(study))
    for instance in retrieval.locate():
        with pytest.raises(NotDeidentifiable):
            next(retrieval.read(instance, EXPLICIT))
    retrieval.close([], 3, "")
    why = "its kind often has text in the pixels, and it does not say that it has none (0028,0301)"
    assert sent_lines(running) == [
        (Outcome.FAILED, 2, f"not released, for it cannot be de-identified: {why}"),
        (Outcome.FAILED, 1, "sub-operations failed"),
    ]


def test_a_whole_rule_without_room_never_turns_into_one_without_identity(running: ArchiveRig) -> None:
    """What was permitted whole, and no longer fits the hour of that rule, is refused: not sent otherwise."""
    text = POLICY.replace('to = "dest", can = ["store"] }', 'to = "dest", can = ["store"], per_hour = 2 }')
    text += 'bare = { from = ["archive"], to = "dest", can = ["store"], deid = "basic" }\n'
    retrieval = full(running, text).retriever.begin_move(wanted(), AETitle("DEST"))
    with pytest.raises(NotPermitted):
        retrieval.permitted(retrieval.locate())
