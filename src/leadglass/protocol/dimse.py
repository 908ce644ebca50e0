"""Command sets to bytes and back: implicit VR little endian, group 0000. PS3.7 §6.3.1 and Annex E.

``LAYOUTS`` is the one table of messages. A message's elements are its class's fields, so that what is
encoded and what is decoded cannot drift apart.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from enum import Enum
from types import MappingProxyType

from leadglass.model.errors import LocalProtocolError, PeerError, PeerProtocolError
from leadglass.model.names import AETitle, Uid, parse_ae_title, parse_uid
from leadglass.protocol import commands as c

MAX_ERROR_COMMENT_CHARACTERS = 64  # VR LO, PS3.5 §6.2

_HEADER = struct.Struct("<HHI")
_GROUP_LENGTH = struct.Struct("<HHII")
_US = struct.Struct("<H")
_AT = struct.Struct("<HH")

_COMMAND_FIELD = 0x0100
_DATA_SET_TYPE = 0x0800
_NO_DATA_SET = 0x0101  # PS3.7 Table E.1-1; any other value says that a data set follows
_DATA_SET = 0x0001
_ABSENT = (None, "", ())
"""Field values that put no element on the wire."""


class Kind(Enum):
    """Value representations a command set uses."""

    UID = "UI"
    INSTANCE_UID = "UI, read as empty if it is none"
    NUMBER = "US"
    AE_TITLE = "AE"
    TEXT = "LO"
    TAGS = "AT"
    DATA_SET_TYPE = "US, read as has_dataset"


_ELEMENTS: Mapping[str, tuple[int, Kind]] = MappingProxyType(
    {
        "sop_class": (0x0002, Kind.UID),
        "message_id": (0x0110, Kind.NUMBER),
        "responding_to": (0x0120, Kind.NUMBER),
        "destination": (0x0600, Kind.AE_TITLE),
        "priority": (0x0700, Kind.NUMBER),
        "has_dataset": (_DATA_SET_TYPE, Kind.DATA_SET_TYPE),
        "status": (0x0900, Kind.NUMBER),
        "offending_elements": (0x0901, Kind.TAGS),
        "error_comment": (0x0902, Kind.TEXT),
        "error_id": (0x0903, Kind.NUMBER),
        "sop_instance": (0x1000, Kind.UID),
        "event_type": (0x1002, Kind.NUMBER),
        "attributes": (0x1005, Kind.TAGS),
        "action_type": (0x1008, Kind.NUMBER),
        "remaining": (0x1020, Kind.NUMBER),
        "completed": (0x1021, Kind.NUMBER),
        "failed": (0x1022, Kind.NUMBER),
        "warning": (0x1023, Kind.NUMBER),
        "move_originator_ae": (0x1030, Kind.AE_TITLE),
        "move_originator_message_id": (0x1031, Kind.NUMBER),
    }
)
"""Field name -> element number of group 0000 and its kind. PS3.7 Table E.1-1."""

_REQUESTED: Mapping[str, tuple[int, Kind]] = MappingProxyType(
    {"sop_class": (0x0003, Kind.UID), "sop_instance": (0x1001, Kind.UID)}
)
"""The same for messages that name a requested, not an affected, SOP class and instance."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a message. ``default`` stands in for an absent or empty one unless ``required``."""

    field: str
    number: int
    kind: Kind
    required: bool
    default: object


@dataclass(frozen=True, slots=True)
class Layout:
    """One message: ``elements`` in the order of its class's fields, and whether a data set is fixed."""

    command_field: int
    make: Callable[..., c.Command]
    elements: tuple[Element, ...]
    fixed_dataset: bool | None
    constants: tuple[tuple[int, bytes], ...]


def _element(field: Field[object], overrides: Mapping[str, tuple[int, Kind]]) -> Element:
    number, kind = overrides.get(field.name) or _ELEMENTS[field.name]
    required = field.default is MISSING
    return Element(field.name, number, kind, required, None if required else field.default)


def _layout(
    command_field: int, message: type[c.Command], overrides: Mapping[str, tuple[int, Kind]] = _ELEMENTS
) -> Layout:
    elements = tuple(_element(field, overrides) for field in fields(message))
    constants = [(_COMMAND_FIELD, _US.pack(command_field))]
    fixed: bool | None = None
    if all(element.kind is not Kind.DATA_SET_TYPE for element in elements):
        fixed = bool(vars(message)["has_dataset"])
        constants.append((_DATA_SET_TYPE, _encode_data_set_type(fixed)))
    return Layout(command_field, message, elements, fixed, tuple(constants))


