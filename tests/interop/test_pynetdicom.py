"""pynetdicom as a user: negotiation, C-ECHO, C-STORE and C-FIND, over both transports."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage
from pynetdicom import build_role
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

from leadglass.protocol.services import PATIENT_ROOT_FIND, STUDY_ROOT_FIND, VERIFICATION
from tests.support.clinic import Clinic
from tests.support.datasets import differences, read
from tests.support.pynetdicom_peer import CLASSES, SUCCESS, Pynetdicom, identifier, of_study
from tests.support.studies import GERMAN, single

PENDING, CANCELLED, CANNOT_UNDERSTAND = 0xFF00, 0xFE00, 0xC000
REJECTED_BY_USER, UNKNOWN_ABSTRACT_SYNTAX = 1, 3
MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"
WORKERS = 10


@pytest.fixture(params=["mtls", "plaintext"])
def sender(request: pytest.FixtureRequest, clinic: Clinic) -> Pynetdicom:
    """A device that echoes and stores, and nothing else."""
    return clinic.pynetdicom("ct1" if request.param == "mtls" else "us1")


@pytest.fixture(params=["mtls", "plaintext"])
def reader(request: pytest.FixtureRequest, clinic: Clinic) -> Pynetdicom:
    """A workstation."""
    return clinic.pynetdicom("ws1" if request.param == "mtls" else "oldws")


def statuses(responses: Iterator[tuple[Dataset, Dataset | None]]) -> list[int]:
    return [int(status.Status) for status, _ in responses]


def test_echo(sender: Pynetdicom) -> None:
    with sender.association([VERIFICATION]) as association:
        assert association.send_c_echo().Status == SUCCESS


def test_what_is_not_offered_and_what_is_not_permitted_are_told_apart(sender: Pynetdicom) -> None:
    with sender.association([VERIFICATION, MODALITY_WORKLIST, STUDY_ROOT_FIND]) as association:
        rejected = {str(each.abstract_syntax): each.result for each in association.rejected_contexts}
    assert rejected == {
        MODALITY_WORKLIST: UNKNOWN_ABSTRACT_SYNTAX,
        STUDY_ROOT_FIND: REJECTED_BY_USER,
    }


@pytest.mark.parametrize(
    ("proposed", "answered"),
    [((0, 0), (16, 1)), ((64, 64), (16, 1)), ((4, 1), (4, 1)), ((1, 1), (1, 1))],
)
def test_the_asynchronous_operations_window_is_narrowed_never_widened(
    sender: Pynetdicom, proposed: tuple[int, int], answered: tuple[int, int]
) -> None:
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = proposed
    with sender.association([VERIFICATION], items=[window]) as association:
        assert association.acceptor.asynchronous_operations == answered
        assert association.send_c_echo().Status == SUCCESS


def test_without_a_proposal_no_window_is_answered(sender: Pynetdicom) -> None:
    with sender.association([VERIFICATION]) as association:
        items = association.acceptor.user_information
    assert not any(isinstance(item, AsynchronousOperationsWindowNegotiation) for item in items)


def test_extended_negotiation_and_user_identity_do_not_disturb(sender: Pynetdicom) -> None:
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = CTImageStorage, b"\x02\x00\x03"
    common = SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = MRImageStorage, "1.2.840.10008.4.2"
    user = UserIdentityNegotiation()
    user.user_identity_type, user.primary_field, user.secondary_field = 2, b"alice", b"open sesame"
    user.positive_response_requested = True
    with sender.association([VERIFICATION, *CLASSES], items=[extended, common, user]) as association:
        assert len(association.accepted_contexts) == 3
        assert association.send_c_echo().Status == SUCCESS


@pytest.mark.parametrize(
    ("device", "proposed", "granted"),
    [
        ("ws1", (False, True), (False, True)),
        ("ws1", (True, True), (True, True)),
        ("us1", (True, True), (True, False)),
        ("us1", (True, False), (True, False)),
    ],
)
def test_the_storage_role_is_what_the_policy_permits(
    clinic: Clinic, device: str, proposed: tuple[bool, bool], granted: tuple[bool, bool]
) -> None:
    """``ws1`` may store, by its zone, and get; ``us1`` may store only."""
    role = build_role(CTImageStorage, scu_role=proposed[0], scp_role=proposed[1])
    with clinic.pynetdicom(device).association([CTImageStorage], items=[role]) as association:
        (context,) = association.accepted_contexts
    assert (context.as_scu, context.as_scp) == granted


def test_what_is_stored_comes_back(clinic: Clinic, sender: Pynetdicom, reader: Pynetdicom, out: Path) -> None:
    """Every pair of transports: both ends do not speak the same."""
    number = 300 + 2 * (sender.credentials is None) + (reader.credentials is None)
    study = single(number, ("CT", 2), ("MR", 1))
    sent = [read(path) for path in study.write(out)]
    with sender.association(CLASSES) as association:
        assert [association.send_c_store(dataset).Status for dataset in sent] == [SUCCESS] * 3
    came = {dataset.SOPInstanceUID: dataset for dataset in reader.get(of_study(study)).came}
    assert len(came) == 3
    for dataset in sent:
        assert differences(dataset, came[dataset.SOPInstanceUID]) == []


def test_a_refused_object_does_not_end_the_association(sender: Pynetdicom, out: Path) -> None:
    (path,) = single(305).write(out)
    dataset = read(path)
    study = dataset.StudyInstanceUID
    with sender.association(CLASSES) as association:
        del dataset.StudyInstanceUID
        answer = association.send_c_store(dataset)
        assert (answer.Status, answer.ErrorComment) == (CANNOT_UNDERSTAND, "Cannot understand.")
        dataset.StudyInstanceUID = study
        assert association.send_c_store(dataset).Status == SUCCESS


def test_ten_associations_store_side_by_side(clinic: Clinic, out: Path) -> None:
    """DCMTK stores: threads of pynetdicom lose answers to its own reactor when they come fast."""
    folders = [single(310 + number, ("CT", 5)).write(out / str(number)) for number in range(WORKERS)]
    with ThreadPoolExecutor(WORKERS) as pool:
        for ran in pool.map(clinic.scanner.store, folders):
            ran.require()
    for number in range(WORKERS):
        assert len(clinic.pynetdicom("ws1").get(of_study(single(310 + number))).came) == 5


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("model", [STUDY_ROOT_FIND, PATIENT_ROOT_FIND], ids=["study root", "patient root"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_find(reader: Pynetdicom, model: str, syntax: str) -> None:
    query = identifier("STUDY", StudyInstanceUID="", PatientID="LAT1", PatientName="", StudyDescription="")
    query.SpecificCharacterSet = "ISO_IR 192"
    with reader.association([model], transfer_syntax=syntax) as association:
        answers = list(association.send_c_find(query, model))
    assert [status.Status for status, _ in answers] == [PENDING, SUCCESS]
    found = answers[0][1]
    assert found is not None
    assert (found.StudyInstanceUID, str(found.PatientName)) == (GERMAN.uid, GERMAN.patient_name)
    assert found.StudyDescription == GERMAN.description


@pytest.mark.usefixtures("files")
def test_after_a_cancelled_find_the_association_goes_on(reader: Pynetdicom) -> None:
    """The cancel may come after the last answer; then the query has simply ended."""
    query = identifier("STUDY", StudyInstanceUID="")
    with reader.association([STUDY_ROOT_FIND]) as association:
        responses = association.send_c_find(query, STUDY_ROOT_FIND, msg_id=7)
        next(responses)
        association.send_c_cancel(7, query_model=STUDY_ROOT_FIND)
        assert statuses(responses)[-1] in {CANCELLED, SUCCESS}
        assert statuses(association.send_c_find(query, STUDY_ROOT_FIND))[-1] == SUCCESS
