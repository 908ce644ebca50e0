"""DCMTK's getscu and movescu, and storescp as the destination; over both transports, with C-CANCEL."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from leadglass.dataset.synthetic import PATIENTS, Modality, synthetic_study
from tests.support.client import Client, SentObject
from tests.support.clinic import Clinic
from tests.support.corpus import corpus_file
from tests.support.datasets import dataset_of, differences, read
from tests.support.dcmtk import Argument, Dcmtk, StoreScp, storescp
from tests.support.site import ARCHIVE_AE
from tests.support.studies import GERMAN, JANE_HEAD, JANE_KNEE, RUSSIAN, Study, single

SUCCESS, PENDING, CANCELLED = 0x0000, 0xFF00, 0xFE00
NOT_AUTHORIZED, NO_DESTINATION, IDENTIFIER_WRONG = 0x0124, 0xA801, 0xA900
SUBOPERATIONS_REFUSED = 0xA702

pytestmark = pytest.mark.usefixtures("files")


def of_study(study: Study) -> list[Argument]:
    return ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study.uid}"]


def of_series(study: Study, series: int) -> list[Argument]:
    return [
        "QueryRetrieveLevel=SERIES",
        f"StudyInstanceUID={study.uid}",
        f"SeriesInstanceUID={study.series_uid(series)}",
    ]


def of_images(study: Study, series: int, *instances: int) -> list[Argument]:
    uids = "\\".join(study.instance_uid(series, instance) for instance in instances)
    return ["QueryRetrieveLevel=IMAGE", *of_series(study, series)[1:], f"SOPInstanceUID={uids}"]


# C-GET


@pytest.mark.parametrize(
    ("root", "keys", "expected"),
    [
        (
            "-P",
            ["QueryRetrieveLevel=PATIENT", "PatientID=ASC1"],
            JANE_HEAD.instance_uids + JANE_KNEE.instance_uids,
        ),
        ("-P", [*of_study(JANE_HEAD), "PatientID=ASC1"], JANE_HEAD.instance_uids),
        ("-S", of_study(GERMAN), GERMAN.instance_uids),
        (
            "-S",
            ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={GERMAN.uid}\\{RUSSIAN.uid}"],
            GERMAN.instance_uids + RUSSIAN.instance_uids,
        ),
        (
            "-S",
            of_series(GERMAN, 2),
            [GERMAN.instance_uid(2, 1), GERMAN.instance_uid(2, 2)],
        ),
        (
            "-S",
            of_images(GERMAN, 1, 3),
            [GERMAN.instance_uid(1, 3)],
        ),
    ],
    ids=["patient", "patient-study", "study", "studies", "series", "image"],
)
def test_every_level_brings_all_of_it_and_nothing_else(
    retriever: Dcmtk,
    files: dict[str, Path],
    out: Path,
    root: str,
    keys: list[Argument],
    expected: list[str],
) -> None:
    ran = retriever.get(out, keys, root).require()
    assert ran.statuses()[-1] == SUCCESS
    got = {str(read(path).SOPInstanceUID): path for path in out.iterdir()}
    assert sorted(got) == sorted(expected)
    for uid, path in got.items():
        assert differences(read(files[uid]), read(path)) == []


def test_nothing_found_is_success(retriever: Dcmtk, out: Path) -> None:
    ran = retriever.get(out, ["QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.3.4.5"], "-S").require()
    assert ran.statuses() == [SUCCESS]
    assert list(out.iterdir()) == []


def test_without_its_unique_key_it_is_refused(retriever: Dcmtk, out: Path) -> None:
    ran = retriever.get(out, ["QueryRetrieveLevel=STUDY", "PatientID=ASC1"], "-S")
    assert ran.statuses() == [IDENTIFIER_WRONG]


# C-MOVE


def test_to_a_destination_in_the_plaintext_zone(
    retriever: Dcmtk, pacs2: StoreScp, files: dict[str, Path]
) -> None:
    ran = retriever.move("PACS2", of_study(GERMAN), "-S").require()
    assert ran.statuses() == [PENDING] * 4 + [SUCCESS]
    received = pacs2.received()
    assert sorted(received) == sorted(GERMAN.instance_uids)
    for uid, path in received.items():
        assert differences(read(files[uid]), read(path)) == []


def test_to_a_destination_over_mutual_tls(retriever: Dcmtk, pacs3: StoreScp) -> None:
    ran = retriever.move("PACS3", of_study(JANE_HEAD), "-S").require()
    assert ran.statuses() == [PENDING, SUCCESS]
    assert sorted(pacs3.received()) == sorted(JANE_HEAD.instance_uids)


def test_the_destination_is_told_who_asked(clinic: Clinic, pacs2: StoreScp) -> None:
    clinic.old_workstation.move("PACS2", of_study(JANE_KNEE), "-S").require()
    assert "Move Originator AE Title      : OLDWS" in pacs2.process.text()


@pytest.mark.parametrize(
    ("root", "keys", "expected"),
    [
        ("-P", ["QueryRetrieveLevel=PATIENT", "PatientID=ASC1"], 3),
        (
            "-S",
            of_series(GERMAN, 1),
            3,
        ),
        (
            "-S",
            of_images(GERMAN, 1, 1, 2),
            2,
        ),
    ],
    ids=["patient", "series", "images"],
)
def test_every_level(clinic: Clinic, pacs2: StoreScp, root: str, keys: list[Argument], expected: int) -> None:
    clinic.old_workstation.move("PACS2", keys, root).require()
    assert len(pacs2.received()) == expected


def test_a_compressed_file_arrives_as_it_is(clinic: Clinic, pacs2: StoreScp) -> None:
    file = corpus_file("SC_rgb_jpeg_dcmtk.dcm")
    clinic.scanner.store([file.path], "-xy").require()
    keys: list[Argument] = ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={file.study}"]
    clinic.old_workstation.move("PACS2", keys, "-S").require()
    (got,) = pacs2.received().values()
    assert read(got).file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert read(got).PixelData == read(file.path).PixelData


def test_an_unknown_destination_is_refused(retriever: Dcmtk) -> None:
    ran = retriever.move("NOWHERE", of_study(GERMAN), "-S")
    assert ran.statuses() == [NO_DESTINATION]


def test_a_device_without_an_address_is_no_destination(retriever: Dcmtk) -> None:
    ran = retriever.move("CT1", of_study(GERMAN), "-S")
    assert ran.statuses() == [NO_DESTINATION]


def test_a_destination_that_no_flow_permits_hears_nothing(
    clinic: Clinic, retriever: Dcmtk, tmp_path: Path
) -> None:
    with storescp(tmp_path / "stranger", "STRANGER", port=clinic.stranger_port) as stranger:
        ran = retriever.move("STRANGER", of_study(GERMAN), "-S")
        assert ran.statuses() == [NOT_AUTHORIZED]
        assert stranger.connections() == 0
    lines = [line.event for line in clinic.site.audit("operation.store") if line.event.target == "stranger"]
    assert {(each.outcome, each.who) for each in lines} == {("denied", "archive")}


def test_a_destination_that_is_down_fails_all_suboperations(retriever: Dcmtk) -> None:
    ran = retriever.move("PACS2", of_study(GERMAN), "-S")
    assert ran.statuses() == [SUBOPERATIONS_REFUSED]
    assert "Failed Suboperations          : 5" in ran.text


@pytest.mark.parametrize("behaviour", ["--refuse", "--abort-after", "--abort-during"])
def test_a_destination_that_refuses_or_aborts_fails_what_it_did_not_take(
    clinic: Clinic, retriever: Dcmtk, tmp_path: Path, behaviour: str
) -> None:
    with storescp(tmp_path / "rude", "PACS2", behaviour, port=clinic.pacs2_port):
        ran = retriever.move("PACS2", of_study(GERMAN), "-S")
    assert ran.statuses() == [SUBOPERATIONS_REFUSED]
    assert "Failed Suboperations          : 5" in ran.text
    clinic.old_workstation.echo().require()


def test_a_destination_with_another_certificate_gets_nothing(clinic: Clinic, tmp_path: Path) -> None:
    """Ours, but another device's: it is not who the policy names."""
    with storescp(tmp_path / "other", "PACS3", credentials=clinic.ct1, port=clinic.pacs3_port) as other:
        ran = clinic.old_workstation.move("PACS3", of_study(GERMAN), "-S")
        assert ran.statuses() == [SUBOPERATIONS_REFUSED]
        assert other.received() == {}


