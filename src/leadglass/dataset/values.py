"""An element's value as text, and text as a value. PS3.5 §6.2."""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import Final

from leadglass.dataset.charsets import decode_text, encode_text
from leadglass.dataset.syntaxes import CHARACTER_SET_VRS

_NUMBERS: Final = MappingProxyType(
    {
        "FD": "d",
        "FL": "f",
        "SL": "l",
        "SS": "h",
        "SV": "q",
        "UL": "L",
        "US": "H",
        "UV": "Q",
        "US or SS": "H",
        "US or SS or OW": "H",
    }
)
_READERS: Final = {
    order: {vr: struct.Struct(order + code) for vr, code in _NUMBERS.items()} for order in "<>"
}

# VRs that text does not stand for.
OPAQUE_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UN", "OB or OW", "US or OW"})


def value_text(raw: bytes, vr: str, order: str, character_sets: tuple[str, ...]) -> str:
    """A value as text: multiple values joined by backslash, numbers in decimal, bulk data empty.

    ``order`` is the byte order of numbers, ``<`` or ``>``. Never fails: of a number cut short the
    whole ones count.
    """
    if vr in CHARACTER_SET_VRS:
        return decode_text(raw, vr, character_sets)
    reader = _READERS[order].get(vr)
    if reader is not None:
        whole = len(raw) - len(raw) % reader.size
        return "\\".join([str(number) for (number,) in reader.iter_unpack(raw[:whole])])
    if vr in OPAQUE_VRS:
        return ""
    if vr == "AT":
        whole = len(raw) - len(raw) % 4
        pairs = struct.iter_unpack(f"{order}HH", raw[:whole])
        return "\\".join([f"{group:04X}{element:04X}" for group, element in pairs])
    return decode_text(raw, vr, ())


def value_bytes(text: str, vr: str, character_sets: tuple[str, ...]) -> bytes:
    """Text as a little endian value, padded to even length. Bulk data and sequences are empty.

    Raises:
        ValueError: a number is no number, or out of range.
    """
    if vr in OPAQUE_VRS or not text:
        return b""
    reader = _READERS["<"].get(vr)
    if reader is not None:
        return b"".join([_number_bytes(reader, value) for value in text.split("\\")])
    if vr == "AT":
        return b"".join([struct.pack("<HH", int(v[:4], 16), int(v[4:], 16)) for v in text.split("\\")])
    encoded = encode_text(text, vr, character_sets if vr in CHARACTER_SET_VRS else ())
    if len(encoded) % 2:
        return encoded + (b"\0" if vr == "UI" else b" ")
    return encoded


def _number_bytes(form: struct.Struct, text: str) -> bytes:
    try:
        return form.pack(float(text) if form.format[-1] in "df" else int(text))
    except (struct.error, OverflowError) as error:
        raise ValueError("out of range for its value representation") from error
