"""Build data sets by hand, byte by byte: the yardstick is not the thing measured."""

from __future__ import annotations

import struct

from leadglass.model.names import Uid

LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})

IMPLICIT = Uid("1.2.840.10008.1.2")
EXPLICIT = Uid("1.2.840.10008.1.2.1")
DEFLATED = Uid("1.2.840.10008.1.2.1.99")
BIG = Uid("1.2.840.10008.1.2.2")
JPEG = Uid("1.2.840.10008.1.2.4.50")
CT_IMAGE = Uid("1.2.840.10008.5.1.4.1.1.2")

UNDEFINED = 0xFFFFFFFF


def explicit(tag: int, vr: str, value: bytes, order: str = "<", length: int | None = None) -> bytes:
    """One explicit VR element. ``length`` lies, if given."""
    size = len(value) if length is None else length
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in LONG_VRS:
        return head + struct.pack(f"{order}HL", 0, size) + value
    return head + struct.pack(f"{order}H", size) + value


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    """One implicit VR element. ``length`` lies, if given."""
    size = len(value) if length is None else length
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, size) + value


def item(value: bytes, order: str = "<") -> bytes:
    """An item of defined length."""
    return struct.pack(f"{order}HHL", 0xFFFE, 0xE000, len(value)) + value


def open_item(value: bytes, order: str = "<") -> bytes:
    """An item of undefined length, with its delimiter."""
    start = struct.pack(f"{order}HHL", 0xFFFE, 0xE000, UNDEFINED)
    return start + value + struct.pack(f"{order}HHL", 0xFFFE, 0xE00D, 0)


def sequence_end(order: str = "<") -> bytes:
    """A sequence delimiter."""
    return struct.pack(f"{order}HHL", 0xFFFE, 0xE0DD, 0)


def open_sequence(tag: int, items: bytes, order: str = "<", vr: str = "SQ") -> bytes:
    """An explicit VR sequence of undefined length, with its delimiter."""
    return explicit(tag, vr, items + sequence_end(order), order, length=UNDEFINED)


def uids(order: str = "<") -> bytes:
    """The SOP UIDs of a little CT image, explicit VR."""
    return explicit(0x00080016, "UI", padded(CT_IMAGE), order) + explicit(
        0x00080018, "UI", b"1.2.3.4\0", order
    )


def study_uids(order: str = "<") -> bytes:
    """Its study and series UIDs."""
    return explicit(0x0020000D, "UI", b"1.2.3\0", order) + explicit(0x0020000E, "UI", b"1.2.3.1\0", order)


def pixels(order: str = "<") -> bytes:
    """A pixel data element."""
    return explicit(0x7FE00010, "OW", b"\1\2\3\4", order)


def padded(text: str) -> bytes:
    """A UID of even length."""
    raw = text.encode()
    return raw + b"\0" * (len(raw) % 2)
