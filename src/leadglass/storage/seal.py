"""Plaintext in, sealed record out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from leadglass.model.permit import Permit
from leadglass.storage.keys import KeyProvider, SiteKey
from leadglass.storage.permits import require_permit
from leadglass.storage.record import (
    CHUNK_BYTES,
    DATA_KEY_BYTES,
    NONCE_BYTES,
    ChunkCipher,
    Shape,
    encode_header,
)


@dataclass(frozen=True, slots=True)
class SealedObject:
    """A whole record, ready to be written once: ``buffers`` one after the other, ``length`` bytes."""

    object_id: bytes
    buffers: tuple[bytes, ...]
    length: int


class Sealable(Protocol):
    """A whole record that may be written once, whose bytes are there when they are asked for."""

    @property
    def object_id(self) -> bytes:
        """The object it holds."""

    @property
    def length(self) -> int:
        """Bytes of the record."""

    @property
    def buffers(self) -> Sequence[bytes]:
        """The record, in pieces. Asked for once: a second time would seal under another key."""


@dataclass(frozen=True, slots=True)
class ObjectToSeal:
    """An object in memory that is sealed when its bytes are asked for, by whatever thread that does.

    ``size_bytes`` is the length of ``payload`` together.
    """

    object_id: bytes
    payload: Sequence[bytes | memoryview]
    size_bytes: int
    keys: KeyProvider
    random_bytes: Callable[[int], bytes]

    @property
    def length(self) -> int:
        """As ``Sealable.length``."""
        return Shape(self.object_id, self.size_bytes, CHUNK_BYTES).record_bytes

    @property
    def buffers(self) -> Sequence[bytes]:
        """As ``Sealable.buffers``."""
        return _sealed(self.object_id, self.payload, self.keys.current(), self.random_bytes, CHUNK_BYTES)


class Sealer:
    """Seals one object as its bytes come. Holds back up to one chunk: the last is marked as such.

    Copies each byte once into that chunk, whatever the size of the fragments (a list of fragments
    would let a peer that sends single bytes make us hold a hundred times as much), except where
    one fragment covers a whole chunk and more.
    """

    def __init__(self, object_id: bytes, random_bytes: Callable[[int], bytes], chunk_bytes: int) -> None:
        self._data_key = random_bytes(DATA_KEY_BYTES)
        self._wrap_nonce = random_bytes(NONCE_BYTES)
        self._shape = Shape(object_id, 0, chunk_bytes)
        self._cipher = ChunkCipher(self._data_key, object_id)
        self._pending = bytearray()
        self._chunks = 0
        self._plaintext_bytes = 0

    def add(self, fragment: bytes | memoryview) -> list[bytes]:
        """The chunks that are complete with this fragment, sealed."""
        chunk_bytes = self._shape.chunk_bytes
        rest = memoryview(fragment)
        self._plaintext_bytes += len(rest)
        sealed = []
        while rest:
            if len(self._pending) == chunk_bytes:
                sealed.append(self._next(self._pending))
                self._pending = bytearray()
            if not self._pending and len(rest) > chunk_bytes:
                sealed.append(self._next(rest[:chunk_bytes]))
                rest = rest[chunk_bytes:]
            else:
                room_bytes = chunk_bytes - len(self._pending)
                self._pending += rest[:room_bytes]
                rest = rest[room_bytes:]
        return sealed

    def finish(self, site_key: SiteKey) -> tuple[bytes, bytes]:
        """The last chunk, sealed, and the header that goes before all chunks."""
        last = self._cipher.seal_last(self._pending, self._chunks)
        shape = Shape(self._shape.object_id, self._plaintext_bytes, self._shape.chunk_bytes)
        return last, encode_header(shape, site_key, self._data_key, self._wrap_nonce)

    def _next(self, plaintext: bytearray | memoryview) -> bytes:
        sealed = self._cipher.seal(plaintext, self._chunks)
        self._chunks += 1
        return sealed


def seal(
    permit: Permit,
    object_id: bytes,
    payload: Sequence[bytes | memoryview],
    site_key: SiteKey,
    random_bytes: Callable[[int], bytes],
    *,
    chunk_bytes: int = CHUNK_BYTES,
) -> SealedObject:
    """Seal an object that is in memory, in fragments, under a data key of its own.

    ``object_id`` is 16 bytes that no other object has. The result may be written once.
    """
    require_permit(permit)
    buffers = _sealed(object_id, payload, site_key, random_bytes, chunk_bytes)
    return SealedObject(object_id, buffers, sum(map(len, buffers)))


def _sealed(
    object_id: bytes,
    payload: Sequence[bytes | memoryview],
    site_key: SiteKey,
    random_bytes: Callable[[int], bytes],
    chunk_bytes: int,
) -> tuple[bytes, ...]:
    sealer = Sealer(object_id, random_bytes, chunk_bytes)
    chunks = [chunk for fragment in payload for chunk in sealer.add(fragment)]
    last, header = sealer.finish(site_key)
    return header, *chunks, last
