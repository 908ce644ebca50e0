from __future__ import annotations

import io
import zlib

import pydicom
import pytest
from pydicom.dataset import Dataset

from leadglass.dataset import tags
from leadglass.dataset.identifier import (
    decode_identifier,
    decode_retrieve,
)
from leadglass.model.errors import DatasetInvalid, IdentifierMismatch, LimitExceeded
from leadglass.model.names import Uid
from leadglass.model.query import (
    DateTimeMatching,
    DateTimeRange,
    Level,
    Query,
    Range,
    RetrieveKeys,
    Root,
    SingleValue,
    UidList,
    Wildcard,
)
from tests.unit.dataset.building import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    explicit,
    item,
    open_item,
    open_sequence,
)

LEVEL = {"STUDY": explicit(0x00080052, "CS", b"STUDY "), "SERIES": explicit(0x00080052, "CS", b"SERIES")}
LEVEL |= {"PATIENT": explicit(0x00080052, "CS", b"PATIENT "), "IMAGE": explicit(0x00080052, "CS", b"IMAGE ")}


def find(*elements: bytes, level: str = "STUDY", root: Root = Root.STUDY) -> Query:
    return decode_identifier(LEVEL[level] + b"".join(elements), EXPLICIT, root)


def move(*elements: bytes, level: str = "STUDY", root: Root = Root.STUDY) -> RetrieveKeys:
    return decode_retrieve(LEVEL[level] + b"".join(elements), EXPLICIT, root)


STUDY = explicit(tags.STUDY_INSTANCE_UID, "UI", b"1.2\0")
STUDIES = explicit(tags.STUDY_INSTANCE_UID, "UI", b"1.2\\1.3\0")
SERIES = explicit(tags.SERIES_INSTANCE_UID, "UI", b"1.2.1\0")
IMAGES = explicit(tags.SOP_INSTANCE_UID, "UI", b"1.2.1.1\\1.2.1.2\\1.2.1.1")
PATIENT = explicit(tags.PATIENT_ID, "LO", b"P1")


def test_every_kind_of_key_at_study_level() -> None:
    query = find(
        explicit(tags.STUDY_DATE, "DA", b"20240101-20240131 "),
        explicit(tags.STUDY_TIME, "TM", b"1000-1800 "),
        explicit(tags.ACCESSION_NUMBER, "SH", b""),
        explicit(tags.MODALITIES_IN_STUDY, "CS", b"CT\\MR "),
        explicit(tags.PATIENT_NAME, "PN", b"Testa^A* "),
        explicit(tags.PATIENT_ID, "LO", b"P1"),
        STUDIES,
    )
    assert query.root is Root.STUDY
    assert query.level is Level.STUDY
    assert dict(query.matches) == {
        tags.STUDY_DATE: Range("20240101", "20240131"),
        tags.STUDY_TIME: Range("100000.000000", "180099.999999"),
        tags.MODALITIES_IN_STUDY: UidList(("CT", "MR")),
        tags.PATIENT_NAME: Wildcard("Testa^A*"),
        tags.PATIENT_ID: SingleValue("P1"),
        tags.STUDY_INSTANCE_UID: UidList(("1.2", "1.3")),
    }
    assert query.returns == (
        tags.STUDY_DATE,
        tags.STUDY_TIME,
        tags.ACCESSION_NUMBER,
        tags.MODALITIES_IN_STUDY,
        tags.PATIENT_NAME,
        tags.PATIENT_ID,
        tags.STUDY_INSTANCE_UID,
    )
    assert query.unsupported == ()


def test_names_are_read_in_the_character_set_of_the_request() -> None:
    data = explicit(0x00080005, "CS", b"ISO_IR 192") + LEVEL["STUDY"]
    query = decode_identifier(
        data + explicit(tags.PATIENT_NAME, "PN", "Jörg ".encode()), EXPLICIT, Root.STUDY
    )
    assert query.character_sets == ("ISO_IR 192",)
    assert query.matches == ((tags.PATIENT_NAME, SingleValue("Jörg")),)
    assert tags.SPECIFIC_CHARACTER_SET not in query.returns


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_every_uncompressed_transfer_syntax_isread(syntax: Uid) -> None:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "IMAGE"
    dataset.StudyInstanceUID = "1.2"
    dataset.SeriesInstanceUID = "1.2.1"
    dataset.Rows = 512
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, implicit_vr=syntax == IMPLICIT, little_endian=syntax != BIG)
    data = buffer.getvalue()
    if syntax == DEFLATED:
        engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = engine.compress(data) + engine.flush()
    query = decode_identifier(data, syntax, Root.STUDY)
    assert dict(query.matches)[tags.ROWS] == SingleValue("512")


