"""The hand scanner and pydicom, held equal: on real files, and on data sets made up here."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Mapping

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from leadglass.dataset import tags
from leadglass.dataset.header import Header, HeaderLimits, Part, scan_header
from leadglass.dataset.record import instance_record
from leadglass.model.errors import DatasetInvalid
from leadglass.model.names import Uid
from tests.support.corpus import CorpusFile, storable
from tests.unit.dataset.building import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    explicit,
    implicit,
    item,
    open_item,
    open_sequence,
)

LIMITS = HeaderLimits()
INDEXED = sorted({entry.tag for entry in tags.INDEX_TAGS} - {tags.AVAILABLE_TRANSFER_SYNTAX_UID})
TEXTS = [entry for entry in tags.INDEX_TAGS if entry.vr not in {"US", "UI", "DS", "IS"}]

# Real files that no archive can index, and why.
REFUSED = {
    "pydicom/test_files/SC_rgb_jpeg.dcm": "its data set is implicit VR, its transfer syntax says explicit",
    "pydicom/test_files/rtplan_truncated.dcm": "it ends within a sequence",
    "pydicom-data/bad_sequence.dcm": "its UIDs are hexadecimal",
}


def scan(file: CorpusFile) -> Header:
    return scan_header(file.dataset_bytes(), Uid(file.transfer_syntax), LIMITS)


def accepted() -> list[CorpusFile]:
    return [file for file in storable() if file.name not in REFUSED]


def read(data: bytes, syntax: Uid) -> Dataset:
    if syntax == DEFLATED:
        data = zlib.decompress(data, -zlib.MAX_WBITS)
    return read_dataset(
        io.BytesIO(data),
        is_implicit_VR=syntax == IMPLICIT,
        is_little_endian=syntax != BIG,
        stop_when=lambda tag, _vr, _length: tag in {0x7FE00008, 0x7FE00009, 0x7FE00010},
    )


def raw_values(dataset: Dataset) -> dict[int, bytes]:
    """The index tags as pydicom found them, undecoded."""
    found = {}
    for tag in INDEXED:
        if tag not in dataset:
            continue
        element = dataset.get_item(tag)
        if element.VR != "SQ":
            found[tag] = element.value or b""
    return found


def indexed(values: Mapping[int, bytes]) -> dict[int, bytes]:
    return {tag: raw for tag, raw in values.items() if tag in INDEXED}


def test_real_files_have_the_raw_values_that_pydicom_finds() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of these files are wrong on purpose
        for file in accepted():
            dataset = read(file.dataset_bytes(), Uid(file.transfer_syntax))
            assert indexed(scan(file).values) == raw_values(dataset), file.name


def test_real_files_have_pixels_where_pydicom_has() -> None:
    for file in accepted():
        if file.transfer_syntax != DEFLATED:
            data, offset = file.dataset_bytes(), scan(file).pixel_offset
            mark = b"\x7f\xe0\x00" if file.transfer_syntax == BIG else b"\xe0\x7f"
            assert offset is None or data[offset : offset + len(mark)] == mark, file.name


def test_real_files_have_the_text_that_pydicom_decodes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in accepted():
            record = instance_record(
                scan(file),
                sop_class=Uid(file.sop_class),
                sop_instance=Uid(file.sop_instance),
                transfer_syntax=Uid(file.transfer_syntax),
            )
            assert (record.study, record.series, record.modality) == (file.study, file.series, file.modality)
            dataset = pydicom.dcmread(file.path, stop_before_pixels=True)
            for entry in TEXTS:
                if entry.tag not in dataset or "\ufffd" in str(dataset[entry.tag].value):
                    continue
                element = dataset[entry.tag]
                values = element.value if element.VM > 1 else [element.value]
                expected = "\\".join("" if each is None else str(each).strip(" \0") for each in values)
                found = record.attributes[entry.tag]
                if entry.vr == "PN":
                    found = found.rstrip("=")  # pydicom drops empty component groups
                assert found == expected, f"{file.name} {entry.keyword}"


def test_real_files_scan_the_same_in_fragments_and_as_a_prefix() -> None:
    for file in accepted():
        data, syntax = file.dataset_bytes(), Uid(file.transfer_syntax)
        header = scan_header(data, syntax, LIMITS)
        view = memoryview(data)
        fragments = [view[start : start + 1000] for start in range(0, len(data), 1000)]
        assert scan_header(fragments, syntax, LIMITS) == header, file.name
        if header.pixel_offset is not None:
            prefix = scan_header(data[: header.pixel_offset + 12], syntax, LIMITS, Part.PREFIX)
            assert prefix.values == header.values, file.name


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_files_that_are_truly_broken_get_a_typed_refusal(name: str) -> None:
    (file,) = (file for file in storable() if file.name == name)
    with pytest.raises(DatasetInvalid):
        instance_record(
            scan(file),
            sop_class=Uid(file.sop_class),
            sop_instance=Uid(file.sop_instance),
            transfer_syntax=Uid(file.transfer_syntax),
        )


VALUES = {
    "LO": st.sampled_from(["", "A", "some text", "x" * 64]),
    "PN": st.sampled_from(["", "Testa^Anna", "A^B^C"]),
    "CS": st.sampled_from(["", "CT", "ORIGINAL"]),
    "DA": st.sampled_from(["", "20240101"]),
    "TM": st.sampled_from(["", "101500", "101500.123"]),
    "UI": st.sampled_from(["1.2.3", "1.2.3.4"]),
    "US": st.integers(0, 65535),
    "IS": st.integers(0, 99999).map(str),
    "DS": st.sampled_from(["1.5", "0"]),
    "SH": st.sampled_from(["", "A1"]),
    "AS": st.sampled_from(["", "030Y"]),
}
PRIVATE_OR_PLAIN = [0x00080005 + 0x2112, 0x00181400, 0x00204000, 0x00291010, 0x00400280]


@st.composite
def datasets(draw: st.DrawFn, depth: int = 2) -> Dataset:
    """A data set of index tags, others, and sequences of both kinds of length."""
    dataset = Dataset()
    for entry in draw(st.lists(st.sampled_from(tags.INDEX_TAGS), max_size=12)):
        dataset.add_new(entry.tag, entry.vr, draw(VALUES[entry.vr]))
    for tag in draw(st.lists(st.sampled_from([0x00204000, 0x00104000]), max_size=2)):
        dataset.add_new(tag, "LT", draw(st.sampled_from(["", "y" * 3000])))
    if depth:
        for tag in draw(st.lists(st.sampled_from([0x00081140, 0x00089215, 0x00400275]), max_size=2)):
            items = draw(st.lists(datasets(depth=depth - 1), max_size=3))
            for each in items:
                each.is_undefined_length_sequence_item = draw(st.booleans())
            dataset.add_new(tag, "SQ", items)
            dataset[tag].is_undefined_length = draw(st.booleans())
        if draw(st.booleans()):
            dataset.add_new(0x00291010, "OB", bytes(draw(st.integers(0, 2000)) * 2))
    return dataset


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(datasets(), st.sampled_from([EXPLICIT, IMPLICIT, BIG, DEFLATED]), st.integers(1, 5000))
def test_data_sets_written_by_pydicom_are_read_alike(dataset: Dataset, syntax: Uid, size: int) -> None:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, implicit_vr=syntax == IMPLICIT, little_endian=syntax != BIG)
    data = buffer.getvalue()
    if syntax == DEFLATED:
        engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = engine.compress(data) + engine.flush()
    header = scan_header(data, syntax, LIMITS)
    assert indexed(header.values) == raw_values(read(data, syntax))
    fragments = [data[start : start + size] for start in range(0, len(data), size)]
    assert scan_header(fragments, syntax, LIMITS) == header


def elements(order: str) -> st.SearchStrategy[bytes]:
    """Explicit VR elements as bytes, with every way to nest."""
    plain = st.builds(
        lambda tag, vr, value: explicit(tag, vr, value, order),
        st.sampled_from([*INDEXED, 0x00204000, 0x00291010]),
        st.sampled_from(["LO", "UN", "OB", "US", "UT"]),
        st.binary(max_size=6),
    )

    def nest(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
        within = st.lists(inner, max_size=3).map(b"".join)
        unknown = open_item(implicit(tags.PATIENT_ID, b"IN")) + item(implicit(tags.MODALITY, b"CT"))
        closed = within.map(lambda value: explicit(0x00081140, "SQ", item(value, order), order))
        opened = within.map(lambda value: open_sequence(0x00081140, open_item(value, order), order))
        mixed = within.map(lambda value: open_sequence(0x00081140, item(value, order) * 2, order))
        fragments = st.binary(max_size=8).map(
            lambda value: open_sequence(0x00291010, item(value, order), order, "OB")
        )
        cp246 = st.just(open_sequence(0x00291020, unknown, "<", "UN"))
        return st.one_of(closed, opened, mixed, fragments, *([cp246] if order == "<" else []))

    return st.recursive(plain, nest, max_leaves=8)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data(), st.sampled_from([EXPLICIT, BIG]))
def test_data_sets_nested_in_every_way_are_read_alike(data: st.DataObject, syntax: Uid) -> None:
    parts = data.draw(st.lists(elements(">" if syntax == BIG else "<"), max_size=8))
    content = b"".join(parts)
    assert indexed(scan_header(content, syntax, LIMITS).values) == raw_values(read(content, syntax))