def _encode_uid(uid: str) -> bytes:
    encoded = uid.encode("ascii")
    return encoded + b"\0" if len(encoded) % 2 else encoded


def _encode_padded(text: str) -> bytes:
    encoded = text.encode("ascii")
    return encoded + b" " if len(encoded) % 2 else encoded


def _encode_text(text: str) -> bytes:
    return _encode_padded(printable(text)[:MAX_ERROR_COMMENT_CHARACTERS])


def _encode_tags(tags: tuple[int, ...]) -> bytes:
    return b"".join(_AT.pack(tag >> 16, tag & 0xFFFF) for tag in tags)


def _encode_data_set_type(has_dataset: bool) -> bytes:  # noqa: FBT001 - the value itself, not a flag
    return _US.pack(_DATA_SET if has_dataset else _NO_DATA_SET)


def _decode_uid(value: bytes) -> Uid:
    return parse_uid(value.decode("ascii"))


def _decode_instance_uid(value: bytes) -> Uid:
    try:
        return parse_uid(value.decode("latin-1"))
    except PeerError:
        return Uid("")


def _decode_number(value: bytes) -> int:
    return int(_US.unpack(value)[0])


def _decode_ae_title(value: bytes) -> AETitle:
    return parse_ae_title(value.decode("ascii"))


def _decode_text(value: bytes) -> str:
    return printable(value.decode("latin-1")).strip()[:MAX_ERROR_COMMENT_CHARACTERS]


def _decode_tags(value: bytes) -> tuple[int, ...]:
    return tuple(group << 16 | element for group, element in _AT.iter_unpack(value))


def _decode_data_set_type(value: bytes) -> bool:
    return _decode_number(value) != _NO_DATA_SET


_ENCODERS: Mapping[Kind, Callable[..., bytes]] = MappingProxyType(
    {
        Kind.UID: _encode_uid,
        Kind.INSTANCE_UID: _encode_uid,
        Kind.NUMBER: _US.pack,
        Kind.AE_TITLE: _encode_padded,
        Kind.TEXT: _encode_text,
        Kind.TAGS: _encode_tags,
        Kind.DATA_SET_TYPE: _encode_data_set_type,
    }
)
_DECODERS: Mapping[Kind, Callable[[bytes], object]] = MappingProxyType(
    {
        Kind.UID: _decode_uid,
        Kind.INSTANCE_UID: _decode_instance_uid,
        Kind.NUMBER: _decode_number,
        Kind.AE_TITLE: _decode_ae_title,
        Kind.TEXT: _decode_text,
        Kind.TAGS: _decode_tags,
        Kind.DATA_SET_TYPE: _decode_data_set_type,
    }
)

LAYOUTS: tuple[Layout, ...] = (
    _layout(0x0001, c.CStoreRq, {"sop_instance": (0x1000, Kind.INSTANCE_UID)}),
    _layout(0x8001, c.CStoreRsp),
    _layout(0x0010, c.CGetRq),
    _layout(0x8010, c.CGetRsp),
    _layout(0x0020, c.CFindRq),
    _layout(0x8020, c.CFindRsp),
    _layout(0x0021, c.CMoveRq),
    _layout(0x8021, c.CMoveRsp),
    _layout(0x0030, c.CEchoRq),
    _layout(0x8030, c.CEchoRsp),
    _layout(0x0FFF, c.CCancelRq),
    _layout(0x0100, c.NEventReportRq),
    _layout(0x8100, c.NEventReportRsp),
    _layout(0x0110, c.NGetRq, _REQUESTED),
    _layout(0x8110, c.NGetRsp),
    _layout(0x0120, c.NSetRq, _REQUESTED),
    _layout(0x8120, c.NSetRsp),
    _layout(0x0130, c.NActionRq, _REQUESTED),
    _layout(0x8130, c.NActionRsp),
    _layout(0x0140, c.NCreateRq),
    _layout(0x8140, c.NCreateRsp),
    _layout(0x0150, c.NDeleteRq, _REQUESTED),
    _layout(0x8150, c.NDeleteRsp),
)
"""Command Field, message. PS3.7 Table E.1-1, element (0000,0100)."""

