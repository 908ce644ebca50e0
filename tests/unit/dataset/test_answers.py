from __future__ import annotations

import io

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from leadglass.dataset import tags
from leadglass.dataset.identifier import (
    UnusableKey,
    decode_answer,
    decode_identifier,
    encode_answer,
    encode_failed_list,
    encode_identifier,
)
from leadglass.model.names import Uid
from leadglass.model.query import Level, Query, Root, SingleValue, Wildcard
from tests.unit.dataset.building import EXPLICIT, IMPLICIT, explicit

STUDY_LEVEL = explicit(0x00080052, "CS", b"STUDY ")


def find(*elements: bytes) -> Query:
    return decode_identifier(STUDY_LEVEL + b"".join(elements), EXPLICIT, Root.STUDY)


def read(data: bytes, syntax: Uid) -> Dataset:
    return read_dataset(io.BytesIO(data), is_implicit_VR=syntax == IMPLICIT, is_little_endian=True)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_an_answer_holds_every_requested_tag_in_order(syntax: Uid) -> None:
    query = find(
        explicit(tags.PATIENT_NAME, "PN", b""),
        explicit(tags.STUDY_DATE, "DA", b""),
        explicit(0x00081110, "SQ", b""),
        explicit(0x00104000, "LT", b""),
        explicit(tags.ROWS, "US", b""),
        explicit(tags.STUDY_INSTANCE_UID, "UI", b""),
    )
    row = {
        tags.PATIENT_NAME: "Testa^Anna",
        tags.STUDY_INSTANCE_UID: "1.2.3",
        tags.ROWS: "512",
        tags.STUDY_ID: "no",
    }
    answer = read(encode_answer(row, query, retrieve_ae="NORTH", transfer_syntax=syntax), syntax)
    ours = {tags.QUERY_RETRIEVE_LEVEL, tags.RETRIEVE_AE_TITLE, tags.INSTANCE_AVAILABILITY}
    assert [int(element.tag) for element in answer] == sorted({*query.returns} | ours)
    assert answer.PatientName == "Testa^Anna"
    assert answer.StudyDate == ""
    assert answer.Rows == 512
    assert answer.RetrieveAETitle == "NORTH"
    assert answer.InstanceAvailability == "ONLINE"
    assert answer.QueryRetrieveLevel == "STUDY"
    assert len(answer.ReferencedStudySequence) == 0


@pytest.mark.parametrize(
    ("requested", "name", "expected"),
    [
        (b"", "Testa^Anna", None),
        (b"", "Muster^Jörg", "ISO_IR 100"),
        (b"ISO_IR 192", "Muster^Jörg", "ISO_IR 192"),
        (b"ISO_IR 100", "見本^花子", "ISO_IR 192"),
        (b"\\ISO 2022 IR 87", "Mihon=見本^花子", ["", "ISO 2022 IR 87"]),
    ],
)
def test_an_answer_is_in_a_character_set_that_holds_it(requested: bytes, name: str, expected: object) -> None:
    data = explicit(0x00080005, "CS", requested) + STUDY_LEVEL + explicit(tags.PATIENT_NAME, "PN", b"")
    query = decode_identifier(data, EXPLICIT, Root.STUDY)
    answer = read(
        encode_answer({tags.PATIENT_NAME: name}, query, retrieve_ae="A", transfer_syntax=EXPLICIT), EXPLICIT
    )
    assert answer.get("SpecificCharacterSet") == expected
    assert answer.PatientName == name


def test_unreadable_numbers_go_out_as_unknown() -> None:
    query = find(explicit(tags.ROWS, "US", b""))
    encoded = encode_answer({tags.ROWS: "many"}, query, retrieve_ae="A", transfer_syntax=EXPLICIT)
    assert read(encoded, EXPLICIT).Rows is None


def test_a_failed_list_of_any_length_can_beread() -> None:
    instances = [Uid(f"1.2.3.{number}") for number in range(20_000)]
    for syntax, count in ((EXPLICIT, 3), (IMPLICIT, 20_000)):
        dataset = read(encode_failed_list(instances[:count], syntax), syntax)
        assert len(dataset.FailedSOPInstanceUIDList) == count
    assert encode_failed_list(instances, EXPLICIT)[4:6] == b"UN"


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_what_a_client_asks_a_server_reads(syntax: Uid) -> None:
    data = encode_identifier(
        Level.STUDY, [("PatientName", "Jörg*"), (tags.STUDY_DATE, ""), ("ModalitiesInStudy", "CT")], syntax
    )
    query = decode_identifier(data, syntax, Root.STUDY)
    assert dict(query.matches) == {
        tags.PATIENT_NAME: Wildcard("Jörg*"),
        tags.MODALITIES_IN_STUDY: SingleValue("CT"),
    }
    assert query.character_sets == ("ISO_IR 100",)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_what_a_server_answers_a_client_reads(syntax: Uid) -> None:
    query = find(explicit(tags.PATIENT_NAME, "PN", b""), explicit(0x00091010, "LO", b""))
    data = encode_answer({tags.PATIENT_NAME: "Jörg"}, query, retrieve_ae="A", transfer_syntax=syntax)
    elements = decode_answer(data, syntax)
    assert (tags.PATIENT_NAME, "PatientName", "PN", "Jörg") in elements
    assert (0x00091010, "", "UN", "") in elements


def test_a_client_is_told_of_a_keyword_that_is_none() -> None:
    with pytest.raises(UnusableKey, match="did you mean PatientName"):
        encode_identifier(Level.STUDY, [("PatientNam", "")], EXPLICIT)
    with pytest.raises(UnusableKey, match=r"no DICOM keyword$"):
        encode_identifier(Level.STUDY, [("~~~~", "")], EXPLICIT)
    with pytest.raises(UnusableKey, match="takes numbers"):
        encode_identifier(Level.IMAGE, [("Rows", "many")], EXPLICIT)
    with pytest.raises(UnusableKey, match="takes numbers"):
        encode_identifier(Level.IMAGE, [("Rows", "70000")], EXPLICIT)
