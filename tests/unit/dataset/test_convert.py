from __future__ import annotations

import io
import warnings
import zlib
from array import array

import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from leadglass.dataset.convert import ConvertLimits, convert, convertible
from leadglass.dataset.inflate import InflateLimits
from leadglass.model.errors import ConversionImpossible
from leadglass.model.names import Uid
from tests.support.corpus import CorpusFile, storable
from tests.unit.dataset.building import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    UNDEFINED,
    explicit,
    implicit,
    item,
    open_item,
    open_sequence,
    pixels,
    sequence_end,
    uids,
)

LIMITS = ConvertLimits()
TARGETS = (IMPLICIT, EXPLICIT)
# Whose element structure does not hold to the end, so that no conversion can.
BROKEN = {"pydicom/test_files/MR_truncated.dcm", "pydicom/test_files/rtplan_truncated.dcm"}


def deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


def read(data: bytes, syntax: Uid) -> Dataset:
    if syntax == DEFLATED:
        data = zlib.decompress(data, -zlib.MAX_WBITS)
    return read_dataset(io.BytesIO(data), is_implicit_VR=syntax == IMPLICIT, is_little_endian=syntax != BIG)


def assert_equal_values(before: Dataset, after: Dataset, source: Uid, where: str) -> None:
    kept = [tag for tag in before.keys() if tag.element != 0]  # noqa: SIM118  # keys keeps raw elements raw
    assert kept == list(after.keys()), where
    for tag in kept:
        raw, new_raw = before.get_item(tag).value, after.get_item(tag).value
        old, new = before[tag], after[tag]
        place = f"{where} {tag}"
        if new.VR != old.VR:
            # pydicom knows some makers' elements, not always as the maker wrote them; and where the
            # dictionary leaves a choice it guesses
            assert tag.is_private or " or " in dictionary_VR(tag), place
            assert source == BIG or (raw or b"") == (new_raw or b""), place
        elif old.VR == "SQ":
            assert len(old.value) == len(new.value), place
            for old_item, new_item in zip(old.value, new.value, strict=True):
                assert_equal_values(old_item, new_item, source, place)
        elif source == BIG and old.VR == "OW" and old.value:
            words = array("H", old.value)
            words.byteswap()
            assert words.tobytes() == new.value, place
        else:
            assert old.value == new.value, place


def convertible_files() -> list[CorpusFile]:
    return [file for file in storable() if file.transfer_syntax in {IMPLICIT, EXPLICIT, BIG, DEFLATED}]


@pytest.mark.parametrize("wanted", TARGETS)
def test_real_files_keep_every_value(wanted: Uid) -> None:
    converted = 0
    for file in convertible_files():
        source = Uid(file.transfer_syntax)
        if file.name in BROKEN or source == wanted:
            continue
        data = file.dataset_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of these files are wrong on purpose
            assert_equal_values(
                read(data, source), read(convert(data, source, wanted, LIMITS), wanted), source, file.name
            )
        converted += 1
    assert converted > 20


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_files_are_refused_and_not_half_converted(name: str) -> None:
    (file,) = (file for file in convertible_files() if file.name == name)
    wanted = EXPLICIT if file.transfer_syntax == IMPLICIT else IMPLICIT
    with pytest.raises(ConversionImpossible, match="ends inside"):
        convert(file.dataset_bytes(), Uid(file.transfer_syntax), wanted, LIMITS)


def test_only_uncompressed_syntaxes_convert_and_only_to_little_endian() -> None:
    for stored in (IMPLICIT, EXPLICIT, BIG, DEFLATED):
        assert convertible(stored, stored)
        for wanted in TARGETS:
            assert convertible(stored, wanted)
    assert convertible(JPEG, JPEG)
    for stored, wanted in ((JPEG, EXPLICIT), (EXPLICIT, BIG), (EXPLICIT, DEFLATED), (EXPLICIT, JPEG)):
        assert not convertible(stored, wanted)
        with pytest.raises(ConversionImpossible):
            convert(b"", stored, wanted, LIMITS)


