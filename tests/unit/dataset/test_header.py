from __future__ import annotations

import zlib

import pytest

from leadglass.dataset.header import MAX_INDEXED_VALUE_BYTES, HeaderLimits, NeedMoreBytes, Part, scan_header
from leadglass.dataset.inflate import InflateLimits
from leadglass.dataset.tags import MODALITY, PATIENT_ID, PATIENT_NAME, SOP_INSTANCE_UID, STUDY_DATE
from leadglass.model.errors import DatasetInvalid, LimitExceeded
from leadglass.model.names import Uid
from tests.unit.dataset.building import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    UNDEFINED,
    explicit,
    implicit,
    item,
    open_item,
    open_sequence,
    pixels,
    sequence_end,
    study_uids,
    uids,
)

LIMITS = HeaderLimits()
SEQUENCE = 0x00081140
PRIVATE = 0x00091001
CT = explicit(MODALITY, "CS", b"CT")
LAST = explicit(0x00400245, "TM", b"101500")


def deflated(data: bytes) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


def nested(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = open_sequence(SEQUENCE, open_item(inner))
    return inner


def nested_defined(depth: int) -> bytes:
    inner = explicit(0x00080060, "CS", b"CT")
    for _ in range(depth):
        inner = explicit(SEQUENCE, "SQ", item(inner))
    return inner


def nested_implicit(depth: int, tag: int = SEQUENCE) -> bytes:
    inner = implicit(0x00080060, b"CT")
    for _ in range(depth):
        inner = implicit(tag, item(inner))
    return inner


def test_explicit_little_endian_values_and_pixel_offset() -> None:
    data = uids() + explicit(0x00100010, "PN", b"Testa^Anna") + study_uids()
    header = scan_header(data + pixels(), EXPLICIT, LIMITS)
    assert header.values[PATIENT_NAME] == b"Testa^Anna"
    assert header.values[SOP_INSTANCE_UID] == b"1.2.3.4\0"
    assert header.pixel_offset == len(data)


def test_implicit_little_endian_values() -> None:
    header = scan_header(implicit(MODALITY, b"CT") + implicit(0x7FE00010, b"\0\0"), IMPLICIT, LIMITS)
    assert header.values == {MODALITY: b"CT"}
    assert header.pixel_offset == 10


def test_explicit_big_endian_values() -> None:
    data = explicit(MODALITY, "CS", b"CT", ">") + explicit(0x00280010, "US", b"\2\0", ">")
    header = scan_header(data + pixels(">"), BIG, LIMITS)
    assert header.values == {MODALITY: b"CT", 0x00280010: b"\2\0"}
    assert header.layout.order == ">"


def test_unknown_transfer_syntaxes_are_explicit_little_endian() -> None:
    assert scan_header(CT, Uid("1.2.3.4"), LIMITS).values == {MODALITY: b"CT"}


def test_a_data_set_without_pixels_is_scanned_to_its_end() -> None:
    header = scan_header(uids() + study_uids(), EXPLICIT, LIMITS)
    assert header.pixel_offset is None
    assert len(header.values) == 4


def test_an_empty_data_set_has_no_values() -> None:
    assert scan_header(b"", EXPLICIT, LIMITS).values == {}


def test_the_last_of_two_equal_tags_counts() -> None:
    data = CT + explicit(MODALITY, "CS", b"MR")
    assert scan_header(data, EXPLICIT, LIMITS).values == {MODALITY: b"MR"}


def test_tags_out_of_order_are_still_found() -> None:
    data = explicit(PATIENT_ID, "LO", b"P1") + CT
    assert scan_header(data, EXPLICIT, LIMITS).values == {PATIENT_ID: b"P1", MODALITY: b"CT"}


def test_odd_lengths_are_tolerated() -> None:
    data = explicit(PATIENT_ID, "LO", b"P1X") + pixels()
    assert scan_header(data, EXPLICIT, LIMITS).values == {PATIENT_ID: b"P1X"}


def test_a_sequence_in_place_of_an_indexed_value_is_not_collected() -> None:
    assert scan_header(explicit(PATIENT_ID, "SQ", item(b"")), EXPLICIT, LIMITS).values == {}


def test_values_inside_sequences_are_not_collected() -> None:
    inside = explicit(PATIENT_ID, "LO", b"INNER!")
    for sequence in (explicit(SEQUENCE, "SQ", item(inside)), open_sequence(SEQUENCE, open_item(inside))):
        assert scan_header(sequence + CT, EXPLICIT, LIMITS).values == {MODALITY: b"CT"}


def test_unknown_elements_of_undefined_length_are_implicit_inside() -> None:
    inside = item(implicit(PATIENT_ID, b"INNER!")) + open_item(implicit(SEQUENCE, item(b"")))
    data = open_sequence(PRIVATE, inside, vr="UN") + CT
    assert scan_header(data, EXPLICIT, LIMITS).values == {MODALITY: b"CT"}


def test_encapsulated_fragments_before_the_pixels_are_stepped_over() -> None:
    icon = explicit(0x7FE00010, "OB", item(b"") + item(b"\xff\xd8") + sequence_end(), length=UNDEFINED)
    data = open_sequence(0x00080000 | 0x2112, open_item(icon)) + CT
    assert scan_header(data, EXPLICIT, LIMITS).values == {MODALITY: b"CT"}


def test_fragments_at_the_top_level_are_stepped_over() -> None:
    data = explicit(PRIVATE, "OB", item(b"ab") + sequence_end(), length=UNDEFINED)
    assert scan_header(data + CT, EXPLICIT, LIMITS).values == {MODALITY: b"CT"}


def test_implicit_sequences_of_undefined_length_are_stepped_over() -> None:
    inside = open_item(implicit(PATIENT_ID, b"INNER!")) + sequence_end()
    data = implicit(SEQUENCE, inside, UNDEFINED) + implicit(MODALITY, b"CT")
    assert scan_header(data, IMPLICIT, LIMITS).values == {MODALITY: b"CT"}


@pytest.mark.parametrize("tail", [b"\0", b"\0\0", b"\0" * 7])
def test_a_few_zeros_behind_the_last_element_are_padding(tail: bytes) -> None:
    assert scan_header(CT + tail, EXPLICIT, LIMITS).values == {MODALITY: b"CT"}


@pytest.mark.parametrize(
    ("data", "syntax", "says"),
    [
        (explicit(PATIENT_ID, "LO", b"P1", length=40), EXPLICIT, r"\(0010,0020\) at offset 0"),
        (CT + b"\x10\0\x20", EXPLICIT, "at offset 10"),
        (CT + b"\x10\0\x20\0UN\0\0\1", EXPLICIT, r"\(0010,0020\) at offset 10"),
        (explicit(0x00100020, "??", b""), EXPLICIT, r"\(0010,0020\) at offset 0: no value representation"),
        (implicit(PATIENT_ID, b"P1"), EXPLICIT, "no value repr"),
        (explicit(PATIENT_ID, "LO", b"P1"), IMPLICIT, "ends inside"),
        (explicit(0x00020010, "UI", b"1.2\0"), EXPLICIT, r"\(0002,0010\) at offset 0: not of a data set"),
        (explicit(0x00020010, "UI", b"1.2\0", ">"), BIG, "not of a data set"),
        (implicit(0x00000002, b"1.2\0"), IMPLICIT, "not of a data set"),
        (item(b""), IMPLICIT, "not of a data set"),
        (open_sequence(SEQUENCE, CT), EXPLICIT, "an item is expected"),
        (
            open_sequence(SEQUENCE, open_item(explicit(MODALITY, "??", b""))),
            EXPLICIT,
            "no value repr",
        ),
        (open_sequence(SEQUENCE, item(explicit(MODALITY, "CS", b"", length=4))) + LAST, EXPLICIT, "overruns"),
        (open_sequence(SEQUENCE, open_item(sequence_end())) + LAST, EXPLICIT, "not expected"),
        (
            explicit(PRIVATE, "OB", open_item(b"") + sequence_end(), length=UNDEFINED),
            EXPLICIT,
            "a length",
        ),
        (explicit(SEQUENCE, "SQ", b"", length=UNDEFINED), EXPLICIT, r"\(0008,1140\) at offset 0"),
    ],
)
def test_broken_structure_is_refused_by_offset_and_tag(data: bytes, syntax: Uid, says: str) -> None:
    with pytest.raises(DatasetInvalid, match=says):
        scan_header(data, syntax, LIMITS)


@pytest.mark.parametrize("make", [nested, nested_defined])
def test_a_hundred_nested_sequences_pass_and_one_more_does_not(make: object) -> None:
    assert callable(make)
    assert scan_header(make(100) + LAST, EXPLICIT, LIMITS).values
    with pytest.raises(LimitExceeded, match="deeper than 100"):
        scan_header(make(101) + LAST, EXPLICIT, LIMITS)


@pytest.mark.parametrize("tag", [SEQUENCE, PRIVATE])
def test_implicit_nesting_is_held_to_the_limit_too(tag: int) -> None:
    tail = implicit(0x00400245, b"101500")
    assert scan_header(nested_implicit(100, tag) + tail, IMPLICIT, LIMITS).values
    with pytest.raises(LimitExceeded, match="deeper than 100"):
        scan_header(nested_implicit(101) + tail, IMPLICIT, LIMITS)


def test_ten_thousand_nested_sequences_are_refused_without_recursion() -> None:
    with pytest.raises(LimitExceeded):
        scan_header(nested(10_000), EXPLICIT, LIMITS)
    with pytest.raises(LimitExceeded):
        scan_header(explicit(SEQUENCE, "SQ", open_item(nested(5_000))), EXPLICIT, LIMITS)


def test_many_items_side_by_side_are_not_depth() -> None:
    data = explicit(SEQUENCE, "SQ", item(CT) * 500)
    assert scan_header(data + LAST, EXPLICIT, LIMITS).values


def test_private_bytes_that_look_like_items_are_left_alone() -> None:
    data = implicit(PRIVATE, item(b"")[:4] * 500) + implicit(MODALITY, b"CT")
    assert scan_header(data, IMPLICIT, LIMITS).values == {MODALITY: b"CT"}


def test_a_text_element_over_the_limit_is_refused_before_it_is_here() -> None:
    data = explicit(0x00091001, "UT", b"", length=16 * 1024 * 1024 + 2)
    for part in Part:
        with pytest.raises(LimitExceeded, match="larger than"):
            scan_header(data, EXPLICIT, LIMITS, part)
    with pytest.raises(LimitExceeded, match="larger than"):
        scan_header(implicit(0x00204000, b"", 16 * 1024 * 1024 + 2), IMPLICIT, LIMITS, Part.PREFIX)


def test_bulk_data_may_be_larger_than_a_text() -> None:
    limits = HeaderLimits(max_element_bytes=4096)
    data = explicit(PRIVATE, "OB", bytes(5000)) + explicit(PRIVATE, "UN", bytes(5000)) + LAST
    assert scan_header(data, EXPLICIT, limits).values


def test_an_indexed_value_too_long_for_the_index_is_refused() -> None:
    data = implicit(PATIENT_ID, b"x" * (MAX_INDEXED_VALUE_BYTES + 1))
    with pytest.raises(LimitExceeded, match=r"\(0010,0020\)"):
        scan_header(data, IMPLICIT, LIMITS)


@pytest.mark.parametrize("size", [1, 2, 7, 100, 40_000])
def test_fragments_are_scanned_like_the_whole(size: int) -> None:
    data = uids() + explicit(PRIVATE, "OB", bytes(200_000)) + study_uids() + pixels()
    view = memoryview(data)
    parts = [view[start : start + size] for start in range(0, len(data), size)]
    if size < 100:
        parts = [*parts[:50], view[50 * size :]]
    assert scan_header(parts, EXPLICIT, LIMITS) == scan_header(data, EXPLICIT, LIMITS)


def test_only_the_first_bytes_of_many_fragments_are_looked_at() -> None:
    data = uids() + study_uids() + pixels()
    parts = [data, *[bytes(1000)] * 1000]
    assert scan_header(parts, EXPLICIT, LIMITS).pixel_offset == len(data) - len(pixels())


def test_a_prefix_with_pixels_is_enough() -> None:
    data = uids() + study_uids() + explicit(0x7FE00010, "OW", b"", length=1 << 30)
    assert scan_header(data, EXPLICIT, LIMITS, Part.PREFIX) == scan_header(data, EXPLICIT, LIMITS)


def test_a_prefix_that_ends_before_the_last_indexed_tag_needs_more() -> None:
    data = uids() + study_uids() + pixels()
    for cut in range(len(data) - len(pixels()) + 8):
        with pytest.raises(NeedMoreBytes):
            scan_header(data[:cut], EXPLICIT, LIMITS, Part.PREFIX)


def test_a_prefix_that_ends_within_a_document_is_enough() -> None:
    data = uids() + study_uids() + explicit(0x00420011, "OB", bytes(100), length=50_000_000)
    header = scan_header(data, EXPLICIT, LIMITS, Part.PREFIX)
    assert len(header.values) == 4
    assert header.pixel_offset is None


def test_a_prefix_that_ends_within_a_late_open_sequence_is_enough() -> None:
    data = uids() + study_uids() + open_sequence(0x52009230, open_item(b""))[:-4]
    assert len(scan_header(data, EXPLICIT, LIMITS, Part.PREFIX).values) == 4


def test_deflated_headers_are_inflated_no_further_than_needed() -> None:
    data = uids() + study_uids() + explicit(0x7FE00010, "OW", bytes(40_000_000))
    header = scan_header(deflated(data), DEFLATED, HeaderLimits(inflate=InflateLimits(max_bytes=100_000)))
    assert len(header.values) == 4
    assert header.pixel_offset is None


def test_deflated_headers_longer_than_the_first_look_are_followed() -> None:
    data = uids() + explicit(PRIVATE, "OB", bytes(range(256)) * 1000) + study_uids()
    assert len(scan_header(deflated(data), DEFLATED, LIMITS).values) == 4
    assert len(scan_header(deflated(data + pixels()), DEFLATED, LIMITS).values) == 4


def test_a_deflate_bomb_is_refused() -> None:
    bomb = deflated(explicit(PRIVATE, "OB", bytes(30_000_000)))
    with pytest.raises(LimitExceeded, match="more than 200 times"):
        scan_header(bomb, DEFLATED, LIMITS)
    with pytest.raises(LimitExceeded, match="past 100000 bytes"):
        scan_header(bomb, DEFLATED, HeaderLimits(inflate=InflateLimits(max_bytes=100_000)))


def test_a_cut_deflate_stream_is_invalid_as_a_whole_and_short_as_a_prefix() -> None:
    data = deflated(uids() + explicit(PRIVATE, "OB", bytes(range(256))) + study_uids())
    with pytest.raises(DatasetInvalid, match="cut short"):
        scan_header(data[:-4], DEFLATED, LIMITS)
    with pytest.raises(NeedMoreBytes):
        scan_header(data[:-4], DEFLATED, LIMITS, Part.PREFIX)


def test_what_is_not_deflated_is_refused() -> None:
    with pytest.raises(DatasetInvalid, match="not a deflated"):
        scan_header(b"\xff" * 64, DEFLATED, LIMITS)


def test_an_overrun_within_a_deflated_data_set_is_refused() -> None:
    with pytest.raises(DatasetInvalid, match="ends inside"):
        scan_header(deflated(explicit(STUDY_DATE, "DA", b"", length=8)), DEFLATED, LIMITS)


def test_a_prefix_is_not_scanned_through_what_follows_the_last_index_tag() -> None:
    deep = explicit(0x52009230, "SQ", open_item(nested(150)))
    for sequence in (deep, open_sequence(0x52009230, open_item(nested(150)))):
        data = uids() + study_uids() + sequence
        assert len(scan_header(data, EXPLICIT, LIMITS, Part.PREFIX).values) == 4
        with pytest.raises(LimitExceeded):
            scan_header(data, EXPLICIT, LIMITS)


def test_a_deflated_prefix_is_inflated_no_further_than_its_last_index_tag() -> None:
    data = deflated(uids() + study_uids() + explicit(0x52009230, "OB", bytes(40_000_000)) + pixels())
    limits = HeaderLimits(inflate=InflateLimits(max_bytes=100_000))
    assert len(scan_header(data[:-4], DEFLATED, limits, Part.PREFIX).values) == 4


def test_fragments_of_a_prefix_are_looked_at_no_further_than_needed() -> None:
    data = uids() + study_uids() + explicit(0x00420011, "OB", bytes(1_000_000), length=50_000_000)
    fragments = [data[start : start + 16_000] for start in range(0, len(data), 16_000)]
    assert scan_header(fragments, EXPLICIT, LIMITS, Part.PREFIX) == scan_header(
        data, EXPLICIT, LIMITS, Part.PREFIX
    )


def test_a_flood_of_empty_elements_is_refused() -> None:
    limits = HeaderLimits(max_elements=3)
    assert scan_header(explicit(PRIVATE, "LO", b"") * 3, EXPLICIT, limits).values == {}
    with pytest.raises(LimitExceeded, match="more than 3 elements"):
        scan_header(explicit(PRIVATE, "LO", b"") * 4, EXPLICIT, limits)
