"""Retrievals: what, whether it may go there, in which transfer syntax, and what is recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leadglass.archive.retrieve import Retrieval, Wanted, transfer_syntax_for
from leadglass.dataset.convert import convert
from leadglass.dataset.identifier import decode_answer, encode_identifier
from leadglass.dataset.synthetic import PATIENTS, Modality, SyntheticInstance, synthetic_study
from leadglass.model.action import Verb
from leadglass.model.errors import (
    ConversionImpossible,
    IdentifierMismatch,
    IntegrityBroken,
    MoveDestinationUnknown,
    NotPermitted,
)
from leadglass.model.event import Outcome
from leadglass.model.names import AETitle, Uid
from leadglass.model.permit import NOTHING, issue_permit
from leadglass.model.query import Level, Root
from tests.support.archive_rig import CT1, POLICY, WS1, ArchiveRig, archive_rig, ct_images
from tests.support.policies import policy

EXPLICIT, IMPLICIT = Uid("1.2.840.10008.1.2.1"), Uid("1.2.840.10008.1.2")
JPEG = Uid("1.2.840.10008.1.2.4.50")
IMAGES = ct_images(3)
LABELLED = POLICY.replace(
    'deliver = { from = ["archive"], to = "dest", can = ["store"] }',
    'deliver = { from = ["archive"], to = "dest", can = ["store"], only = "label:night" }',
)


def study_of(item: SyntheticInstance) -> str:
    elements = decode_answer(item.dataset, EXPLICIT)
    return next(one.text for one in elements if one.keyword == "StudyInstanceUID")


STUDY = study_of(IMAGES[0])


def wanted(study: str = STUDY) -> Wanted:
    identifier = encode_identifier(Level.STUDY, [("StudyInstanceUID", study)], EXPLICIT)
    return Wanted(WS1, "a1", Root.STUDY, identifier, EXPLICIT)


SCANNER_WANTS = replace(wanted(), caller=CT1)


def get(rig: ArchiveRig, study: str = STUDY) -> Retrieval:
    return rig.retriever.begin_get(wanted(study))


def move(rig: ArchiveRig, study: str = STUDY) -> Retrieval:
    return rig.retriever.begin_move(wanted(study), AETitle("DEST"))


def label(rig: ArchiveRig, study: str, name: str) -> None:
    manage = rig.permit(Verb.MANAGE)
    with rig.index.transaction() as transaction:
        assert transaction.label_study(manage, Uid(study), name)


@pytest.fixture
def full(running: ArchiveRig) -> ArchiveRig:
    running.stored(IMAGES)
    return running


def test_a_study_is_located_and_read_back_as_it_came(full: ArchiveRig) -> None:
    retrieval = get(full)
    instances = retrieval.locate()
    assert [one.sop_instance for one in instances] == [item.sop_instance for item in IMAGES]
    assert retrieval.permitted(instances) == instances
    came = [b"".join(retrieval.read(one, one.transfer_syntax)) for one in instances]
    assert came == [item.dataset for item in IMAGES]


def test_the_other_uncompressed_syntax_is_made(full: ArchiveRig) -> None:
    retrieval = get(full)
    instance = retrieval.locate()[0]
    limits = full.retriever._convert_limits
    expected = convert(IMAGES[0].dataset, EXPLICIT, IMPLICIT, limits)
    assert b"".join(retrieval.read(instance, IMPLICIT)) == expected


def test_a_conversion_that_nobody_knows_is_refused(full: ArchiveRig) -> None:
    retrieval = get(full)
    with pytest.raises(ConversionImpossible):
        retrieval.read(retrieval.locate()[0], JPEG)


def test_bytes_that_were_tampered_with_are_never_given_out(full: ArchiveRig) -> None:
    retrieval = get(full)
    instance = retrieval.locate()[0]
    path = next((full.folder / "segments").iterdir())
    content = bytearray(path.read_bytes())
    content[instance.location.offset + instance.location.length - 20] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityBroken):
        b"".join(retrieval.read(instance, instance.transfer_syntax))


def test_who_may_not_retrieve_is_refused_and_recorded(full: ArchiveRig) -> None:
    with pytest.raises(NotPermitted):
        full.retriever.begin_get(SCANNER_WANTS)
    with pytest.raises(NotPermitted):
        full.retriever.begin_move(SCANNER_WANTS, AETitle("DEST"))
    full.committer.flush()
    assert full.audit("operation.get")[-1].event.outcome is Outcome.DENIED
    assert full.audit("operation.move")[-1].event.outcome is Outcome.DENIED


def test_a_stranger_cannot_find_out_which_destinations_there_are(full: ArchiveRig) -> None:
    with pytest.raises(NotPermitted):
        full.retriever.begin_move(SCANNER_WANTS, AETitle("NOBODY"))


@pytest.mark.parametrize(
    ("destination", "reason"),
    [
        ("NOBODY", 'zone: no device is named "AE NOBODY", so it lies in no zone'),
        ("MUTE", "device: mute has no address"),
    ],
)
def test_a_destination_without_an_address_is_unknown_and_recorded(
    full: ArchiveRig, destination: str, reason: str
) -> None:
    with pytest.raises(MoveDestinationUnknown):
        full.retriever.begin_move(wanted(), AETitle(destination))
    full.committer.flush()
    refused = full.audit("operation.store")[-1].event
    assert (refused.outcome, refused.reason) == (Outcome.DENIED, reason)


def test_an_identifier_without_its_key_is_refused(full: ArchiveRig) -> None:
    identifier = encode_identifier(Level.STUDY, [("PatientID", "1")], EXPLICIT)
    with pytest.raises(IdentifierMismatch):
        full.retriever.begin_get(replace(wanted(), identifier=identifier))


def test_the_scope_of_the_permit_bounds_what_is_located(full: ArchiveRig) -> None:
    retrieval = get(full)
    permit = retrieval._permit
    nothing = issue_permit(permit.caller, permit.action, NOTHING, who="ws1", rule="test")
    assert full.retriever.locate(nothing, retrieval._keys) == []


def test_a_move_sends_only_what_the_destination_may_have(full: ArchiveRig) -> None:
    other = ct_images(2, seed=5)
    full.stored(other)
    label(full, STUDY, "night")
    full.gate.replace_policy(policy(LABELLED))
    allowed, refused = move(full), move(full, study_of(other[0]))
    assert len(allowed.permitted(allowed.locate())) == len(IMAGES)
    with pytest.raises(NotPermitted):
        refused.permitted(refused.locate())
    both = [*allowed.locate(), *refused.locate()]
    assert [one.study for one in allowed.permitted(both)] == [Uid(STUDY)] * len(IMAGES)
    full.committer.flush()
    line = full.audit("operation.store")[-1].event
    assert (line.outcome, line.target) == (Outcome.DENIED, "dest")


def test_a_move_of_nothing_is_permitted_nothing(full: ArchiveRig) -> None:
    retrieval = move(full, "1.2.3")
    assert retrieval.permitted(retrieval.locate()) == []


def test_what_left_the_archive_is_recorded_study_by_study(full: ArchiveRig) -> None:
    other = ct_images(2, seed=5)
    full.stored(other)
    retrieval = move(full)
    sent = [*retrieval.locate(), *move(full, study_of(other[0])).locate()]
    retrieval.close(sent, 0, "")
    get(full).close([], 2, "")
    get(full).close([], 0, "connection lost")
    full.committer.flush()
    lines = [line.event for line in full.audit("retrieval.sent")]
    assert [(line.study, line.count, line.outcome) for line in lines] == [
        (STUDY, 3, Outcome.DONE),
        (study_of(other[0]), 2, Outcome.DONE),
        ("", 2, Outcome.FAILED),
        ("", 0, Outcome.FAILED),
    ]
    assert [line.target for line in lines] == ["dest", "dest", "ws1", "ws1"]
    assert [line.reason for line in lines] == ["", "", "sub-operations failed", "connection lost"]


@pytest.mark.parametrize(
    ("stored", "accepted", "expected"),
    [
        (EXPLICIT, [IMPLICIT, EXPLICIT], EXPLICIT),
        (EXPLICIT, [IMPLICIT], IMPLICIT),
        (IMPLICIT, [JPEG, EXPLICIT], EXPLICIT),
        (JPEG, [EXPLICIT, JPEG], JPEG),
    ],
)
def test_its_own_syntax_goes_first_then_a_conversion(
    full: ArchiveRig, stored: Uid, accepted: list[Uid], expected: Uid
) -> None:
    instance = replace(get(full).locate()[0], transfer_syntax=stored)
    assert transfer_syntax_for(instance, accepted) == expected


@pytest.mark.parametrize(
    ("stored", "accepted"), [(JPEG, [EXPLICIT, IMPLICIT]), (EXPLICIT, [JPEG]), (JPEG, [])]
)
def test_no_syntax_in_common_is_said(full: ArchiveRig, stored: Uid, accepted: list[Uid]) -> None:
    instance = replace(get(full).locate()[0], transfer_syntax=stored)
    with pytest.raises(ConversionImpossible):
        transfer_syntax_for(instance, accepted)


def test_an_object_without_modality_meets_no_condition_on_it(running: ArchiveRig) -> None:
    limited = POLICY.replace("makes = [], address", 'makes = ["MR"], address')
    with archive_rig(running.folder / "limited", policy_text=limited) as rig:
        rig.start()
        rig.stored(IMAGES)
        mr = next(synthetic_study(3, Modality.MR, PATIENTS[1], instances=1, rows=2, columns=2))
        assert mr.sop_class != IMAGES[0].sop_class
        retrieval = move(rig)
        instance = replace(retrieval.locate()[0], modality="")
        retrieval.permitted([instance])  # an outgoing store has no such condition: the device is no maker