def test_the_same_syntax_gives_the_same_bytes() -> None:
    data = b"anything at all"
    assert convert(data, JPEG, JPEG, LIMITS) is data


def test_deflated_to_explicit_is_inflated_and_no_more() -> None:
    data = explicit(0x00080000, "UL", b"\0\0\0\0") + uids() + pixels()
    assert convert(deflate(data), DEFLATED, EXPLICIT, LIMITS) == data


@pytest.mark.parametrize(
    ("vr", "raw", "swapped"),
    [
        ("OB", b"\1\2\3\4", b"\1\2\3\4"),
        ("UN", b"\1\2\3\4", b"\1\2\3\4"),
        ("OW", b"\1\2\3\4", b"\2\1\4\3"),
        ("AT", b"\1\2\3\4", b"\2\1\4\3"),
        ("SS", b"\1\2", b"\2\1"),
        ("OF", b"\1\2\3\4", b"\4\3\2\1"),
        ("OL", b"\1\2\3\4", b"\4\3\2\1"),
        ("FL", b"\1\2\3\4", b"\4\3\2\1"),
        ("OD", b"\1\2\3\4\5\6\7\x08", b"\x08\7\6\5\4\3\2\1"),
        ("OV", b"\1\2\3\4\5\6\7\x08", b"\x08\7\6\5\4\3\2\1"),
        ("UV", b"\1\2\3\4\5\6\7\x08", b"\x08\7\6\5\4\3\2\1"),
        ("OW", b"\1\2\3", b"\2\1\3"),
        ("LO", b"text", b"text"),
    ],
)
def test_big_endian_values_turn_by_their_unit(vr: str, raw: bytes, swapped: bytes) -> None:
    tag = 0x00091010
    assert convert(explicit(tag, vr, raw, ">"), BIG, EXPLICIT, LIMITS) == explicit(tag, vr, swapped)


@pytest.mark.parametrize(("representation", "vr"), [(b"\0\0", b"US"), (b"\1\0", b"SS"), (None, b"US")])
def test_us_or_ss_follows_pixel_representation(representation: bytes | None, vr: bytes) -> None:
    data = b"" if representation is None else implicit(0x00280103, representation)
    converted = convert(data + implicit(0x00280106, b"\1\0"), IMPLICIT, EXPLICIT, LIMITS)
    assert converted.endswith(b"\x28\0\x06\x01" + vr + b"\2\0\1\0")


def test_a_sequence_inherits_pixel_representation_or_has_its_own() -> None:
    inherits = item(implicit(0x00280106, b"\1\0"))
    own = item(implicit(0x00280103, b"\0\0") + implicit(0x00280106, b"\1\0"))
    data = implicit(0x00081140, inherits + own + inherits) + implicit(0x00280103, b"\1\0")
    dataset = read(convert(data, IMPLICIT, EXPLICIT, LIMITS), EXPLICIT)
    found = [each["SmallestImagePixelValue"].VR for each in dataset.ReferencedImageSequence]
    assert found == ["SS", "US", "SS"]


def test_implicit_elements_get_the_vr_of_the_dictionary() -> None:
    data = (
        implicit(0x00080060, b"CT")
        + implicit(0x00090010, b"MAKER ")
        + implicit(0x00091001, b"\1\2\3\4")
        + implicit(0x60003000, b"\1\2")
        + implicit(0x7FE00010, b"\1\2")
    )
    converted = convert(data, IMPLICIT, EXPLICIT, LIMITS)
    assert converted == (
        explicit(0x00080060, "CS", b"CT")
        + explicit(0x00090010, "LO", b"MAKER ")
        + explicit(0x00091001, "UN", b"\1\2\3\4")
        + explicit(0x60003000, "OW", b"\1\2")
        + explicit(0x7FE00010, "OW", b"\1\2")
    )


def test_a_value_too_long_for_its_vr_becomes_unknown() -> None:
    converted = convert(implicit(0x00189810, bytes(0x10000)), IMPLICIT, EXPLICIT, LIMITS)
    assert converted == explicit(0x00189810, "UN", bytes(0x10000))


