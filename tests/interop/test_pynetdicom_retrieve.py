"""pynetdicom as a user of C-GET and C-MOVE, and as the destination: counts, warnings and failed lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage

from leadglass.protocol.services import PATIENT_ROOT_GET, STUDY_ROOT_GET
from tests.support.clinic import Clinic
from tests.support.datasets import differences, read
from tests.support.pynetdicom_peer import (
    SUCCESS,
    Pynetdicom,
    Retrieved,
    destination,
    identifier,
    of_study,
)
from tests.support.studies import GERMAN, JANE_HEAD, JANE_KNEE

PENDING, INCOMPLETE = 0xFF00, 0xB000
NOT_AUTHORIZED, NO_DESTINATION, SUBOPERATIONS_REFUSED = 0x0124, 0xA801, 0xA702
COUNTED = [*((PENDING, 5 - done, done) for done in range(1, 5)), (SUCCESS, None, 5)]

pytestmark = pytest.mark.usefixtures("files")


@pytest.fixture(params=["mtls", "plaintext"])
def reader(request: pytest.FixtureRequest, clinic: Clinic) -> Pynetdicom:
    """A workstation."""
    return clinic.pynetdicom("ws1" if request.param == "mtls" else "oldws")


# C-GET


def test_get_counts_its_suboperations(reader: Pynetdicom) -> None:
    got = reader.get(of_study(GERMAN))
    assert got.counts() == COUNTED
    assert got.uids == sorted(GERMAN.instance_uids)


def test_get_of_a_patient(reader: Pynetdicom) -> None:
    got = reader.get(identifier("PATIENT", PatientID="ASC1"), PATIENT_ROOT_GET)
    assert got.end.Status == SUCCESS
    assert got.uids == sorted(JANE_HEAD.instance_uids + JANE_KNEE.instance_uids)


@pytest.mark.parametrize("max_pdu_bytes", [0, 128, 4096, 16382, 1 << 20])
def test_whatever_pdu_size_a_peer_asks_for_the_bytes_are_the_same(
    reader: Pynetdicom, files: dict[str, Path], max_pdu_bytes: int
) -> None:
    """0 is unlimited."""
    got = reader.get(of_study(JANE_HEAD), max_pdu_bytes=max_pdu_bytes)
    assert len(got.came) == 2
    for dataset in got.came:
        assert differences(read(files[dataset.SOPInstanceUID]), dataset) == []


def test_without_the_storage_role_nothing_can_be_sent(reader: Pynetdicom) -> None:
    got = Retrieved()
    with reader.association([STUDY_ROOT_GET, CTImageStorage]) as association:
        got.read(association.send_c_get(of_study(JANE_HEAD), STUDY_ROOT_GET))
    assert (got.end.Status, got.end.NumberOfFailedSuboperations) == (SUBOPERATIONS_REFUSED, 2)
    assert got.failed == sorted(JANE_HEAD.instance_uids)


def test_a_class_that_was_not_proposed_is_in_the_failed_list(reader: Pynetdicom) -> None:
    got = reader.get(of_study(GERMAN), classes=[CTImageStorage])
    counts = (got.end.NumberOfCompletedSuboperations, got.end.NumberOfFailedSuboperations)
    assert (got.end.Status, counts) == (INCOMPLETE, (3, 2))
    assert got.failed == [GERMAN.instance_uid(2, 1), GERMAN.instance_uid(2, 2)]
    assert got.uids == [GERMAN.instance_uid(1, number) for number in (1, 2, 3)]


def test_what_the_user_refuses_and_warns_of_is_counted(reader: Pynetdicom) -> None:
    refused, warned_of = GERMAN.instance_uids[:2]
    got = reader.get(of_study(GERMAN), answers={refused: 0xA700, warned_of: 0xB000})
    assert got.end.Status == INCOMPLETE
    assert (
        got.end.NumberOfCompletedSuboperations,
        got.end.NumberOfFailedSuboperations,
        got.end.NumberOfWarningSuboperations,
    ) == (3, 1, 1)
    assert got.failed == [refused]


# C-MOVE


def test_move_counts_its_suboperations(clinic: Clinic, reader: Pynetdicom) -> None:
    with destination(clinic.pacs2_port, "PACS2") as received:
        moved = reader.move(of_study(GERMAN), "PACS2")
    assert moved.counts() == COUNTED
    assert sorted(str(dataset.SOPInstanceUID) for dataset in received) == sorted(GERMAN.instance_uids)


def test_what_the_destination_refuses_is_in_the_failed_list(clinic: Clinic, reader: Pynetdicom) -> None:
    refused = GERMAN.instance_uids[:2]
    with destination(clinic.pacs2_port, "PACS2", refused) as received:
        moved = reader.move(of_study(GERMAN), "PACS2")
    counts = (moved.end.NumberOfCompletedSuboperations, moved.end.NumberOfFailedSuboperations)
    assert (moved.end.Status, counts) == (INCOMPLETE, (3, 2))
    assert moved.failed == sorted(refused)
    assert len(received) == 3


def test_a_destination_that_is_down_fails_everything_by_name(reader: Pynetdicom) -> None:
    moved = reader.move(of_study(GERMAN), "PACS2")
    assert (moved.end.Status, moved.end.NumberOfFailedSuboperations) == (SUBOPERATIONS_REFUSED, 5)
    assert moved.failed == sorted(GERMAN.instance_uids)


@pytest.mark.parametrize(
    ("title", "status"), [("NOWHERE", NO_DESTINATION), ("STRANGER", NOT_AUTHORIZED), ("CT1", NO_DESTINATION)]
)
def test_a_destination_that_may_not_be_is_refused_before_anything_is_sent(
    reader: Pynetdicom, title: str, status: int
) -> None:
    moved = reader.move(of_study(GERMAN), title)
    assert [response.Status for response in moved.responses] == [status]
    assert moved.failed == []


def test_moving_nothing_is_success(reader: Pynetdicom) -> None:
    moved = reader.move(identifier("STUDY", StudyInstanceUID="1.2.3.4.5"), "PACS2")
    assert moved.end.Status == SUCCESS