def test_a_lone_asterisk_and_an_empty_value_are_universal() -> None:
    query = find(
        explicit(tags.STUDY_DATE, "DA", b"* "),
        explicit(tags.PATIENT_NAME, "PN", b"**"),
        explicit(tags.PATIENT_ID, "LO", b"  "),
        explicit(tags.STUDY_INSTANCE_UID, "UI", b"*\0"),
    )
    assert query.matches == ()
    assert len(query.returns) == 4


def test_unknown_private_lower_and_sequence_keys_are_unsupported_and_returned() -> None:
    wanted = [
        explicit(0x00081110, "SQ", item(explicit(0x00081150, "UI", b"1.2\0"))),
        open_sequence(0x00081120, open_item(b"")),
        explicit(tags.MODALITY, "CS", b"CT"),
        explicit(0x00090010, "LO", b"MAKER "),
        explicit(0x00104000, "LT", b"text"),
        explicit(tags.NUMBER_OF_STUDY_RELATED_SERIES, "IS", b"1 "),
    ]
    query = find(*wanted)
    assert query.matches == ()
    assert query.unsupported == query.returns
    assert len(query.returns) == 6


def test_counters_may_be_asked_for() -> None:
    query = find(explicit(tags.NUMBER_OF_STUDY_RELATED_SERIES, "IS", b""))
    assert query.unsupported == ()
    assert query.returns == (tags.NUMBER_OF_STUDY_RELATED_SERIES,)


def test_what_only_the_archive_knows_is_no_key() -> None:
    query = find(
        explicit(0x00080000, "UL", b"\0\0\0\0"),
        explicit(tags.RETRIEVE_AE_TITLE, "AE", b"X "),
        explicit(tags.INSTANCE_AVAILABILITY, "CS", b"NEARLINE"),
    )
    assert query.returns == ()
    assert query.matches == ()


@pytest.mark.parametrize(
    ("level", "root", "keys"),
    [
        ("PATIENT", Root.PATIENT, ()),
        ("STUDY", Root.PATIENT, (PATIENT,)),
        ("SERIES", Root.PATIENT, (PATIENT, STUDY)),
        ("IMAGE", Root.PATIENT, (PATIENT, STUDY, SERIES)),
        ("STUDY", Root.STUDY, ()),
        ("SERIES", Root.STUDY, (STUDY,)),
        ("IMAGE", Root.STUDY, (STUDY, SERIES)),
    ],
)
def test_unique_keys_above_the_level_are_needed(level: str, root: Root, keys: tuple[bytes, ...]) -> None:
    assert find(*keys, level=level, root=root).level is Level[level]
    for missing in range(len(keys)):
        with pytest.raises(IdentifierMismatch, match="must have one value"):
            find(*keys[:missing], *keys[missing + 1 :], level=level, root=root)


@pytest.mark.parametrize("key", [STUDIES, explicit(tags.STUDY_INSTANCE_UID, "UI", b"*\0")])
def test_a_unique_key_above_the_level_has_one_value(key: bytes) -> None:
    with pytest.raises(IdentifierMismatch, match=r"\(0020,000D\) must have one value"):
        find(key, level="SERIES")


