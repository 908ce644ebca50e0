"""Write a data set in another uncompressed transfer syntax. PS3.5 Annex A.

Element by element and without recursion. Values keep their bytes, but for the order of numbers that
were big endian. Sequences and items go out with undefined length, so nothing is measured twice; group
lengths (retired, PS3.5 §7.2) are left out, since they would lie.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, assert_never

from leadglass.dataset.elements import explicit_head
from leadglass.dataset.header import HeaderLimits, scan_header
from leadglass.dataset.inflate import DEFAULT_INFLATE_LIMITS, InflateLimits, Rest, inflate
from leadglass.dataset.syntaxes import (
    DEFLATED_EXPLICIT_LITTLE,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    UNDEFINED_LENGTH,
    Layout,
    layout_of,
)
from leadglass.dataset.tags import PIXEL_REPRESENTATION
from leadglass.dataset.walk import Event, Mark, walk_dataset
from leadglass.model.errors import ConversionImpossible, DatasetInvalid, LimitExceeded
from leadglass.model.names import Uid
from leadglass.model.query import Tag

_SOURCES: Final = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED_EXPLICIT_LITTLE})
_TARGETS: Final = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE})

# The unit whose bytes a byte order turns. PS3.5 §7.3.
_SWAPPED: Final = MappingProxyType(
    {
        **dict.fromkeys(("AT", "OW", "SS", "US"), "H"),
        **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), "I"),
        **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), "Q"),
    }
)
_UNIT_BYTES: Final = MappingProxyType({code: array(code).itemsize for code in "HIQ"})

# Where the dictionary leaves a choice, implicit VR has none: OW (PS3.5 §A.1).
_WORDS: Final = frozenset({"OB or OW", "US or OW", "US or SS or OW"})

_ITEM_START: Final = struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED_LENGTH)
_ITEM_END: Final = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
_SEQUENCE_END: Final = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


@dataclass(frozen=True, slots=True)
class ConvertLimits:
    """Security limits of a conversion."""

    max_depth: int = 100
    inflate: InflateLimits = DEFAULT_INFLATE_LIMITS


def convertible(stored: Uid, wanted: Uid) -> bool:
    """Whether ``convert`` knows the way. Only between uncompressed syntaxes, to little endian ones."""
    return stored == wanted or (stored in _SOURCES and wanted in _TARGETS)


def convert(dataset: bytes, stored: Uid, wanted: Uid, limits: ConvertLimits) -> bytes:
    """The data set in the transfer syntax wanted.

    Raises:
        ConversionImpossible: no way between the two, the data set is broken or exceeds a limit.
    """
    if not convertible(stored, wanted):
        raise ConversionImpossible(f"{stored} to {wanted}")
    if stored == wanted:
        return dataset
    try:
        return _convert(dataset, stored, wanted, limits)
    except (DatasetInvalid, LimitExceeded) as error:
        raise ConversionImpossible(str(error)) from error


def _convert(dataset: bytes, stored: Uid, wanted: Uid, limits: ConvertLimits) -> bytes:
    if stored == DEFLATED_EXPLICIT_LITTLE:
        inflated = inflate((dataset,), limits.inflate, limits.inflate.max_bytes)
        if inflated.rest is not Rest.NOTHING:
            raise DatasetInvalid("the deflated data set is cut short")
        dataset, stored = inflated.data, EXPLICIT_LITTLE
        if wanted == EXPLICIT_LITTLE:
            return dataset
    header = scan_header(dataset, stored, HeaderLimits(max_depth=limits.max_depth))
    raw = header.values.get(PIXEL_REPRESENTATION, b"")
    writer = _Writer(dataset, layout_of(wanted), _number(raw, header.layout))
    for event in walk_dataset(dataset, header.layout, limits.max_depth):
        writer.write(event)
    return writer.written()


def _number(raw: bytes, layout: Layout) -> int:
    return int.from_bytes(raw, "little" if layout.order == "<" else "big")


class _Writer:
    """Writes the events of one walk."""

    def __init__(self, data: bytes, target: Layout, pixel_representation: int) -> None:
        self._data = memoryview(data)
        self._target = target
        self._representations = [pixel_representation]  # one for each open data set
        self._pieces: list[bytes | memoryview] = []

    def written(self) -> bytes:
        return b"".join(self._pieces)

    def write(self, event: Event) -> None:
        match event.mark:
            case Mark.ELEMENT:
                self._write_element(event)
            case Mark.SEQUENCE:
                self._pieces.append(self._head(event.tag, "SQ", UNDEFINED_LENGTH))
            case Mark.ITEM:
                self._representations.append(self._representations[-1])
                self._pieces.append(_ITEM_START)
            case Mark.ITEM_END:
                self._representations.pop()
                if self._representations:  # the data set itself has no delimiter
                    self._pieces.append(_ITEM_END)
            case Mark.SEQUENCE_END:
                self._pieces.append(_SEQUENCE_END)
            case Mark.FRAGMENTS | Mark.FRAGMENT:
                raise ConversionImpossible("compressed pixels within an uncompressed data set")
            case _:
                assert_never(event.mark)

    def _write_element(self, event: Event) -> None:
        if event.tag & 0xFFFF == 0:
            return
        value = self._data[event.start : event.stop]
        if event.tag == PIXEL_REPRESENTATION:
            self._representations[-1] = _number(bytes(value), event.layout)
        self._pieces.append(self._head(event.tag, self._settled_vr(event.vr), len(value)))
        self._pieces.append(_swapped(value, event.vr) if event.layout.order == ">" else value)

    def _settled_vr(self, vr: str) -> str:
        if vr in _WORDS:
            return "OW"
        if vr == "US or SS":
            return "SS" if self._representations[-1] == 1 else "US"
        return vr

    def _head(self, tag: Tag, vr: str, length: int) -> bytes:
        if self._target.explicit:
            return explicit_head(tag, vr, length)
        return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, length)


def _swapped(value: memoryview, vr: str) -> bytes | memoryview:
    """A big endian value in little endian; bytes behind the last whole unit stay as they are."""
    code = _SWAPPED.get(vr)
    if code is None:
        return value
    whole = len(value) - len(value) % _UNIT_BYTES[code]
    units = array(code)
    units.frombytes(value[:whole])
    units.byteswap()
    return units.tobytes() + bytes(value[whole:])
