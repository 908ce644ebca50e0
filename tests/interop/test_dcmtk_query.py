"""DCMTK's findscu: every level of both roots, every kind of matching, every script; over both transports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import studies
from tests.support.clinic import Clinic
from tests.support.dcmtk import Argument, Dcmtk
from tests.support.site import ARCHIVE_AE
from tests.support.studies import GERMAN, JANE_HEAD, JANE_KNEE, JAPANESE, RUSSIAN, Study

SUCCESS, IDENTIFIER_WRONG = 0x0000, 0xA900
UIDS = {study.uid: study for study in studies.ALL}
STUDY_KEYS: list[Argument] = ["QueryRetrieveLevel=STUDY", "StudyInstanceUID"]

pytestmark = pytest.mark.usefixtures("files")


@pytest.fixture(params=["mtls", "plaintext"])
def reader(request: pytest.FixtureRequest, clinic: Clinic) -> Dcmtk:
    """A workstation that finds. One over each transport."""
    return clinic.workstation if request.param == "mtls" else clinic.old_workstation


def of_study(study: Study) -> list[Argument]:
    return ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study.uid}"]


def found_studies(reader: Dcmtk, out: Path, *keys: Argument, root: str = "-S") -> set[str]:
    """The synthetic studies that are found by these keys."""
    ran, answers = reader.find(out, [*STUDY_KEYS, *keys], root)
    assert ran.require().statuses()[-1] == SUCCESS
    return {str(answer.StudyInstanceUID) for answer in answers} & set(UIDS)


def test_at_the_patient_level(reader: Dcmtk, out: Path) -> None:
    keys: list[Argument] = [
        "QueryRetrieveLevel=PATIENT",
        "PatientID=ASC1",
        "PatientName",
        "NumberOfPatientRelatedStudies",
        "NumberOfPatientRelatedInstances",
    ]
    _, (answer,) = reader.find(out, keys, "-P")
    assert answer.PatientName == "Doe^Jane"
    assert (answer.NumberOfPatientRelatedStudies, answer.NumberOfPatientRelatedInstances) == (2, 3)


@pytest.mark.parametrize(("root", "more"), [("-S", []), ("-P", ["PatientID=LAT1"])])
def test_at_the_study_level(reader: Dcmtk, out: Path, root: str, more: list[str]) -> None:
    keys = [
        *of_study(GERMAN),
        "ModalitiesInStudy",
        "SOPClassesInStudy",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
        *more,
    ]
    _, (answer,) = reader.find(out, keys, root)
    assert list(answer.ModalitiesInStudy) == ["CT", "MR"]
    assert len(answer.SOPClassesInStudy) == 2
    assert (answer.NumberOfStudyRelatedSeries, answer.NumberOfStudyRelatedInstances) == (2, 5)
    assert answer.RetrieveAETitle == ARCHIVE_AE


@pytest.mark.parametrize(("root", "more"), [("-S", []), ("-P", ["PatientID=LAT1"])])
def test_at_the_series_level(reader: Dcmtk, out: Path, root: str, more: list[str]) -> None:
    keys: list[Argument] = [
        "QueryRetrieveLevel=SERIES",
        f"StudyInstanceUID={GERMAN.uid}",
        "SeriesInstanceUID",
        "Modality",
        "NumberOfSeriesRelatedInstances",
        *more,
    ]
    _, answers = reader.find(out, keys, root)
    counts = {str(answer.Modality): int(answer.NumberOfSeriesRelatedInstances) for answer in answers}
    assert counts == {"CT": 3, "MR": 2}


@pytest.mark.parametrize(("root", "more"), [("-S", []), ("-P", ["PatientID=LAT1"])])
def test_at_the_image_level(reader: Dcmtk, out: Path, root: str, more: list[str]) -> None:
    keys: list[Argument] = [
        "QueryRetrieveLevel=IMAGE",
        f"StudyInstanceUID={GERMAN.uid}",
        f"SeriesInstanceUID={GERMAN.series_uid(1)}",
        "SOPInstanceUID",
        "InstanceNumber",
        *more,
    ]
    _, answers = reader.find(out, keys, root)
    found = {str(answer.SOPInstanceUID): int(answer.InstanceNumber) for answer in answers}
    assert found == {GERMAN.instance_uid(1, number): number for number in (1, 2, 3)}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("PatientID=ASC1", {JANE_HEAD, JANE_KNEE}),
        ("PatientID=?SC1", {JANE_HEAD, JANE_KNEE}),
        ("PatientID=*1", {*studies.ALL}),
        ("PatientID=asc1", set()),
        ("PatientName=DOE^*", {JANE_HEAD, JANE_KNEE}),
        ("PatientName=doe^jane", {JANE_HEAD, JANE_KNEE}),
        ("StudyDate=20240115", {JANE_HEAD}),
        ("StudyDate=20240101-20240131", {JANE_HEAD}),
        ("StudyDate=-20230615", {GERMAN, JAPANESE}),
        ("StudyDate=20240220-", {JANE_KNEE, RUSSIAN}),
        ("StudyTime=0800-1015", {GERMAN, JANE_HEAD, JANE_KNEE}),
        ("ModalitiesInStudy=MR", {GERMAN, JAPANESE, JANE_KNEE}),
        ("ModalitiesInStudy=CT\\MR", {*studies.ALL}),
        ("AccessionNumber=ACC2", {JAPANESE}),
        ("StudyDescription=?nee", set()),
        ("StudyDescription=?NEE", {JANE_KNEE}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_matching(reader: Dcmtk, out: Path, key: str, expected: set[Study]) -> None:
    assert found_studies(reader, out, key) == {study.uid for study in expected}


def test_a_list_of_uids(reader: Dcmtk, out: Path) -> None:
    wanted = {GERMAN.uid, RUSSIAN.uid}
    assert found_studies(reader, out, f"StudyInstanceUID={chr(92).join(wanted)}") == wanted


def test_a_date_and_a_time_range_are_each_for_itself(reader: Dcmtk, out: Path) -> None:
    """PS3.4 §C.2.2.2.5: without negotiated combined matching."""
    found = found_studies(reader, out, "StudyDate=20230101-20240131", "StudyTime=1000-1300")
    assert found == {JAPANESE.uid, JANE_HEAD.uid}


def test_no_match_is_success_without_answers(reader: Dcmtk, out: Path) -> None:
    ran, answers = reader.find(out, [*STUDY_KEYS, "PatientID=NOBODY"], "-S")
    assert ran.require().statuses() == [SUCCESS]
    assert answers == []


def test_a_key_it_does_not_know_makes_the_answers_say_so(reader: Dcmtk, out: Path) -> None:
    ran, (answer,) = reader.find(out, [*of_study(RUSSIAN), "PatientComments=x"], "-S")
    assert "0xff01" in ran.text
    assert answer.PatientComments == ""


def test_a_query_without_its_level_is_refused(reader: Dcmtk, out: Path) -> None:
    ran, answers = reader.find(out, ["StudyInstanceUID"], "-S")
    assert ran.statuses() == [IDENTIFIER_WRONG]
    assert answers == []


def test_the_patient_level_is_not_of_the_study_root(reader: Dcmtk, out: Path) -> None:
    ran, _ = reader.find(out, ["QueryRetrieveLevel=PATIENT", "PatientID"], "-S")
    assert ran.statuses() == [IDENTIFIER_WRONG]


def test_an_upper_key_may_not_be_left_out(reader: Dcmtk, out: Path) -> None:
    ran, _ = reader.find(out, ["QueryRetrieveLevel=SERIES", "SeriesInstanceUID"], "-S")
    assert ran.statuses() == [IDENTIFIER_WRONG]


@pytest.mark.parametrize("option", ["-xe", "-xi", "-xb", "-xd"])
def test_a_query_in_every_syntax_that_is_proposed(clinic: Clinic, out: Path, option: str) -> None:
    _, (answer,) = clinic.workstation.find(out, [*of_study(GERMAN), "PatientName"], "-S", option)
    assert answer.PatientName == GERMAN.patient_name


@pytest.mark.parametrize(
    ("terms", "name", "study"),
    [
        ("ISO_IR 100", "Müller*".encode("latin-1"), GERMAN),
        ("ISO_IR 100", "MÜLLER^jörg".encode("latin-1"), GERMAN),
        ("ISO_IR 192", "Müller*".encode(), GERMAN),
        ("\\ISO 2022 IR 87", b"*" + "山田".encode("iso2022_jp") + b"*", JAPANESE),
        ("ISO_IR 192", "*山田*".encode(), JAPANESE),
        ("ISO_IR 192", "*やまだ*".encode(), JAPANESE),
        ("ISO_IR 192", "Иванова^*".encode(), RUSSIAN),
        ("ISO_IR 192", "иванова^анна".encode(), RUSSIAN),
        ("ISO_IR 144", "Иванова^*".encode("iso8859_5"), RUSSIAN),
    ],
)
def test_a_name_in_any_script_is_found_and_comes_back_whole(
    reader: Dcmtk, out: Path, terms: str, name: bytes, study: Study
) -> None:
    keys: list[Argument] = [*STUDY_KEYS, f"SpecificCharacterSet={terms}", b"PatientName=" + name]
    _, (answer,) = reader.find(out, keys, "-S")
    assert answer.StudyInstanceUID == study.uid
    assert answer.PatientName == study.patient_name
    assert str(answer.SpecificCharacterSet or "") != "" or study.patient_name.isascii()


@pytest.mark.parametrize("study", [GERMAN, JAPANESE, RUSSIAN], ids=["latin", "japanese", "russian"])
@pytest.mark.parametrize("terms", ["", "ISO_IR 100", "\\ISO 2022 IR 87", "ISO_IR 192", "ISO_IR 144"])
def test_an_answer_never_loses_a_letter_whatever_was_asked_for(
    clinic: Clinic, out: Path, study: Study, terms: str
) -> None:
    keys: list[Argument] = [*of_study(study), "PatientName", f"SpecificCharacterSet={terms}"]
    _, (answer,) = clinic.workstation.find(out, keys, "-S")
    assert answer.PatientName == study.patient_name
