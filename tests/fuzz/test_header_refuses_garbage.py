"""Random and damaged bytes: a header or a typed refusal, whatever comes. Nothing else, ever."""

from __future__ import annotations

import contextlib
import functools
import zlib

from hypothesis import example, given, settings
from hypothesis import strategies as st

from leadglass.dataset.convert import ConvertLimits, convert
from leadglass.dataset.header import HeaderLimits, NeedMoreBytes, Part, scan_header
from leadglass.dataset.identifier import decode_answer, decode_identifier, decode_retrieve
from leadglass.dataset.part10 import read_part10
from leadglass.dataset.record import instance_record
from leadglass.model.errors import (
    ConversionImpossible,
    DatasetInvalid,
    DatasetMismatch,
    IdentifierMismatch,
    LimitExceeded,
)
from leadglass.model.names import Uid
from leadglass.model.query import Root
from tests.support.corpus import storable
from tests.unit.dataset.building import BIG, CT_IMAGE, DEFLATED, EXPLICIT, IMPLICIT, JPEG

LIMITS = HeaderLimits(max_depth=4)
SYNTAXES = st.sampled_from([EXPLICIT, IMPLICIT, BIG, DEFLATED, JPEG])
REFUSALS = (DatasetInvalid, LimitExceeded, NeedMoreBytes)
SEED_BYTES = 3000


@functools.cache
def seeds() -> tuple[tuple[bytes, Uid], ...]:
    """The first bytes of real data sets, to damage."""
    return tuple((file.dataset_bytes()[:SEED_BYTES], Uid(file.transfer_syntax)) for file in storable()[::7])


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, Uid]:
    """A real data set with some bytes struck, doubled or taken out."""
    seed, syntax = draw(st.sampled_from(seeds()))
    content = bytearray(seed)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        match draw(st.integers(0, 2)):
            case 0:
                content[at : at + 4] = draw(
                    st.sampled_from([b"\xff\xff\xff\xff", b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0", bytes(4)])
                )
            case 1:
                content[at:at] = draw(st.binary(min_size=1, max_size=16))
            case _:
                del content[at : at + draw(st.integers(1, 16))]
    return bytes(content), syntax


def attempt(data: bytes, syntax: Uid) -> None:
    for part in Part:
        try:
            header = scan_header(data, syntax, LIMITS, part)
        except REFUSALS:
            continue
        try:
            instance_record(header, sop_class=CT_IMAGE, sop_instance=Uid("1.2"), transfer_syntax=syntax)
        except (DatasetInvalid, DatasetMismatch):
            continue


@given(st.binary(max_size=300), SYNTAXES)
@example(b"", EXPLICIT)
@example(b"\xfe\xff\x00\xe0" * 60, IMPLICIT)
def test_random_bytes(data: bytes, syntax: Uid) -> None:
    attempt(data, syntax)


@settings(deadline=None)
@given(damaged())
def test_damaged_files(content: tuple[bytes, Uid]) -> None:
    attempt(*content)


@settings(deadline=None)
@given(damaged())
def test_damaged_files_deflated_again(content: tuple[bytes, Uid]) -> None:
    data = zlib.compress(content[0], wbits=-zlib.MAX_WBITS)
    attempt(data, DEFLATED)


@settings(deadline=None)
@given(damaged(), st.sampled_from([EXPLICIT, IMPLICIT]))
def test_damaged_files_are_converted_or_refused(content: tuple[bytes, Uid], wanted: Uid) -> None:
    data, syntax = content
    with contextlib.suppress(ConversionImpossible):
        convert(data, syntax, wanted, ConvertLimits(max_depth=4))


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=300), damaged().map(lambda content: bytes(128) + b"DICM" + content[0])))
def test_damaged_files_are_taken_apart_or_refused(content: bytes) -> None:
    with contextlib.suppress(DatasetInvalid, LimitExceeded):
        read_part10(content)


@settings(deadline=None)
@given(st.one_of(st.tuples(st.binary(max_size=200), SYNTAXES), damaged()), st.sampled_from(Root))
def test_damaged_identifiers_are_read_or_refused(content: tuple[bytes, Uid], root: Root) -> None:
    data, syntax = content
    level = b"\x08\x00\x52\x00CS\x06\x00STUDY "
    for start in (b"", level):
        for decode in (decode_identifier, decode_retrieve):
            try:
                decode(start + data, syntax, root)
            except (DatasetInvalid, LimitExceeded, IdentifierMismatch):
                continue
        try:
            decode_answer(start + data, syntax)
        except (DatasetInvalid, LimitExceeded):
            continue