@pytest.mark.parametrize("data", [b"", explicit(0x00080052, "CS", b"FRAME "), LEVEL["PATIENT"]])
def test_a_level_that_is_missing_unknown_or_of_another_root_is_a_mismatch(data: bytes) -> None:
    with pytest.raises(IdentifierMismatch, match="Query/Retrieve Level"):
        decode_identifier(data, EXPLICIT, Root.STUDY)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (explicit(tags.STUDY_DATE, "DA", b"2024-01-01"), "no date"),
        (explicit(tags.STUDY_DATE, "DA", b"20241301"), "no date"),
        (explicit(tags.STUDY_DATE, "DA", b"20240101\\20240102"), "no date"),
        (explicit(tags.STUDY_DATE, "DA", b"- "), "without ends"),
        (explicit(tags.STUDY_DATE, "DA", b"20240102-20240101"), "ends before"),
        (explicit(tags.STUDY_TIME, "TM", b"2500"), "no time"),
        (explicit(tags.STUDY_TIME, "TM", b"18-10 "), "ends before"),
        (explicit(tags.STUDY_INSTANCE_UID, "UI", b"1.2.x\0"), "not a UID"),
        (explicit(tags.STUDY_INSTANCE_UID, "UI", b"\\"), "all empty"),
        (explicit(tags.PATIENT_NAME, "PN", b"A*\\B"), "wildcards"),
        (PATIENT + PATIENT, "twice"),
    ],
)
def test_values_that_make_no_sense_are_a_mismatch_without_the_value(key: bytes, says: str) -> None:
    with pytest.raises(IdentifierMismatch, match=says) as caught:
        find(key)
    assert "2024" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (b"20240101", SingleValue("20240101")),
        (b"2024.01.01", SingleValue("20240101")),
        (b"20240101-", Range("20240101", None)),
        (b"-20240131 ", Range(None, "20240131")),
        (b"20240201 - 20240231", Range("20240201", "20240231")),
    ],
)
def test_dates(raw: bytes, match: object) -> None:
    assert find(explicit(tags.STUDY_DATE, "DA", raw)).matches == ((tags.STUDY_DATE, match),)


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (b"101500", SingleValue("101500")),
        (b"10:15:00", SingleValue("101500")),
        (b"10", SingleValue("10")),
        (b"10-", Range("100000.000000", None)),
        (b"-101530.5", Range(None, "101530.599999")),
        (b"10-10 ", Range("100000.000000", "109999.999999")),
    ],
)
def test_times(raw: bytes, match: object) -> None:
    assert find(explicit(tags.STUDY_TIME, "TM", raw)).matches == ((tags.STUDY_TIME, match),)


def test_question_marks_are_wildcards_only_where_the_standard_has_them() -> None:
    assert find(explicit(tags.ACCESSION_NUMBER, "SH", b"A?1 ")).matches[0][1] == Wildcard("A?1")
    assert find(explicit(tags.PATIENT_AGE, "AS", b"0?0Y")).matches[0][1] == SingleValue("0?0Y")


def test_date_and_time_ranges_are_separate_unless_negotiated() -> None:
    keys = explicit(tags.STUDY_DATE, "DA", b"20060705-20060707 ") + explicit(
        tags.STUDY_TIME, "TM", b"1800-1000 "
    )
    with pytest.raises(IdentifierMismatch, match="ends before"):
        find(keys)
    query = decode_identifier(LEVEL["STUDY"] + keys, EXPLICIT, Root.STUDY, DateTimeMatching.COMBINED)
    assert query.matches == ()
    assert query.combined == (
        DateTimeRange(tags.STUDY_DATE, tags.STUDY_TIME, "20060705180000.000000", "20060707100099.999999"),
    )


@pytest.mark.parametrize(
    ("date", "time", "combined"),
    [
        (b"20060705-", b"18- ", (("20060705180000.000000", None),)),
        (b"-20060705 ", b"-18 ", ((None, "20060705189999.999999"),)),
        (b"20060705-", b"-18 ", ()),
        (b"20060705-20060706", b"18- ", ()),
        (b"20060705", b"18-19 ", ()),
        (b"20060705-", b"", ()),
    ],
)
def test_only_ranges_of_one_form_are_combined(date: bytes, time: bytes, combined: tuple[object, ...]) -> None:
    data = LEVEL["STUDY"] + explicit(tags.STUDY_DATE, "DA", date) + explicit(tags.STUDY_TIME, "TM", time)
    query = decode_identifier(data, EXPLICIT, Root.STUDY, DateTimeMatching.COMBINED)
    assert tuple((both.low, both.high) for both in query.combined) == combined


def test_a_combined_range_that_ends_before_it_begins_is_a_mismatch() -> None:
    keys = explicit(tags.STUDY_DATE, "DA", b"20060705-20060705 ") + explicit(tags.STUDY_TIME, "TM", b"18-10 ")
    with pytest.raises(IdentifierMismatch, match="ends before"):
        decode_identifier(LEVEL["STUDY"] + keys, EXPLICIT, Root.STUDY, DateTimeMatching.COMBINED)


