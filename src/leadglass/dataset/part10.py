"""DICOM files: preamble, file meta information, data set. PS3.10 §7.1."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from leadglass.dataset.elements import Element, encode_elements
from leadglass.dataset.header import HeaderLimits, NeedMoreBytes, Part, scan_header
from leadglass.dataset.syntaxes import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LENGTH_FIELDS,
    LengthField,
)
from leadglass.dataset.tags import SOP_CLASS_UID, SOP_INSTANCE_UID
from leadglass.dataset.values import value_bytes
from leadglass.model.errors import DatasetInvalid, PeerError
from leadglass.model.names import Uid, parse_uid
from leadglass.model.query import Tag

_PREAMBLE_BYTES: Final = 128
_MAGIC: Final = b"DICM"
_META_GROUP: Final = 2

_GROUP_LENGTH: Final[Tag] = 0x00020000
_VERSION: Final[Tag] = 0x00020001
_MEDIA_STORAGE_SOP_CLASS_UID: Final[Tag] = 0x00020002
_MEDIA_STORAGE_SOP_INSTANCE_UID: Final[Tag] = 0x00020003
_TRANSFER_SYNTAX_UID: Final[Tag] = 0x00020010
_IMPLEMENTATION_CLASS_UID: Final[Tag] = 0x00020012
_IMPLEMENTATION_VERSION_NAME: Final[Tag] = 0x00020013


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What a sender must know of a file's data set."""

    sop_class: Uid
    sop_instance: Uid
    transfer_syntax: Uid


@dataclass(frozen=True, slots=True)
class Part10:
    """A file taken apart. ``dataset`` is a view of the bytes given."""

    meta: FileMeta
    dataset: memoryview


def read_part10(data: bytes) -> Part10:
    """Take a DICOM file apart; also one without preamble, without meta group, or with a partial one.

    A missing transfer syntax is told from the first element. The SOP UIDs are the data set's own;
    the meta group's stand in where it has none.

    Raises:
        DatasetInvalid: not DICOM, or no SOP UIDs anywhere.
        LimitExceeded: as of ``scan_header``.
    """
    start = _PREAMBLE_BYTES + len(_MAGIC)
    if data[_PREAMBLE_BYTES:start] != _MAGIC:
        start = 0
    meta, start = _read_meta(data, start)
    dataset = memoryview(data)[start:]
    raw_syntax = meta.get(_TRANSFER_SYNTAX_UID)
    transfer_syntax = _sniff(data, start) if raw_syntax is None else _uid(raw_syntax, "transfer syntax")
    values = _indexed(dataset, transfer_syntax)
    sop_class = values.get(SOP_CLASS_UID) or meta.get(_MEDIA_STORAGE_SOP_CLASS_UID, b"")
    sop_instance = values.get(SOP_INSTANCE_UID) or meta.get(_MEDIA_STORAGE_SOP_INSTANCE_UID, b"")
    return Part10(
        FileMeta(_uid(sop_class, "SOP class"), _uid(sop_instance, "SOP instance"), transfer_syntax), dataset
    )


def _indexed(dataset: memoryview, transfer_syntax: Uid) -> Mapping[Tag, bytes]:
    """The index tags; of a damaged file those before the damage; none if they cannot be told."""
    for part in Part:
        try:
            return scan_header((dataset,), transfer_syntax, HeaderLimits(), part).values
        except (DatasetInvalid, NeedMoreBytes):
            continue  # a file cut short may still be whole up to its last index tag
    return {}


def file_meta(
    sop_class: Uid,
    sop_instance: Uid,
    transfer_syntax: Uid,
    *,
    implementation_class: Uid,
    implementation_version: str,
) -> bytes:
    """All that precedes the data set in a file: a preamble of zeros, ``DICM``, the meta group."""
    elements = [
        Element(_VERSION, "OB", b"\x00\x01"),
        *(
            Element(tag, vr, value_bytes(text, vr, ()))
            for tag, vr, text in (
                (_MEDIA_STORAGE_SOP_CLASS_UID, "UI", sop_class),
                (_MEDIA_STORAGE_SOP_INSTANCE_UID, "UI", sop_instance),
                (_TRANSFER_SYNTAX_UID, "UI", transfer_syntax),
                (_IMPLEMENTATION_CLASS_UID, "UI", implementation_class),
                (_IMPLEMENTATION_VERSION_NAME, "SH", implementation_version),
            )
        ),
    ]
    group = encode_elements(elements, EXPLICIT_LITTLE)
    length = Element(_GROUP_LENGTH, "UL", struct.pack("<L", len(group)))
    return bytes(_PREAMBLE_BYTES) + _MAGIC + encode_elements([length], EXPLICIT_LITTLE) + group


def _read_meta(data: bytes, start: int) -> tuple[dict[Tag, bytes], int]:
    """The elements of group 2, always explicit little endian, and the offset behind them."""
    found: dict[Tag, bytes] = {}
    position = start
    while position + 8 <= len(data):
        group, number, vr, length = struct.unpack_from("<HH2sH", data, position)
        if group != _META_GROUP:
            break
        value_start = position + 8
        field = LENGTH_FIELDS.get(vr)
        if field is LengthField.LONG and position + 12 <= len(data):
            (length,) = struct.unpack_from("<L", data, position + 8)
            value_start = position + 12
        elif field is not LengthField.SHORT:
            raise DatasetInvalid(f"file meta element at offset {position}: no value representation")
        stop = value_start + length
        if stop > len(data):
            raise DatasetInvalid(f"file meta element at offset {position}: the file ends inside it")
        found[group << 16 | number] = data[value_start:stop]
        position = stop
    return found, position


def _sniff(data: bytes, start: int) -> Uid:
    """The transfer syntax of a data set that nothing tells of, by its first element."""
    head = data[start : start + 8]
    if len(head) < 8:
        raise DatasetInvalid("not a DICOM file")
    little_group, big_group = struct.unpack("<H", head[:2])[0], struct.unpack(">H", head[:2])[0]
    if head[4:6] in LENGTH_FIELDS:
        return EXPLICIT_LITTLE if little_group < big_group else EXPLICIT_BIG
    length = struct.unpack("<L", head[4:])[0]
    if little_group < big_group and start + 8 + length <= len(data):
        return IMPLICIT_LITTLE
    raise DatasetInvalid("not a DICOM file")


def _uid(raw: bytes, what: str) -> Uid:
    try:
        return parse_uid(raw.decode("latin-1"))
    except PeerError as error:
        raise DatasetInvalid(f"the file has no valid {what} UID") from error
