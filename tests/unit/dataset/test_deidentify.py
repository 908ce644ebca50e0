"""Without identity: nothing planted in any attribute of the profile comes through, wherever it lies."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from leadglass.dataset.convert import ConvertLimits
from leadglass.dataset.deidentify import Pseudonyms, deidentify
from leadglass.dataset.deidentify.judge import Action, judge, listed
from leadglass.dataset.syntaxes import dictionary_vr
from leadglass.model.errors import NotDeidentifiable
from leadglass.model.names import Uid

SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
)
PSEUDONYMS = Pseudonyms(bytes(32))
LIMITS = ConvertLimits()
UID = "1.2.826.0.1.3680043.10.1469.5"
PIXELS = bytes(range(200)) * 2
# What is planted, by VR: each can be told from anything else in the bytes.
PLANTED: dict[str, object] = {
    "AE": "PLANTEDAE",
    "AS": "077Y",
    "AT": 0x7EA57EA5,
    "CS": "PLANTEDCS",
    "DA": "19770707",
    "DS": "7707.077",
    "DT": "19770707070707",
    "FD": 7.7e77,
    "FL": 7.5e7,
    "IS": "77077077",
    "LO": "Planted Text",
    "LT": "Planted Text",
    "OB": b"Planted Bytes!",
    "OD": b"Planted Bytes!!!",
    "OF": b"Planted Bytes!!!",
    "OL": b"Planted Bytes!!!",
    "OV": b"Planted Bytes!!!",
    "OW": b"Planted Bytes!",
    "PN": "Planted^Name",
    "SH": "Planted Text",
    "SL": 0x7EA57EA5,
    "SS": 0x7EA5,
    "ST": "Planted Text",
    "SV": 0x7EA57EA57EA57EA5,
    "TM": "070707.07",
    "UC": "Planted Text",
    "UI": UID + ".7",
    "UL": 0x7EA57EA5,
    "UN": b"Planted Bytes!",
    "UR": "http://planted",
    "US": 0x7EA5,
    "UT": "Planted Text",
    "UV": 0x7EA57EA57EA57EA5,
}
TRACES = (
    b"lanted",
    b"PLANTED",
    b"77Y",
    b"19770707",
    b"70707",
    b"7707.077",
    b"77077077",
    b"\x7e\xa5",
    b"\xa5\x7e",
    b"nalp",  # of "Planted" by words that a byte order turned
)


def image() -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = UID, UID + ".1", UID + ".2"
    dataset.Modality = "CT"
    dataset.PatientName, dataset.PatientID = "Planted^Name", "Planted Number"
    dataset.Rows, dataset.Columns, dataset.BitsAllocated = 10, 20, 16
    dataset.add_new(0x00280103, "US", 0)
    return dataset


def plant(dataset: Dataset) -> None:
    """Put something into every attribute that the profile does not keep."""
    for tag, action in listed().items():
        vr = dictionary_vr(tag)[:2]
        if action is Action.KEEP or vr == "UN" or tag < 0x00080000:  # of commands: no data set holds them
            continue
        if vr == "SQ":
            item = Dataset()
            item.CodeMeaning, item.PatientName = "Planted Text", "Planted^Name"
            dataset.add_new(tag, vr, [item])
        else:
            dataset.add_new(tag, vr, PLANTED[vr])
    block = dataset.private_block(0x0019, "PLANTED PRIVATE", create=True)
    block.add_new(1, "LO", "Planted Text")
    dataset.add_new(0x50000010, "US", 0x7EA5)
    dataset.add_new(0x60003000, "OW", b"Planted Bytes!")
    dataset.add_new(0x60004000, "LT", "Planted Text")
    dataset.add_new(0x6000_0022, "LO", "Planted Text")


def encoded(dataset: Dataset, syntax: str, *, behind: bool = True) -> bytes:
    """The data set with its pixels, and with what must not lie behind them."""
    if syntax == JPEGBaseline8Bit:
        dataset.add_new(0x7FE00010, "OB", encapsulate([PIXELS, PIXELS]))
        dataset["PixelData"].is_undefined_length = True
    else:
        dataset.add_new(0x7FE00010, "OW", PIXELS)
    if behind:
        dataset.add_new(0x7FE10010, "LO", "PLANTED BEHIND")
        dataset.add_new(0x7FE11001, "LO", "Planted Text")
        dataset.add_new(0xFFFCFFFC, "OB", b"Planted Bytes!")
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = (
        syntax != ExplicitVRBigEndian,
        syntax == ImplicitVRLittleEndian,
    )
    write_dataset(file, dataset)
    written = file.getvalue()
    if syntax != DeflatedExplicitVRLittleEndian:
        return written
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(written) + engine.flush()


def in_pieces(data: bytes, size: int = 1000) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def released(data: bytes, syntax: str, site: str = "") -> bytes:
    return b"".join(deidentify(in_pieces(data), Uid(syntax), PSEUDONYMS, site, LIMITS))


def inflated(data: bytes, syntax: str) -> bytes:
    return zlib.decompress(data, -15) if syntax == DeflatedExplicitVRLittleEndian else data


def read(data: bytes, syntax: str) -> Dataset:
    plain = inflated(data, syntax)
    return pydicom.dcmread(
        BytesIO(_with_meta(plain, ExplicitVRLittleEndian if plain is not data else syntax)), force=True
    )


def _with_meta(data: bytes, syntax: str) -> bytes:
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value
    length = struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(element))
    return bytes(128) + b"DICM" + length + element + data


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_nothing_planted_survives_at_the_top_or_nested(syntax: str) -> None:
    dataset, inner, innermost = image(), Dataset(), Dataset()
    for each in (dataset, inner, innermost):
        plant(each)
    innermost.add_new(0x7FE00010, "OW", b"Planted Bytes!")
    inner.add_new(0x00081140, "SQ", [innermost])  # ReferencedImageSequence is kept
    dataset.add_new(0x52009229, "SQ", [inner])  # SharedFunctionalGroupsSequence is not of the profile
    data = encoded(dataset, syntax)
    assert all(trace in inflated(data, syntax) for trace in TRACES[:2])
    out = released(data, syntax)
    plain = inflated(out, syntax)
    header = plain.replace(PIXELS, b"")
    assert len(header) < len(plain)
    for trace in TRACES:
        assert trace not in header, trace
    found = read(out, syntax)
    assert (found.StudyInstanceUID, found.Rows, found.Modality) == (UID + ".1", 10, "CT")
    assert found.SharedFunctionalGroupsSequence[0].ReferencedImageSequence[0] is not None


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_result_is_marked_in_order_and_keeps_its_pixels(syntax: str) -> None:
    dataset = image()
    dataset.PatientIdentityRemoved, dataset.DeidentificationMethod = "NO", "Planted Text"
    found = read(released(encoded(dataset, syntax), syntax), syntax)
    assert found.PatientIdentityRemoved == "YES"
    assert found.LongitudinalTemporalInformationModified == "REMOVED"
    assert "Basic Profile" in found.DeidentificationMethod
    codes = [
        (code.CodeValue, code.CodingSchemeDesignator) for code in found.DeidentificationMethodCodeSequence
    ]
    assert codes == [("113100", "DCM"), ("113110", "DCM")]
    tags = [element.tag for element in found]
    assert tags == sorted(set(tags))
    assert tags[-1] == 0x7FE00010
    assert PIXELS in found.PixelData


def test_pseudonym_is_the_patient_s_and_tells_nothing() -> None:
    def name(patient_id: str, issuer: str = "", site: str = "", study: str = UID) -> str:
        dataset = image()
        dataset.PatientID, dataset.StudyInstanceUID = patient_id, study
        if issuer:
            dataset.IssuerOfPatientID = issuer
        found = read(
            released(encoded(dataset, ExplicitVRLittleEndian), ExplicitVRLittleEndian, site),
            ExplicitVRLittleEndian,
        )
        assert str(found.PatientName) == found.PatientID
        return str(found.PatientID)

    assert re.fullmatch("ANON-[A-Z2-7]{16}", name("123"))
    assert name("123") == name("123 ", study=UID + ".9")
    assert len({name("123"), name("124"), name("123", "A"), name("123", site="a"), name("123", "B")}) == 5
    assert name("") != name("", study=UID + ".9")
    assert Pseudonyms(b"1" * 32).of(b"123", b"") != Pseudonyms(b"2" * 32).of(b"123", b"")
    assert "111" not in repr(Pseudonyms(b"1" * 32))


@pytest.mark.parametrize(
    ("keyword", "value", "why"),
    [
        ("BurnedInAnnotation", "YES", "burned"),
        ("BurnedInAnnotation", "PERHAPS", "burned"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.88.11", "no images"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.104.1", "no images"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.9.1.1", "no images"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.11.1", "no images"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.66", "no images"),
        ("SOPClassUID", "1.2.3.4", "no images"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7", "does not say"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.6.1", "does not say"),
        ("Modality", "US", "does not say"),
        ("ConversionType", "DF", "does not say"),
        ("ImageType", ["DERIVED", "SECONDARY", "SCREEN SAVE"], "does not say"),
    ],
)
def test_object_whose_pixels_may_tell_is_refused_before_any_byte(
    keyword: str, value: object, why: str
) -> None:
    dataset = image()
    setattr(dataset, keyword, value)
    data = encoded(dataset, ExplicitVRLittleEndian)
    with pytest.raises(NotDeidentifiable, match=why):
        next(deidentify([data], Uid(ExplicitVRLittleEndian), PSEUDONYMS, "", LIMITS))
    if why == "does not say":
        dataset.BurnedInAnnotation = "NO"
        assert released(encoded(dataset, ExplicitVRLittleEndian), ExplicitVRLittleEndian)


def test_burned_in_said_by_a_nested_item_counts() -> None:
    dataset, item = image(), Dataset()
    item.BurnedInAnnotation = "YES"
    dataset.PatientName = "x"
    dataset.add_new(0x00081115, "SQ", [item])
    with pytest.raises(NotDeidentifiable, match="burned"):
        released(encoded(dataset, ExplicitVRLittleEndian), ExplicitVRLittleEndian)


def test_overlay_within_the_pixels_is_refused() -> None:
    dataset = image()
    dataset.add_new(0x60000102, "US", 12)
    with pytest.raises(NotDeidentifiable, match="overlay"):
        released(encoded(dataset, ExplicitVRLittleEndian), ExplicitVRLittleEndian)


def test_pixels_go_through_in_pieces_and_never_whole() -> None:
    header = encoded(image(), ExplicitVRLittleEndian, behind=False)[: -12 - len(PIXELS)]
    frame_bytes, chunk = 64 << 20, bytes(1 << 18)
    taken = 0

    def stored() -> Iterator[bytes]:
        nonlocal taken
        yield header + struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, frame_bytes)
        for _ in range(frame_bytes // len(chunk)):
            taken += len(chunk)
            yield chunk

    sent = 0
    for piece in deidentify(stored(), Uid(ExplicitVRLittleEndian), PSEUDONYMS, "", LIMITS):
        sent += len(piece)
        assert taken - sent <= 2 << 20
    assert sent > frame_bytes


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_one_that_ends_within_its_pixels_is_refused(syntax: str) -> None:
    data = encoded(image(), syntax, behind=False)
    with pytest.raises(NotDeidentifiable):
        released(data[:-40], syntax)


def test_sequence_that_its_writer_did_not_know_is_left_out() -> None:
    item = struct.pack("<HHLHHL", 0xFFFE, 0xE000, 20, 0x0010, 0x0010, 12) + b"Planted^Name"
    unknown = struct.pack("<HH2sHL", 0x0008, 0x1140, b"UN", 0, len(item)) + item
    undefined = struct.pack("<HH2sHL", 0x0008, 0x2112, b"UN", 0, 0xFFFFFFFF)
    undefined += item + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    data = encoded(image(), ExplicitVRLittleEndian)
    at = data.index(struct.pack("<HH", 0x0010, 0x0010))
    out = released(data[:at] + unknown + undefined + data[at:], ExplicitVRLittleEndian)
    assert b"lanted" not in out


def test_uid_that_is_none_is_left_out() -> None:
    dataset = image()
    dataset.add_new(0x00200052, "UI", UID + ".8")
    data = encoded(dataset, ExplicitVRLittleEndian)
    assert (UID + ".8").encode() in released(data, ExplicitVRLittleEndian)
    told = data.replace((UID + ".8").encode(), b"Smith^Ann".ljust(len(UID) + 2))
    assert b"Smith" not in released(told, ExplicitVRLittleEndian)


def test_judgement_of_what_the_table_does_not_list() -> None:
    assert judge(0x00080404, "DT") is Action.REMOVE  # a date of inventories
    assert judge(0x00280010, "PN") is Action.REMOVE  # says to be a name
    assert judge(0x00280010, "SQ") is Action.REMOVE
    assert judge(0x00287FE0, "UR") is Action.REMOVE
    assert judge(0x00090010, "LO") is Action.REMOVE
    assert judge(0x00080002, "LO") is Action.REMOVE  # nobody knows it
    assert judge(0x00280010, "US") is Action.KEEP
    assert judge(0x0020000D, "UI") is Action.KEEP
    assert judge(0x00081140, "SQ") is Action.KEEP
    assert judge(0x00080050, "SH") is Action.EMPTY


def test_table_is_whole() -> None:
    actions = listed()
    assert len(actions) == 652
    assert actions[0x00100010] is Action.EMPTY
    assert actions[0x00100030] is Action.EMPTY
    assert actions[0x00081030] is Action.REMOVE


@given(st.binary(max_size=400), st.sampled_from(SYNTAXES), st.integers(0, 400))
def test_broken_bytes_are_refused_or_come_out_clean(noise: bytes, syntax: str, at: int) -> None:
    data = encoded(image(), syntax)
    at = min(at, len(data))
    broken = data[:at] + noise + data[at:]
    try:
        list(deidentify([broken], Uid(syntax), PSEUDONYMS, "", LIMITS))
    except NotDeidentifiable:
        return


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(tag for tag in listed() if tag >= 0x00080000)), st.integers(0, 3)),
        max_size=12,
    ),
    st.sampled_from(SYNTAXES),
)
def test_any_attributes_at_any_depth(planted: list[tuple[int, int]], syntax: str) -> None:
    levels = [image(), Dataset(), Dataset(), Dataset()]
    for tag, depth in planted:
        vr = dictionary_vr(tag)[:2]
        if vr not in {"SQ", "UN", "UI"}:
            levels[depth].add_new(tag, vr, PLANTED[vr])
    for outer, inner in zip(levels[-2::-1], levels[:0:-1], strict=True):
        outer.add_new(0x00082112, "SQ", Sequence([inner]))
    plain = inflated(released(encoded(levels[0], syntax), syntax), syntax).replace(PIXELS, b"")
    for trace in TRACES:
        assert trace not in plain