def test_identifiers_are_bounded() -> None:
    with pytest.raises(LimitExceeded, match="bytes"):
        find(explicit(0x00104000, "UT", bytes(1024 * 1024)))
    with pytest.raises(LimitExceeded, match="elements"):
        find(*[explicit(0x00091000 + number, "LO", b"") for number in range(600)])
    many = b"\\".join([b"1.2"] * 10_002)
    with pytest.raises(LimitExceeded, match="10000 values"):
        find(explicit(tags.STUDY_INSTANCE_UID, "UN", many))


@pytest.mark.parametrize(
    "data",
    [
        b"\x08\0\x52",
        explicit(0x00080052, "CS", b"", length=6),
        explicit(0x00080052, "??", b""),
        explicit(0x00081110, "SQ", b"")[:10],
        open_sequence(0x00081110, b"")[:-4],
    ],
)
def test_unreadable_identifiers_are_refused(data: bytes) -> None:
    with pytest.raises(DatasetInvalid):
        decode_identifier(data, EXPLICIT, Root.STUDY)


def test_a_cut_deflated_identifier_is_refused() -> None:
    with pytest.raises(DatasetInvalid, match="cut short"):
        decode_identifier(b"", DEFLATED, Root.STUDY)


def test_retrieval_keys() -> None:
    assert move(STUDIES) == RetrieveKeys(Level.STUDY, None, (Uid("1.2"), Uid("1.3")), (), ())
    assert move(PATIENT, STUDY).patient_id == "P1"
    assert move(PATIENT, level="PATIENT", root=Root.PATIENT).patient_id == "P1"
    keys = move(PATIENT, STUDY, SERIES, IMAGES, level="IMAGE", root=Root.PATIENT)
    assert keys.instances == (Uid("1.2.1.1"), Uid("1.2.1.2"))
    assert keys.series == (Uid("1.2.1"),)


def test_other_keys_of_a_retrieval_are_passed_over() -> None:
    assert (
        move(
            STUDY, explicit(tags.MODALITY, "CS", b"CT"), explicit(tags.SERIES_INSTANCE_UID, "UI", b"")
        ).series
        == ()
    )


@pytest.mark.parametrize(
    ("keys", "level", "root"),
    [
        ((), "STUDY", Root.STUDY),
        ((), "PATIENT", Root.PATIENT),
        ((STUDY,), "STUDY", Root.PATIENT),
        ((STUDIES, SERIES), "SERIES", Root.STUDY),
        ((STUDY, SERIES), "STUDY", Root.STUDY),
        ((STUDY, STUDY), "STUDY", Root.STUDY),
        ((SERIES, IMAGES), "IMAGE", Root.STUDY),
        ((explicit(tags.PATIENT_ID, "LO", b"P*"),), "PATIENT", Root.PATIENT),
        ((STUDY, explicit(tags.PATIENT_ID, "LO", b"P1\\P2 ")), "STUDY", Root.STUDY),
        ((explicit(tags.STUDY_INSTANCE_UID, "UI", b"*\0"),), "STUDY", Root.STUDY),
    ],
)
def test_retrieval_never_reaches_further_than_its_unique_keys(
    keys: tuple[bytes, ...], level: str, root: Root
) -> None:
    with pytest.raises(IdentifierMismatch):
        move(*keys, level=level, root=root)


def test_a_retrieval_may_say_whose_number_the_patient_id_is() -> None:
    issuer = explicit(tags.ISSUER_OF_PATIENT_ID, "LO", b"NORTH ")
    keys = move(PATIENT, issuer, level="PATIENT", root=Root.PATIENT)
    assert (keys.patient_id, keys.issuer) == ("P1", "NORTH")
    assert move(PATIENT, level="PATIENT", root=Root.PATIENT).issuer is None


@pytest.mark.parametrize("value", [b"NO*", b"N?", b"A\\B "])
def test_the_issuer_of_a_retrieval_has_one_value(value: bytes) -> None:
    issuer = explicit(tags.ISSUER_OF_PATIENT_ID, "LO", value)
    with pytest.raises(IdentifierMismatch):
        move(PATIENT, issuer, level="PATIENT", root=Root.PATIENT)
