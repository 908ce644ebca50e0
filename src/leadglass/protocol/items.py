"""Items and sub-items of the association PDUs. PS3.8 §9.3.2-3 and Annex D; PS3.7 Annex D.3.3.

Every length is checked against its container. An item of unknown type is skipped (PS3.8 §9.3.1).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from leadglass.model.errors import LocalProtocolError, PeerError, PeerProtocolError
from leadglass.model.names import Uid, parse_uid
from leadglass.protocol.pdu import (
    AsyncWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    IdentityKind,
    RoleSelection,
    UserIdentity,
    UserInformation,
)

_ITEM_HEADER = struct.Struct(">BBH")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_TWO_U16 = struct.Struct(">HH")


class ItemType(IntEnum):
    """First byte of an item."""

    APPLICATION_CONTEXT = 0x10
    PROPOSED_CONTEXT = 0x20
    CONTEXT_RESULT = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAX_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNC_WINDOW = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION = 0x55
    EXTENDED = 0x56
    COMMON_EXTENDED = 0x57
    IDENTITY_RQ = 0x58
    IDENTITY_AC = 0x59


@dataclass(frozen=True, slots=True)
class Item:
    """One item: its type byte, the byte after it (reserved but for 0x57), and its value."""

    type: int
    version: int
    value: bytes


def iter_items(body: bytes) -> Iterator[Item]:
    """The items that fill ``body`` exactly.

    Raises:
        PeerProtocolError: an item overruns ``body``.
    """
    position, end = 0, len(body)
    while position < end:
        if end - position < _ITEM_HEADER.size:
            raise PeerProtocolError("bytes left over after the last item")
        item_type, version, length = _ITEM_HEADER.unpack_from(body, position)
        position += _ITEM_HEADER.size
        if length > end - position:
            raise PeerProtocolError(f"item 0x{item_type:02x} of {length} bytes overruns its container")
        yield Item(item_type, version, body[position : position + length])
        position += length


def item(item_type: ItemType, value: bytes, version: int = 0) -> bytes:
    """One item, encoded.

    Raises:
        LocalProtocolError: the value is too long for its length field.
    """
    if len(value) > 0xFFFF:
        raise LocalProtocolError(f"item 0x{item_type:02x} is too long: {len(value)} bytes")
    return _ITEM_HEADER.pack(item_type, version, len(value)) + value


def decode_uid(value: bytes) -> Uid:
    """A UID, padded or not: old devices pad with a NUL or a space where the standard says not to.

    Raises:
        PeerProtocolError: not a UID.
    """
    try:
        return parse_uid(value.decode("ascii"))
    except (UnicodeDecodeError, PeerError) as error:
        raise PeerProtocolError("not a UID") from error


class _Fields:
    """Reads length-prefixed fields off an item's value; past its end is the peer's fault."""

    __slots__ = ("_position", "_value", "_what")

    def __init__(self, value: bytes, what: str) -> None:
        self._value = value
        self._position = 0
        self._what = what

    def take(self, count: int) -> bytes:
        taken = self._value[self._position : self._position + count]
        if len(taken) != count:
            raise PeerProtocolError(f"{self._what}: a field of {count} bytes overruns the item")
        self._position += count
        return taken

    def prefixed(self) -> bytes:
        """A field after its own 16-bit length."""
        (length,) = _U16.unpack(self.take(2))
        return self.take(length)

    def rest(self) -> bytes:
        taken = self._value[self._position :]
        self._position = len(self._value)
        return taken

    @property
    def at_end(self) -> bool:
        return self._position == len(self._value)

    def finish(self) -> None:
        if not self.at_end:
            raise PeerProtocolError(f"{self._what}: bytes left over")


def _prefixed(value: bytes) -> bytes:
    if len(value) > 0xFFFF:
        raise LocalProtocolError(f"a field is too long: {len(value)} bytes")
    return _U16.pack(len(value)) + value


def _decode_role(value: bytes) -> RoleSelection:
    fields = _Fields(value, "role selection")
    sop_class = decode_uid(fields.prefixed())
    scu, scp = fields.take(2)
    fields.finish()
    return RoleSelection(sop_class, scu == 1, scp == 1)


def _encode_role(role: RoleSelection) -> bytes:
    return _prefixed(role.sop_class.encode("ascii")) + bytes((role.scu, role.scp))


def _decode_extended(value: bytes) -> ExtendedNegotiation:
    fields = _Fields(value, "extended negotiation")
    return ExtendedNegotiation(decode_uid(fields.prefixed()), fields.rest())


def _decode_common_extended(value: bytes) -> CommonExtendedNegotiation:
    fields = _Fields(value, "common extended negotiation")
    sop_class = decode_uid(fields.prefixed())
    service_class = decode_uid(fields.prefixed())
    listed = _Fields(fields.prefixed(), "related general SOP classes")
    related: list[Uid] = []
    while not listed.at_end:
        related.append(decode_uid(listed.prefixed()))
    # What follows is reserved for additional fields, not to be tested. PS3.7 Table D.3-12.
    return CommonExtendedNegotiation(sop_class, service_class, tuple(related))


def _encode_common_extended(common: CommonExtendedNegotiation) -> bytes:
    related = b"".join(_prefixed(uid.encode("ascii")) for uid in common.related)
    return (
        _prefixed(common.sop_class.encode("ascii"))
        + _prefixed(common.service_class.encode("ascii"))
        + _prefixed(related)
    )


def _decode_identity(value: bytes) -> UserIdentity:
    fields = _Fields(value, "user identity")
    kind, response_requested = fields.take(2)
    primary = fields.prefixed()
    secondary = fields.prefixed()
    fields.finish()
    try:
        return UserIdentity(IdentityKind(kind), response_requested == 1, primary, secondary)
    except ValueError:
        raise PeerProtocolError(f"user identity of unknown type {kind}") from None


def _encode_identity(identity: UserIdentity) -> bytes:
    head = bytes((identity.kind, identity.response_requested))
    return head + _prefixed(identity.primary) + _prefixed(identity.secondary)


def _decode_max_length(value: bytes) -> int:
    if len(value) != _U32.size:
        raise PeerProtocolError("maximum length item is not 4 bytes")
    (length,) = _U32.unpack(value)
    return int(length)


def _decode_async_window(value: bytes) -> AsyncWindow:
    if len(value) != _TWO_U16.size:
        raise PeerProtocolError("asynchronous operations window is not 4 bytes")
    return AsyncWindow(*_TWO_U16.unpack(value))


def _decode_version_name(value: bytes) -> str:
    """PS3.7 §D.3.3.2: 1 to 16 ASCII characters. Informative, so never a reason to refuse."""
    return "".join(chr(byte) for byte in value if 0x20 <= byte < 0x7F).strip()


def decode_user_information(body: bytes) -> UserInformation:
    """The user information item's value. Where an item that comes once comes again, the last counts.

    Raises:
        PeerProtocolError: an item overruns, or its value is malformed.
    """
    user = UserInformation()
    max_pdu_bytes = user.max_pdu_bytes
    class_uid: Uid | None = None
    version = ""
    window: AsyncWindow | None = None
    roles: list[RoleSelection] = []
    extended: list[ExtendedNegotiation] = []
    common: list[CommonExtendedNegotiation] = []
    identity: UserIdentity | None = None
    response: bytes | None = None
    for found in iter_items(body):
        value = found.value
        match found.type:
            case ItemType.MAX_LENGTH:
                max_pdu_bytes = _decode_max_length(value)
            case ItemType.IMPLEMENTATION_CLASS_UID:
                class_uid = decode_uid(value)
            case ItemType.ASYNC_WINDOW:
                window = _decode_async_window(value)
            case ItemType.ROLE_SELECTION:
                roles.append(_decode_role(value))
            case ItemType.IMPLEMENTATION_VERSION:
                version = _decode_version_name(value)
            case ItemType.EXTENDED:
                extended.append(_decode_extended(value))
            case ItemType.COMMON_EXTENDED:
                common.append(_decode_common_extended(value))
            case ItemType.IDENTITY_RQ:
                identity = _decode_identity(value)
            case ItemType.IDENTITY_AC:
                response = _Fields(value, "user identity response").prefixed()
            case _:
                continue
    return UserInformation(
        max_pdu_bytes,
        class_uid,
        version,
        window,
        tuple(roles),
        tuple(extended),
        tuple(common),
        identity,
        response,
    )


def encode_user_information(user: UserInformation) -> bytes:
    """The user information item, with its own header, sub-items in ascending order.

    Raises:
        LocalProtocolError: a value does not fit its length field.
    """
    parts = [item(ItemType.MAX_LENGTH, _U32.pack(user.max_pdu_bytes))]
    if user.implementation_class_uid is not None:
        parts.append(item(ItemType.IMPLEMENTATION_CLASS_UID, user.implementation_class_uid.encode("ascii")))
    if user.async_window is not None:
        window = user.async_window
        parts.append(item(ItemType.ASYNC_WINDOW, _TWO_U16.pack(window.invoked, window.performed)))
    parts += [item(ItemType.ROLE_SELECTION, _encode_role(role)) for role in user.roles]
    if user.implementation_version:
        parts.append(item(ItemType.IMPLEMENTATION_VERSION, user.implementation_version.encode("ascii")))
    parts += [
        item(ItemType.EXTENDED, _prefixed(extended.sop_class.encode("ascii")) + extended.info)
        for extended in user.extended
    ]
    parts += [
        item(ItemType.COMMON_EXTENDED, _encode_common_extended(common)) for common in user.common_extended
    ]
    if user.identity is not None:
        parts.append(item(ItemType.IDENTITY_RQ, _encode_identity(user.identity)))
    if user.identity_response is not None:
        parts.append(item(ItemType.IDENTITY_AC, _prefixed(user.identity_response)))
    return item(ItemType.USER_INFORMATION, b"".join(parts))
