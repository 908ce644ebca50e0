"""Reading sealed records back, from whatever can give bytes of a segment at an offset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from leadglass.model.errors import IntegrityBroken
from leadglass.model.instance import Location
from leadglass.storage.blocks import BLOCK_BYTES
from leadglass.storage.keys import KeyProvider
from leadglass.storage.record import (
    HEADER_BYTES,
    TAG_BYTES,
    ChunkCipher,
    Header,
    Shape,
    broken,
    decode_header,
    unwrap,
)

READ_BYTES = 1 << 20

ReadAt = Callable[[str, int, int], bytes]
"""``(segment, offset, length)`` to bytes: fewer than ``length`` only where the segment ends.

Raises IntegrityBroken if the segment is missing or cannot be read.
"""


@dataclass(frozen=True, slots=True)
class ScannedRecord:
    """A record as its header tells it, unproven: only ``open`` and ``verify`` prove anything."""

    object_id: bytes
    location: Location
    plaintext_bytes: int
    is_erased: bool = False


@dataclass(frozen=True, slots=True)
class TornTail:
    """From ``offset`` to its end the segment holds no record that can be walked.

    An interrupted append, if the index knows nothing beyond; damage, if it does.
    """

    offset: int


class SealedReader:
    """One object, opened. Holds no file and needs no closing; every byte it returns is verified."""

    __slots__ = ("_cipher", "_location", "_read_at", "_shape")

    def __init__(self, read_at: ReadAt, location: Location, shape: Shape, cipher: ChunkCipher) -> None:
        self._read_at = read_at
        self._location = location
        self._shape = shape
        self._cipher = cipher

    @property
    def size_bytes(self) -> int:
        """Length of the plaintext."""
        return self._shape.plaintext_bytes

    def read(self, start: int, stop: int) -> bytes:
        """Plaintext from ``start`` up to ``stop``; reads only the chunks it lies in.

        Raises:
            IntegrityBroken: the record was tampered with or cut.
            ValueError: not within the object.
        """
        if not 0 <= start <= stop <= self.size_bytes:
            raise ValueError(f"bytes {start} to {stop} of an object of {self.size_bytes}")
        if start == stop:
            return b""
        chunk_bytes = self._shape.chunk_bytes
        first, last = start // chunk_bytes, (stop - 1) // chunk_bytes
        base = first * chunk_bytes
        if first == last:
            return self._chunk(first)[start - base : stop - base]
        pieces = [memoryview(self._chunk(number)) for number in range(first, last + 1)]
        pieces[0] = pieces[0][start - base :]
        pieces[-1] = pieces[-1][: stop - last * chunk_bytes]
        return b"".join(pieces)

    def chunks(self) -> Iterator[bytes]:
        """The whole plaintext, chunk by chunk (at most MAX_CHUNK_BYTES each). Raises as ``read``."""
        at_once = max(1, READ_BYTES // self._shape.chunk_bytes)
        for first in range(0, self._shape.chunks, at_once):
            yield from self._run(first, min(at_once, self._shape.chunks - first))

    def _run(self, first: int, count: int) -> Iterator[bytes]:
        """Some chunks, fetched in one go: each call gives up the interpreter and has to win it back."""
        shape = self._shape
        start = shape.chunk_offset(first)
        lengths = [shape.chunk_plaintext_bytes(number) + TAG_BYTES for number in range(first, first + count)]
        sealed = memoryview(
            self._read_at(self._location.segment, self._location.offset + start, sum(lengths))
        )
        position = 0
        for number, length in enumerate(lengths, first):
            yield self._opened(sealed[position : position + length], number, length)
            position += length

    def _chunk(self, number: int) -> bytes:
        length = self._shape.chunk_plaintext_bytes(number) + TAG_BYTES
        offset = self._location.offset + self._shape.chunk_offset(number)
        return self._opened(self._read_at(self._location.segment, offset, length), number, length)

    def _opened(self, sealed: bytes | memoryview, number: int, length: int) -> bytes:
        if len(sealed) != length:
            raise broken(self._location, f"chunk {number} is cut off")
        return self._cipher.open(sealed, number, self._shape, self._location)


def open_record(read_at: ReadAt, location: Location, object_id: bytes, keys: KeyProvider) -> SealedReader:
    """Open the record at ``location``, which must be that of ``object_id``.

    Raises:
        IntegrityBroken: it is not there, not whole, or not authentic.
        KeyUnavailable: the site key that sealed it is missing.
    """
    header = read_header(read_at, location, object_id)
    cipher = unwrap(header, keys.find(header.key_id), location)
    return SealedReader(read_at, location, header.shape, cipher)


def read_header(read_at: ReadAt, location: Location, object_id: bytes) -> Header:
    """The header at ``location``, which must be that of ``object_id``.

    Raises:
        IntegrityBroken: it is not there, not whole, or another's.
    """
    header = decode_header(read_at(location.segment, location.offset, HEADER_BYTES), location)
    if header.shape.object_id != object_id or header.shape.record_bytes != location.length:
        raise broken(location, "another object than the index says")
    return header


def verify_record(read_at: ReadAt, location: Location, object_id: bytes, keys: KeyProvider) -> None:
    """Read all of a record. Raises as ``open_record``."""
    for _ in open_record(read_at, location, object_id, keys).chunks():
        pass


def walk(
    read_at: ReadAt, segment: str, size_bytes: int, start: int = 0
) -> Iterator[ScannedRecord | TornTail]:
    """The records of a segment in order, by their headers, from where one begins; needs no key.

    A TornTail comes last, and only if the segment does not end with a whole record, or with the zeros
    that fill the last block of a segment that is being written.

    Raises:
        IntegrityBroken: the disk does not give the segment's bytes; that is no torn tail.
    """
    offset = start
    while offset < size_bytes:
        raw = read_at(segment, offset, HEADER_BYTES)
        try:
            header = decode_header(raw, Location(segment, offset, 0))
        except IntegrityBroken:
            if not _is_filling(read_at, segment, offset, size_bytes):
                yield TornTail(offset)
            return
        location = Location(segment, offset, header.shape.record_bytes)
        if offset + location.length > size_bytes:
            yield TornTail(offset)
            return
        yield ScannedRecord(header.shape.object_id, location, header.shape.plaintext_bytes, header.is_erased)
        offset += location.length


def _is_filling(read_at: ReadAt, segment: str, offset: int, size_bytes: int) -> bool:
    """Whether a segment ends with what a ``BlockWriter`` fills its last block with."""
    rest_bytes = size_bytes - offset
    return rest_bytes < BLOCK_BYTES and not any(read_at(segment, offset, rest_bytes))