# C-CANCEL


LONG = 1200


@pytest.fixture(scope="module")
def long_series(clinic: Clinic) -> Dataset:
    """An image of a series long enough that a cancel comes before its end."""
    images = list(synthetic_study(7, Modality.CT, PATIENTS[0], instances=LONG, rows=16, columns=16))
    objects = [
        SentObject(each.sop_class, each.sop_instance, each.transfer_syntax, each.dataset) for each in images
    ]
    scanner = Client(clinic.site.tls_port, "CT1", ARCHIVE_AE, clinic.ct1)
    assert scanner.send(objects) == [SUCCESS] * LONG
    return dataset_of(images[0].dataset, images[0].transfer_syntax)


def test_cancel_ends_a_query(clinic: Clinic, long_series: Dataset, out: Path) -> None:
    keys: list[Argument] = [
        "QueryRetrieveLevel=IMAGE",
        f"StudyInstanceUID={long_series.StudyInstanceUID}",
        f"SeriesInstanceUID={long_series.SeriesInstanceUID}",
        "SOPInstanceUID",
    ]
    ran, answers = clinic.workstation.find(out, keys, "-S", "--cancel", "2")
    assert ran.statuses()[-1] == CANCELLED
    assert 2 <= len(answers) < LONG


def test_cancel_ends_a_move(clinic: Clinic, long_series: Dataset, pacs2: StoreScp) -> None:
    keys: list[Argument] = ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={long_series.StudyInstanceUID}"]
    ran = clinic.old_workstation.move("PACS2", keys, "-S", "--cancel", "2")
    assert ran.statuses()[-1] == CANCELLED
    assert 2 <= len(pacs2.received()) < LONG


