"""How a transfer syntax lays out elements. PS3.5 §7.1, §10, Annex A."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from leadglass.dataset import dictionary
from leadglass.model.names import Uid
from leadglass.model.query import Tag

IMPLICIT_LITTLE: Final = Uid("1.2.840.10008.1.2")
EXPLICIT_LITTLE: Final = Uid("1.2.840.10008.1.2.1")
DEFLATED_EXPLICIT_LITTLE: Final = Uid("1.2.840.10008.1.2.1.99")
EXPLICIT_BIG: Final = Uid("1.2.840.10008.1.2.2")

# The whole data set is one raw deflate stream. PS3.5 §A.5, §A.6 (JPIP), §A.7 (HTJ2K JPIP).
DEFLATED: Final = frozenset(
    {DEFLATED_EXPLICIT_LITTLE, Uid("1.2.840.10008.1.2.4.95"), Uid("1.2.840.10008.1.2.4.205")}
)
# GE's private syntax: implicit little endian, but for the byte order of pixels.
_IMPLICIT: Final = frozenset({IMPLICIT_LITTLE, Uid("1.2.840.113619.5.2")})

UNDEFINED_LENGTH: Final = 0xFFFFFFFF

ITEM: Final[Tag] = 0xFFFEE000
ITEM_DELIMITER: Final[Tag] = 0xFFFEE00D
SEQUENCE_DELIMITER: Final[Tag] = 0xFFFEE0DD

# Float Pixel Data, Double Float Pixel Data, Pixel Data. PS3.3 §C.7.6.3, §C.7.6.24.
PIXEL_TAGS: Final[frozenset[Tag]] = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})


class LengthField(Enum):
    """Width of an explicit VR element's length. PS3.5 §7.1.2."""

    SHORT = 2
    LONG = 4


SHORT_VRS: Final = frozenset(
    {"AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS"}
    | {"ST", "TM", "UI", "UL", "US"}
)
LONG_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})

LENGTH_FIELDS: Final = MappingProxyType(
    {vr.encode(): LengthField.SHORT for vr in SHORT_VRS} | {vr.encode(): LengthField.LONG for vr in LONG_VRS}
)

# VRs whose text follows Specific Character Set. PS3.5 §6.1.2.2.
CHARACTER_SET_VRS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})

# VRs of one value, in which a backslash is a letter. PS3.5 §6.2.
UNDIVIDED_VRS: Final = frozenset({"LT", "ST", "UR", "UT"})


# What an element's head is made of, by byte order.
TAG_AND_LONG: Final = MappingProxyType({order: struct.Struct(f"{order}HHL") for order in "<>"})
SHORT_LENGTH: Final = MappingProxyType({order: struct.Struct(f"{order}H") for order in "<>"})
LONG_LENGTH: Final = MappingProxyType({order: struct.Struct(f"{order}L") for order in "<>"})


@dataclass(frozen=True, slots=True)
class Layout:
    """Explicit or implicit VR, and the byte order as ``struct`` writes it: ``<`` or ``>``."""

    explicit: bool
    order: str

    def tag_bytes(self, tag: Tag) -> bytes:
        """A tag as it stands in the data set: group, then element."""
        return struct.pack(f"{self.order}HH", tag >> 16, tag & 0xFFFF)


EXPLICIT_LITTLE_LAYOUT: Final = Layout(explicit=True, order="<")
IMPLICIT_LITTLE_LAYOUT: Final = Layout(explicit=False, order="<")
EXPLICIT_BIG_LAYOUT: Final = Layout(explicit=True, order=">")


def layout_of(transfer_syntax: Uid) -> Layout:
    """The layout of a data set, once inflated.

    Every syntax that is not named here is explicit little endian. PS3.5 §A.4 demands that of the
    encapsulated ones, §10.1 leaves private ones free but nearly all do the same.
    """
    if transfer_syntax in _IMPLICIT:
        return IMPLICIT_LITTLE_LAYOUT
    if transfer_syntax == EXPLICIT_BIG:
        return EXPLICIT_BIG_LAYOUT
    return EXPLICIT_LITTLE_LAYOUT


@lru_cache(maxsize=4096)  # peers choose the tags: never unbounded
def dictionary_vr(tag: Tag) -> str:
    """The VR of PS3.6 as it names it (``US or SS`` too); ``UN`` for a tag it does not know."""
    if tag & 0xFFFF == 0:
        return "UL"
    if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF:
        return "LO"  # private creator, PS3.5 §7.8.1
    try:
        return dictionary.vr_of(tag)
    except KeyError:
        return "UN"


def name_of_tag(tag: Tag) -> str:
    """``(0010,0020)``, for messages."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
