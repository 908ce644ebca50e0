"""Small flat data sets, such as identifiers: elements in, bytes out, and back. PS3.5 §7.1."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from leadglass.dataset.inflate import InflateLimits, Rest, inflate
from leadglass.dataset.syntaxes import (
    DEFLATED,
    EXPLICIT_LITTLE_LAYOUT,
    LENGTH_FIELDS,
    LONG_LENGTH,
    SHORT_LENGTH,
    TAG_AND_LONG,
    UNDEFINED_LENGTH,
    Layout,
    LengthField,
    dictionary_vr,
    layout_of,
    name_of_tag,
)
from leadglass.dataset.walk import skip_undefined_length
from leadglass.model.errors import DatasetInvalid, LimitExceeded
from leadglass.model.names import Uid
from leadglass.model.query import Tag

_MAX_DEPTH: Final = 16
_SHORT_VALUE_BYTES: Final = 0xFFFE


class Element(NamedTuple):
    """One element. A sequence's value is not kept: it is empty."""

    tag: Tag
    vr: str
    value: bytes


@dataclass(frozen=True, slots=True)
class ElementLimits:
    """Security limits of a flat data set."""

    max_bytes: int = 1024 * 1024
    max_elements: int = 512


DEFAULT_ELEMENT_LIMITS: Final = ElementLimits()


@dataclass(frozen=True, slots=True)
class Elements:
    """A decoded flat data set. ``order`` is the byte order of numbers in it."""

    elements: tuple[Element, ...]
    order: str


def decode_elements(
    data: bytes, transfer_syntax: Uid, limits: ElementLimits = DEFAULT_ELEMENT_LIMITS
) -> Elements:
    """The elements of the top level, in the order they stand. VR as written, else the dictionary's.

    Raises:
        DatasetInvalid: the structure is broken; the message tells offset and tag.
        LimitExceeded: too large or too many.
    """
    if len(data) > limits.max_bytes:
        raise LimitExceeded(f"more than {limits.max_bytes} bytes")
    layout = layout_of(transfer_syntax)
    if transfer_syntax in DEFLATED:
        inflated = inflate((data,), InflateLimits(max_bytes=limits.max_bytes), limits.max_bytes + 1)
        if inflated.rest is not Rest.NOTHING:
            raise DatasetInvalid("the deflated data set is cut short")
        data = inflated.data
    found: list[Element] = []
    position, end = 0, len(data)
    while position < end:
        if len(found) == limits.max_elements:
            raise LimitExceeded(f"more than {limits.max_elements} elements")
        element, position = _decode_element(data, position, layout)
        found.append(element)
    return Elements(tuple(found), layout.order)


def _decode_element(data: bytes, at: int, layout: Layout) -> tuple[Element, int]:
    """The element at an offset, and the offset behind it."""
    if at + 8 > len(data):
        raise DatasetInvalid(f"the data set ends inside an element at offset {at}")
    group, number, length = TAG_AND_LONG[layout.order].unpack_from(data, at)
    tag, start = group << 16 | number, at + 8
    if layout.explicit:
        code = data[at + 4 : at + 6]
        match LENGTH_FIELDS.get(code):
            case LengthField.SHORT:
                (length,) = SHORT_LENGTH[layout.order].unpack_from(data, at + 6)
            case LengthField.LONG if at + 12 <= len(data):
                (length,) = LONG_LENGTH[layout.order].unpack_from(data, at + 8)
                start = at + 12
            case _:
                raise DatasetInvalid(f"{name_of_tag(tag)} at offset {at}: no value representation")
        vr = code.decode()
    else:
        vr = dictionary_vr(tag)
    if length == UNDEFINED_LENGTH:
        inner = vr if layout.explicit else ""
        return Element(tag, "SQ", b""), skip_undefined_length(data, start, inner, layout, _MAX_DEPTH)
    stop = start + length
    if stop > len(data):
        raise DatasetInvalid(f"{name_of_tag(tag)} at offset {at}: the data set ends inside it")
    return Element(tag, vr, b"" if vr == "SQ" else data[start:stop]), stop


def encode_elements(elements: Iterable[Element], transfer_syntax: Uid) -> bytes:
    """The elements, in the order given, in explicit or implicit VR little endian.

    A VR of the dictionary's that leaves a choice is written as its first. A value too long for a
    short VR goes as UN. PS3.5 §6.2.2, §7.1.2.
    """
    explicit = layout_of(transfer_syntax) == EXPLICIT_LITTLE_LAYOUT
    pieces: list[bytes] = []
    for tag, vr, value in elements:
        if not explicit:
            pieces.append(struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)))
        else:
            pieces.append(explicit_head(tag, vr[:2], len(value)))
        pieces.append(value)
    return b"".join(pieces)


def explicit_head(tag: Tag, vr: str, length: int) -> bytes:
    """The head of an explicit VR little endian element; UN when a short VR cannot hold the length."""
    code = vr.encode()
    if LENGTH_FIELDS[code] is LengthField.SHORT:
        if length <= _SHORT_VALUE_BYTES:
            return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, code, length)
        code = b"UN"
    return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, code, 0, length)