# Two people with one number


@pytest.fixture
def two_of_one_number(clinic: Clinic, tmp_path: Path) -> list[Study]:
    """Two studies whose patients bear one PatientID, given by two issuers."""
    several = [single(500), single(501)]
    for study, issuer in zip(several, ("NORTH", "SOUTH"), strict=True):
        for path in study.write(tmp_path / issuer):
            dataset = read(path)
            dataset.PatientID, dataset.IssuerOfPatientID = "SHARED", issuer
            dataset.save_as(path)
            clinic.scanner.store([path], "-xe").require()
    return several


SHARED = ["QueryRetrieveLevel=PATIENT", "PatientID=SHARED"]


def test_a_number_of_two_people_fetches_neither_until_the_issuer_is_given(
    clinic: Clinic, two_of_one_number: list[Study], pacs2: StoreScp, out: Path
) -> None:
    desk = clinic.old_workstation
    refused = desk.get(out, SHARED, "-P")
    assert refused.statuses() == [IDENTIFIER_WRONG]
    assert "give IssuerOfPatientID" in refused.text
    assert desk.move("PACS2", SHARED, "-P").statuses() == [IDENTIFIER_WRONG]
    assert (list(out.iterdir()), pacs2.connections()) == ([], 0)
    desk.get(out, [*SHARED, "IssuerOfPatientID=SOUTH"], "-P").require()
    assert [str(read(path).StudyInstanceUID) for path in out.iterdir()] == [two_of_one_number[1].uid]
    reasons = [line.event.reason for line in clinic.site.audit("retrieval.sent")]
    refusals = [reason for reason in reasons if "without its issuer" in reason]
    assert len(refusals) == 2
    assert "SHARED" not in "".join(refusals)


def test_the_study_of_one_of_them_needs_no_issuer(
    clinic: Clinic, two_of_one_number: list[Study], out: Path
) -> None:
    keys = [*of_study(two_of_one_number[0]), "PatientID=SHARED"]
    clinic.old_workstation.get(out, keys, "-P").require()
    assert len(list(out.iterdir())) == 1
