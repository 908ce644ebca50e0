"""Scan a data set's header by hand for the index tags, up to the pixels. PS3.5 §7.

A stored object is scanned before it is kept, so this bears every hostile byte a peer can send: no
recursion, no allocation by a length a peer claims, and whatever is not indexed is stepped over.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

from leadglass.dataset.inflate import DEFAULT_INFLATE_LIMITS, MEBIBYTE, InflateLimits, Rest, inflate
from leadglass.dataset.syntaxes import (
    DEFLATED,
    EXPLICIT_BIG_LAYOUT,
    EXPLICIT_LITTLE_LAYOUT,
    IMPLICIT_LITTLE_LAYOUT,
    ITEM,
    LONG_VRS,
    PIXEL_TAGS,
    SHORT_VRS,
    UNDEFINED_LENGTH,
    Layout,
    dictionary_vr,
    layout_of,
    name_of_tag,
)
from leadglass.dataset.tags import (
    AVAILABLE_TRANSFER_SYNTAX_UID,
    INDEX_TAGS,
    PIXEL_REPRESENTATION,
    SPECIFIC_CHARACTER_SET,
)
from leadglass.dataset.walk import DatasetTruncated, check_depth, skip_undefined_length
from leadglass.model.errors import DatasetInvalid, LeadglassError, LimitExceeded
from leadglass.model.names import Uid
from leadglass.model.query import Tag

# What the archive decides is never taken from the object.
_COLLECTED: Final = frozenset(
    {SPECIFIC_CHARACTER_SET, PIXEL_REPRESENTATION}
    | {entry.tag for entry in INDEX_TAGS} - {AVAILABLE_TRANSFER_SYNTAX_UID}
)
_LAST_COLLECTED: Final[Tag] = max(_COLLECTED)

# The longest value that goes into the index: what a short explicit VR can hold.
MAX_INDEXED_VALUE_BYTES: Final = 0xFFFF

# Elements that hold pixels, documents and curves, or other elements: their size is their own.
_BULK_VRS: Final = frozenset(
    {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UN", "OB or OW", "US or OW", "US or SS or OW"}
)

# One more level costs a sequence at least an item's head and an element's.
_BYTES_PER_LEVEL: Final = 16

_FIRST_LOOK_BYTES: Final = 32 * 1024
_LOOK_GROWTH: Final = 4


@dataclass(frozen=True, slots=True)
class HeaderLimits:
    """Security limits.

    ``max_depth``: sequences within sequences. ``max_elements``: of the top level, before the pixels.
    ``max_element_bytes``: one element that is neither pixels nor other bulk data nor a sequence.
    ``inflate`` bounds a deflated data set.
    """

    max_depth: int = 100
    max_elements: int = 65_536
    max_element_bytes: int = 16 * MEBIBYTE
    inflate: InflateLimits = DEFAULT_INFLATE_LIMITS


class Part(Enum):
    """How much of the data set is at hand."""

    WHOLE = "whole"
    PREFIX = "prefix"


class NeedMoreBytes(LeadglassError):
    """The prefix ends before the header does: scan again with more."""


@dataclass(frozen=True, slots=True)
class Header:
    """The index tags of a data set as they stand in it: raw values, padding included. PHI.

    ``pixel_offset`` is where the pixel data element begins, counted from the first byte given;
    ``None`` when there is none, when the scan of a prefix did not come to it, or when the data set
    is deflated.
    """

    values: Mapping[Tag, bytes]
    layout: Layout
    pixel_offset: int | None


@dataclass(frozen=True, slots=True)
class _Codes:
    """What a layout makes of tags: they are looked up as the machine reads them, unswapped."""

    head: struct.Struct  # tag, VR if explicit, length
    long_length: struct.Struct
    short_vrs: frozenset[int]
    long_vrs: dict[int, str]
    sequence_vr: int
    collected: dict[int, Tag]
    group_mask: int
    forbidden_groups: frozenset[int]  # command, file meta, items: not of a data set (PS3.5 §7.1)


@dataclass(frozen=True, slots=True)
class _Scan:
    """How far a scan came. ``cut_offset`` is where the element begins that runs past the bytes."""

    values: dict[Tag, bytes]
    furthest_tag: Tag
    pixel_offset: int | None = None
    cut_offset: int | None = None


def scan_header(
    parts: bytes | Sequence[bytes | memoryview],
    transfer_syntax: Uid,
    limits: HeaderLimits,
    part: Part = Part.WHOLE,
) -> Header:
    """Collect the index tags and Specific Character Set of a data set.

    ``parts`` are its consecutive bytes; only as many as needed are joined. The scan ends at the
    pixel data or the end. Of a prefix it also ends at a large element behind the last index tag, or
    where any such element runs out of it, since tags ascend (PS3.5 §7.1).

    Raises:
        NeedMoreBytes: the prefix ends too early.
        DatasetInvalid: the structure is broken; the message tells offset and tag.
        LimitExceeded: too deep, an element too large, or too much to inflate.
    """
    pieces = (parts,) if isinstance(parts, bytes) else parts
    if transfer_syntax in DEFLATED:
        return _scan_deflated(pieces, limits, part)
    layout = layout_of(transfer_syntax)
    if len(pieces) == 1 and isinstance(pieces[0], bytes):
        return _settle(_scan(pieces[0], layout, limits, part), layout, part)
    total_bytes = sum(map(len, pieces))
    look_bytes = _FIRST_LOOK_BYTES
    while look_bytes < total_bytes:
        scan = _scan(_leading(pieces, look_bytes), layout, limits, part)
        if _is_enough(scan, part):
            return Header(scan.values, layout, scan.pixel_offset)
        look_bytes *= _LOOK_GROWTH
    return _settle(_scan(b"".join(pieces), layout, limits, part), layout, part)


def _leading(pieces: Sequence[bytes | memoryview], count: int) -> bytes:
    """The first ``count`` bytes; there are more."""
    taken: list[bytes | memoryview] = []
    rest = iter(pieces)
    while count > 0:
        piece = next(rest)
        taken.append(piece[:count])
        count -= len(piece)
    return b"".join(taken)


def _scan_deflated(pieces: Sequence[bytes | memoryview], limits: HeaderLimits, part: Part) -> Header:
    layout = EXPLICIT_LITTLE_LAYOUT
    look_bytes = _FIRST_LOOK_BYTES
    while True:
        inflated = inflate(pieces, limits.inflate, look_bytes)
        scan = _scan(inflated.data, layout, limits, part)
        if _is_enough(scan, part) or inflated.rest is not Rest.MORE:
            break
        look_bytes *= _LOOK_GROWTH
    if inflated.rest is Rest.CUT and part is Part.WHOLE and scan.pixel_offset is None:
        raise DatasetInvalid("the deflated data set is cut short")
    settled = _settle(scan, layout, Part.WHOLE if inflated.rest is Rest.NOTHING else part)
    return Header(settled.values, layout, None)


def _is_enough(scan: _Scan, part: Part) -> bool:
    return scan.pixel_offset is not None or (part is Part.PREFIX and scan.furthest_tag > _LAST_COLLECTED)


def _settle(scan: _Scan, layout: Layout, part: Part) -> Header:
    """Judge a scan that had all the bytes there are."""
    if not _is_enough(scan, part):
        if part is Part.PREFIX:
            raise NeedMoreBytes("the header is longer than the prefix")
        if scan.cut_offset is not None:
            name = name_of_tag(scan.furthest_tag)
            raise DatasetTruncated(f"{name} at offset {scan.cut_offset}: the data set ends inside it")
    return Header(scan.values, layout, scan.pixel_offset)


def _codes(layout: Layout) -> _Codes:
    order = layout.order
    read_tag, read_vr = struct.Struct(f"{order}L"), struct.Struct(f"{order}H")

    def vr_code(vr: str) -> int:
        return int(read_vr.unpack(vr.encode())[0])

    forbidden = {0, 2, ITEM >> 16}
    return _Codes(
        head=struct.Struct(f"{order}LHH" if layout.explicit else f"{order}LL"),
        long_length=read_tag,
        short_vrs=frozenset(map(vr_code, SHORT_VRS)),
        long_vrs={vr_code(vr): vr for vr in LONG_VRS},
        sequence_vr=vr_code("SQ"),
        collected={read_tag.unpack(layout.tag_bytes(tag))[0]: tag for tag in _COLLECTED | PIXEL_TAGS},
        group_mask=0xFFFF if order == "<" else 0xFFFF0000,
        forbidden_groups=frozenset(forbidden if order == "<" else {group << 16 for group in forbidden}),
    )


_CODES: Final = MappingProxyType(
    {
        layout: _codes(layout)
        for layout in (EXPLICIT_LITTLE_LAYOUT, IMPLICIT_LITTLE_LAYOUT, EXPLICIT_BIG_LAYOUT)
    }
)


def _tag_of(code: int, layout: Layout) -> Tag:
    return (code & 0xFFFF) << 16 | code >> 16 if layout.order == "<" else code


def _scan(  # noqa: PLR0912  # one loop: a call per element would cost more than the element
    data: bytes, layout: Layout, limits: HeaderLimits, part: Part
) -> _Scan:
    """The hot loop: some 100 elements of every object stored pass here."""
    codes = _CODES[layout]
    explicit, read_head, read_long = layout.explicit, codes.head.unpack_from, codes.long_length.unpack_from
    short_vrs, collected = codes.short_vrs, codes.collected
    group_mask, forbidden = codes.group_mask, codes.forbidden_groups
    careful_bytes = limits.max_depth * _BYTES_PER_LEVEL
    values: dict[Tag, bytes] = {}
    end, position, at, code, vr = len(data), 0, 0, 0, 0
    last = end - 8
    for _ in range(limits.max_elements + 1):
        if position > last:
            break
        at = position
        if explicit:
            code, vr, length = read_head(data, at)
            position += 8 + length
            if vr not in short_vrs:
                if vr not in codes.long_vrs:
                    raise _broken(code, layout, at, "no value representation")
                if at + 12 > end:
                    position = at
                    break
                (length,) = read_long(data, at + 8)
                position = at + 12 + length
        else:
            code, length = read_head(data, at)
            position += 8 + length
        if code & group_mask in forbidden:
            raise _broken(code, layout, at, "not of a data set")
        if code in collected:
            tag = collected[code]
            if tag in PIXEL_TAGS:
                return _Scan(values, tag, pixel_offset=at)
            if position <= end and vr != codes.sequence_vr:
                if length > MAX_INDEXED_VALUE_BYTES:
                    raise LimitExceeded(f"{name_of_tag(tag)}: over {MAX_INDEXED_VALUE_BYTES} bytes")
                values[tag] = data[position - length : position]
        if length >= careful_bytes:
            large = _Large(_tag_of(code, layout), codes.long_vrs.get(vr, ""), position - length, length)
            if part is Part.PREFIX and large.tag > _LAST_COLLECTED:
                return _Scan(values, large.tag, cut_offset=at)  # all is known, and the rest may be huge
            position = _step_over(data, large, layout, limits)
    else:
        raise LimitExceeded(f"more than {limits.max_elements} elements")
    return _ended(data, values, _tag_of(code, layout), at, position)


def _ended(data: bytes, values: dict[Tag, bytes], tag: Tag, at: int, position: int) -> _Scan:
    """A scan that met no pixels. ``at`` is the last head read, ``position`` where the next would be."""
    if position > len(data) or at == position:
        return _Scan(values, tag, cut_offset=at if data else None)
    # Fewer zeros than an element's head are padding, seen in the field.
    return _Scan(values, tag, cut_offset=position if data[position:].strip(b"\0") else None)


def _broken(code: int, layout: Layout, position: int, why: str) -> DatasetInvalid:
    return DatasetInvalid(f"{name_of_tag(_tag_of(code, layout))} at offset {position}: {why}")


class _Large(NamedTuple):
    """An element large enough to nest deep or to exceed a limit. ``vr`` is ``""`` in implicit VR."""

    tag: Tag
    vr: str
    start: int
    length: int


def _step_over(data: bytes, element: _Large, layout: Layout, limits: HeaderLimits) -> int:
    """The offset behind a large element; past the end of ``data`` when it is cut.

    Raises:
        DatasetInvalid, LimitExceeded: as of ``scan_header``.
    """
    if element.length == UNDEFINED_LENGTH:
        try:
            return skip_undefined_length(data, element.start, element.vr, layout, limits.max_depth)
        except DatasetTruncated:
            return len(data) + 1
    stop = element.start + element.length
    vr = element.vr or dictionary_vr(element.tag)
    if vr not in _BULK_VRS and element.length > limits.max_element_bytes:
        raise LimitExceeded(f"{name_of_tag(element.tag)}: larger than {limits.max_element_bytes} bytes")
    if vr == "SQ" and stop <= len(data):
        check_depth(data, element.start, stop, layout, limits.max_depth)
    elif not layout.explicit and data.startswith(layout.tag_bytes(ITEM), element.start):
        # A private element: it may be a sequence, or bytes that happen to look like one.
        with contextlib.suppress(DatasetInvalid):
            check_depth(data, element.start, stop, layout, limits.max_depth)
    return stop
