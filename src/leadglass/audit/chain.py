"""The chain: what is hashed, and how. Pure.

``hash = SHA-256(version || previous hash || seq || time || length of node || node || body)``, with
numbers big-endian of fixed length, so that no two lines share a preimage. The first previous hash
is 32 zero bytes. Lines of all processes on one database form one chain; each names its node.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final

import msgspec

from leadglass.audit.kinds import KINDS, PATIENT_FIELDS
from leadglass.model.errors import IntegrityBroken, LocalError
from leadglass.model.event import AuditEvent

VERSION: Final = 1
GENESIS: Final = bytes(32)

_CHAIN_PREFIX: Final = b"leadglass-audit-1\0"
_NUMBERS: Final = struct.Struct(">QqH")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_DECODER: Final = msgspec.json.Decoder(dict[str, Any])
_NAMES: Final = tuple(field.name for field in dataclasses.fields(AuditEvent))
_DEFAULTS: Final = tuple(field.default for field in dataclasses.fields(AuditEvent))
_VALUES: Final = attrgetter(*_NAMES)


@dataclass(frozen=True, slots=True)
class Link:
    """The end of a chain: the last line's number and hash."""

    seq: int
    hash: bytes


START: Final = Link(0, GENESIS)


def canonical(event: AuditEvent) -> bytes:
    """The bytes of an event that are stored and hashed: versioned JSON, keys sorted, defaults left out.

    Raises:
        LocalError: an unknown kind, or a patient's field in a kind that may not have it: a bug here.
    """
    kind = KINDS.get(event.kind)
    if kind is None:
        raise LocalError(f"no such audit kind: {event.kind}")
    fields = zip(_NAMES, _VALUES(event), _DEFAULTS, strict=True)
    kept: dict[str, object] = {name: value for name, value, default in fields if value != default}
    kept["v"] = VERSION
    forbidden = sorted((PATIENT_FIELDS & kept.keys()) - kind.may_name)
    if forbidden:
        raise LocalError(f"an audit line of kind {event.kind} may not have {', '.join(forbidden)}")
    try:
        return _ENCODER.encode(kept)
    except UnicodeEncodeError:
        return _ENCODER.encode(_cleaned(kept))


def read_canonical(body: bytes) -> AuditEvent:
    """The event back from its bytes.

    Raises:
        IntegrityBroken: not what ``canonical`` of this version or an older one writes.
    """
    try:
        kept = _DECODER.decode(body)
        if kept.pop("v", None) != VERSION:
            raise IntegrityBroken("an audit line of a version this code does not know")
        return msgspec.convert(kept, AuditEvent)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IntegrityBroken("an audit line that cannot be read") from error


def chain_hash(previous: bytes, seq: int, time_us: int, node: str, body: bytes) -> bytes:
    """The hash of line ``seq``; ``time_us`` is microseconds since 1970, UTC."""
    node_bytes = node.encode()
    numbers = _NUMBERS.pack(seq, time_us, len(node_bytes))
    return hashlib.sha256(b"".join((_CHAIN_PREFIX, previous, numbers, node_bytes, body))).digest()


def _cleaned(kept: Mapping[str, object]) -> dict[str, object]:
    cleaned = {name: storable(value) if isinstance(value, str) else value for name, value in kept.items()}
    ladder = kept.get("ladder")
    if isinstance(ladder, tuple):
        cleaned["ladder"] = tuple(dataclasses.replace(rung, detail=storable(rung.detail)) for rung in ladder)
    return cleaned


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_microseconds(time_us: int) -> datetime:
    """The other way; aware, UTC."""
    return _EPOCH + timedelta(microseconds=time_us)


def storable(text: str) -> str:
    """Text with what UTF-8 cannot hold replaced: a stranger's bytes must not silence the trail."""
    return text.encode("utf-8", "replace").decode()