_BY_COMMAND_FIELD = MappingProxyType({layout.command_field: layout for layout in LAYOUTS})
_BY_MESSAGE = MappingProxyType({layout.make: layout for layout in LAYOUTS})
# What decoding needs of each element, flat: number, decoder, required, default.
_PLANS = MappingProxyType(
    {
        layout.command_field: tuple(
            (element.number, _DECODERS[element.kind], element.required, element.default)
            for element in layout.elements
        )
        for layout in LAYOUTS
    }
)


def printable(text: str) -> str:
    """The text with what a VR of LO or a log line may not hold replaced by ``?``."""
    return "".join(char if " " <= char <= "~" and char != "\\" else "?" for char in text)


def encode_command(command: c.Command) -> bytes:
    """A command set, group length first. Error comments are cut to 64 characters.

    Raises:
        LocalProtocolError: a value does not fit its element.
    """
    layout = _BY_MESSAGE[type(command)]
    values = list(layout.constants)
    try:
        for element in layout.elements:
            value = getattr(command, element.field)
            if value not in _ABSENT:
                values.append((element.number, _ENCODERS[element.kind](value)))
    except (struct.error, UnicodeEncodeError) as error:
        raise LocalProtocolError(f"{type(command).__name__}: a value does not fit its element") from error
    values.sort()
    body = b"".join(_HEADER.pack(0, number, len(value)) + value for number, value in values)
    return _GROUP_LENGTH.pack(0, 0, 4, len(body)) + body


def decode_command(encoded: bytes | bytearray | memoryview) -> c.Command:
    """A message from its command set. Elements no message of its kind has are ignored.

    Raises:
        PeerProtocolError: an element is missing, odd, repeated, out of order, malformed or overruns;
            or the Command Field is unknown.
    """
    values = _split(bytes(encoded))
    try:
        command_field = _decode_number(values.get(_COMMAND_FIELD, b""))
        has_dataset = _decode_data_set_type(values.get(_DATA_SET_TYPE, b""))
    except struct.error:
        raise PeerProtocolError("a command without Command Field or Command Data Set Type") from None
    layout = _BY_COMMAND_FIELD.get(command_field)
    if layout is None:
        raise PeerProtocolError(f"unknown Command Field 0x{command_field:04x}")
    if layout.fixed_dataset is not None and layout.fixed_dataset is not has_dataset:
        with_or_without = "with" if has_dataset else "without"
        raise PeerProtocolError(f"command 0x{command_field:04x} {with_or_without} a data set")
    arguments = []
    for number, decode, required, default in _PLANS[command_field]:
        value = values.get(number)
        if value:
            try:
                arguments.append(decode(value))
            except (struct.error, UnicodeDecodeError, PeerError) as error:
                raise PeerProtocolError(f"malformed command element (0000,{number:04x})") from error
        elif required:
            raise PeerProtocolError(f"command 0x{command_field:04x} lacks element (0000,{number:04x})")
        else:
            arguments.append(default)
    return layout.make(*arguments)


def _split(encoded: bytes) -> dict[int, bytes]:
    """Element number -> value, in ascending order as PS3.7 §6.3.1 demands."""
    end = len(encoded)
    if end < _GROUP_LENGTH.size:
        raise PeerProtocolError(f"a command set of {end} bytes")
    group, number, length, remaining = _GROUP_LENGTH.unpack_from(encoded)
    if (group, number, length, remaining) != (0, 0, 4, end - _GROUP_LENGTH.size):
        raise PeerProtocolError("a command set whose group length is missing or wrong")
    values: dict[int, bytes] = {}
    position, last = _GROUP_LENGTH.size, 0
    unpack = _HEADER.unpack_from
    while position < end:
        if end - position < _HEADER.size:
            raise PeerProtocolError("bytes left over after the last command element")
        group, number, length = unpack(encoded, position)
        position += _HEADER.size
        stop = position + length
        if group or number <= last:
            raise PeerProtocolError(f"element ({group:04x},{number:04x}) repeated, out of order or foreign")
        if length & 1 or stop > end:
            raise PeerProtocolError(f"element ({group:04x},{number:04x}) is odd or overruns the command set")
        values[number] = encoded[position:stop]
        position, last = stop, number
    return values