def test_group_lengths_are_left_out() -> None:
    data = explicit(0x00080000, "UL", b"\0\0\0\0") + explicit(0x00080060, "CS", b"CT")
    assert convert(data, EXPLICIT, IMPLICIT, LIMITS) == implicit(0x00080060, b"CT")


def test_an_unknown_sequence_is_written_as_the_sequence_it_is() -> None:
    data = open_sequence(0x00091001, open_item(implicit(0x00080060, b"CT")), ">", "UN").replace(
        b"\xff\xfe\xe0\xdd", b"\xfe\xff\xdd\xe0"
    )
    converted = convert(data, BIG, EXPLICIT, LIMITS)
    assert converted == open_sequence(0x00091001, open_item(explicit(0x00080060, "CS", b"CT")))


def test_delimiters_that_close_nothing_are_left_out() -> None:
    superfluous = item(explicit(0x00080060, "CS", b"CT") + open_item(b"")[8:]) + sequence_end()
    converted = convert(explicit(0x00081140, "SQ", superfluous), EXPLICIT, IMPLICIT, LIMITS)
    inside = open_item(implicit(0x00080060, b"CT")) + sequence_end()
    assert converted == implicit(0x00081140, inside, UNDEFINED)


def test_a_few_zeros_behind_the_last_element_are_padding() -> None:
    assert convert(explicit(0x00080060, "CS", b"CT") + b"\0\0", EXPLICIT, IMPLICIT, LIMITS) == implicit(
        0x00080060, b"CT"
    )


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (explicit(0x7FE00010, "OB", item(b"") + sequence_end(), length=UNDEFINED), EXPLICIT),
        (explicit(0x7FE00010, "OW", b"", length=8), EXPLICIT),
        (explicit(0x7FE00010, "OW", b"") + b"\1\2\3", EXPLICIT),
        (explicit(0x7FE00010, "OW", b"") + explicit(0xFFFCFFFC, "OB", b"")[:10], EXPLICIT),
        (explicit(0x7FE00010, "OW", b"") + item(b""), EXPLICIT),
        (explicit(0x00081140, "SQ", item(b"")[:6]), EXPLICIT),
        (explicit(0x00081140, "SQ", item(explicit(0x00080060, "CS", b"CT")[:-1])), EXPLICIT),
        (explicit(0x00081140, "SQ", item(explicit(0x00080060, "OB", b"")[:9])), EXPLICIT),
        (explicit(0x00081140, "SQ", explicit(0x00080060, "CS", b"CT")), EXPLICIT),
        (explicit(0x00081140, "SQ", item(b"\0\0\0\0")[:-2] + b"\0\0"), EXPLICIT),
        (explicit(0x00081140, "SQ", open_item(b"")[:8]), EXPLICIT),
        (deflate(pixels())[:-2], DEFLATED),
        (b"\xff" * 20, DEFLATED),
    ],
)
def test_what_cannot_be_read_is_not_converted(data: bytes, source: Uid) -> None:
    with pytest.raises(ConversionImpossible):
        convert(data, source, IMPLICIT, LIMITS)


def test_depth_and_inflation_are_bounded() -> None:
    deep = b""
    for _ in range(101):
        deep = open_sequence(0x00081140, open_item(deep))
    with pytest.raises(ConversionImpossible, match="deeper"):
        convert(deep, EXPLICIT, IMPLICIT, LIMITS)
    with pytest.raises(ConversionImpossible, match="deeper"):
        convert(pixels() + deep, EXPLICIT, IMPLICIT, LIMITS)
    bomb = deflate(explicit(0x7FE00010, "OW", bytes(20_000_000)))
    with pytest.raises(ConversionImpossible, match="200 times"):
        convert(bomb, DEFLATED, EXPLICIT, LIMITS)
    with pytest.raises(ConversionImpossible, match="past 1000000"):
        convert(bomb, DEFLATED, EXPLICIT, ConvertLimits(inflate=InflateLimits(max_bytes=1_000_000)))
