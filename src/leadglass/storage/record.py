"""The sealed record: a header, then AES-256-GCM chunks. Pure functions on bytes.

::

    magic "LGR1" · version u16 · header bytes u16 · chunk bytes u32 · plaintext bytes u64 ·
    site key id 16 · object id 16                                              52 bytes
    wrap nonce 12 · wrapped data key 32 + tag 16                               60 bytes
    CRC-32 of all before                                                        4 bytes
    chunks: ciphertext, as long as its plaintext, + tag 16

All chunks but the last have ``chunk bytes`` of plaintext; an empty object has one empty chunk.
All numbers are big endian. The header has a fixed size, so a record whose length is not known
beforehand is written chunks first and header last.

Three things guard it, each against something else:

- The CRC tells a torn or rotten header from a whole one without any key, so a segment can be
  walked, and a flipped bit in the key id is called damage and not a missing key.
- The data key is wrapped with AES-GCM and not AES-KW, because GCM takes the first 52 bytes as
  additional data: opening the wrap proves the header too. The wrap nonce is random, which holds
  for 2**32 objects under one site key (NIST SP 800-38D §8.3): change the site key before that.
- A chunk's additional data is object id, chunk number and last-chunk flag: chunks that were
  swapped, cut, reordered or taken from another object do not open.

Overwriting nonce and wrapped key destroys an object for good and leaves its length readable.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from leadglass.model.errors import IntegrityBroken
from leadglass.model.instance import Location
from leadglass.storage.keys import KEY_ID_BYTES, SECRET_BYTES, SiteKey

OBJECT_ID_BYTES = 16
CHUNK_BYTES = 256 << 10
MAX_CHUNK_BYTES = 4 << 20  # what a reader is willing to hold
TAG_BYTES = 16
NONCE_BYTES = 12
DATA_KEY_BYTES = 32

_MAGIC = b"LGR1"
_VERSION = 1
_AUTHENTICATED = struct.Struct(f">4sHHIQ{KEY_ID_BYTES}s{OBJECT_ID_BYTES}s")
_WRAP_BYTES = DATA_KEY_BYTES + TAG_BYTES
_CRC = struct.Struct(">I")
_CHECKED_BYTES = _AUTHENTICATED.size + NONCE_BYTES + _WRAP_BYTES
HEADER_BYTES = _CHECKED_BYTES + _CRC.size
_CHUNK_BINDING = struct.Struct(f">{OBJECT_ID_BYTES}sQB")


@dataclass(frozen=True, slots=True)
class Shape:
    """What an object is and how its plaintext is cut; all sizes of its record follow."""

    object_id: bytes
    plaintext_bytes: int
    chunk_bytes: int

    def __post_init__(self) -> None:
        if len(self.object_id) != OBJECT_ID_BYTES:
            raise ValueError(f"an object id has {OBJECT_ID_BYTES} bytes, not {len(self.object_id)}")
        if not 1 <= self.chunk_bytes <= MAX_CHUNK_BYTES:
            raise ValueError(f"chunks have 1 to {MAX_CHUNK_BYTES} bytes, not {self.chunk_bytes}")

    @property
    def chunks(self) -> int:
        """How many chunks; at least one."""
        return max(1, -(-self.plaintext_bytes // self.chunk_bytes))

    @property
    def record_bytes(self) -> int:
        """Length of the whole record."""
        return HEADER_BYTES + self.plaintext_bytes + self.chunks * TAG_BYTES

    def chunk_offset(self, number: int) -> int:
        """Where a chunk begins, from the start of the record."""
        return HEADER_BYTES + number * (self.chunk_bytes + TAG_BYTES)

    def chunk_plaintext_bytes(self, number: int) -> int:
        """Length of a chunk's plaintext."""
        return min(self.chunk_bytes, self.plaintext_bytes - number * self.chunk_bytes)


@dataclass(frozen=True, slots=True)
class Header:
    """A header with a good CRC. Nothing in it is proven until ``unwrap`` has opened it."""

    shape: Shape
    key_id: bytes
    authenticated: bytes
    wrap_nonce: bytes
    wrapped_key: bytes

    @property
    def is_erased(self) -> bool:
        """Whether the key was destroyed: nobody will ever read the object again."""
        return not any(self.wrapped_key)


def encode_header(shape: Shape, site_key: SiteKey, data_key: bytes, wrap_nonce: bytes) -> bytes:
    """The header of an object. ``wrap_nonce`` is 12 fresh random bytes."""
    authenticated = _AUTHENTICATED.pack(
        _MAGIC,
        _VERSION,
        HEADER_BYTES,
        shape.chunk_bytes,
        shape.plaintext_bytes,
        site_key.key_id,
        shape.object_id,
    )
    wrapped = AESGCM(_secret(site_key)).encrypt(wrap_nonce, data_key, authenticated)
    checked = authenticated + wrap_nonce + wrapped
    return checked + _CRC.pack(zlib.crc32(checked))


def decode_header(raw: bytes, location: Location) -> Header:
    """The header in ``raw``, which is HEADER_BYTES long or was cut. ``location`` is for the message.

    Raises:
        IntegrityBroken: not a whole header of this format.
    """
    if len(raw) != HEADER_BYTES:
        raise broken(location, f"the header is cut off after {len(raw)} bytes")
    checked = raw[:_CHECKED_BYTES]
    if _CRC.pack(zlib.crc32(checked)) != raw[_CHECKED_BYTES:]:
        raise broken(location, "the header's checksum is wrong")
    authenticated = checked[: _AUTHENTICATED.size]
    fields = _AUTHENTICATED.unpack(authenticated)
    magic, version, header_bytes, chunk_bytes, plaintext_bytes, key_id, object_id = fields
    if (magic, version, header_bytes) != (_MAGIC, _VERSION, HEADER_BYTES):
        raise broken(location, "not a record of this version")
    if not 1 <= chunk_bytes <= MAX_CHUNK_BYTES:
        raise broken(location, f"an impossible chunk size of {chunk_bytes} bytes")
    return Header(
        shape=Shape(object_id, plaintext_bytes, chunk_bytes),
        key_id=key_id,
        authenticated=authenticated,
        wrap_nonce=checked[_AUTHENTICATED.size : -_WRAP_BYTES],
        wrapped_key=checked[-_WRAP_BYTES:],
    )


def unwrap(header: Header, site_key: SiteKey, location: Location) -> ChunkCipher:
    """Open the data key, which proves the header.

    Raises:
        IntegrityBroken: header or wrapped key were changed, or the object was erased.
    """
    return ChunkCipher(_data_key(header, site_key, location), header.shape.object_id)


def rewrapped(header: Header, old: SiteKey, new: SiteKey, wrap_nonce: bytes, location: Location) -> bytes:
    """The header with its data key under another site key. Raises as ``unwrap``."""
    return encode_header(header.shape, new, _data_key(header, old, location), wrap_nonce)


def erased(header: Header) -> bytes:
    """The header with its data key destroyed; it still says how long the record is."""
    checked = header.authenticated + bytes(NONCE_BYTES + _WRAP_BYTES)
    return checked + _CRC.pack(zlib.crc32(checked))


def _data_key(header: Header, site_key: SiteKey, location: Location) -> bytes:
    if header.is_erased:
        raise broken(location, "it was erased")
    try:
        return AESGCM(_secret(site_key)).decrypt(header.wrap_nonce, header.wrapped_key, header.authenticated)
    except InvalidTag:
        raise broken(location, "the header was tampered with") from None


class ChunkCipher:
    """Seals and opens the chunks of one object.

    The nonce is the chunk's number. That never repeats under a key, because the key is random,
    belongs to this one object, and seals each chunk number once: whoever seals again, after a
    failed write say, takes a new data key.
    """

    __slots__ = ("_aead", "_object_id")

    def __init__(self, data_key: bytes, object_id: bytes) -> None:
        self._aead = AESGCM(data_key)
        self._object_id = object_id

    def seal(self, plaintext: bytes | bytearray | memoryview, number: int) -> bytes:
        """Ciphertext and tag of a chunk that others follow."""
        return self._aead.encrypt(_nonce(number), plaintext, self._binding(number, last=0))

    def seal_last(self, plaintext: bytes | bytearray | memoryview, number: int) -> bytes:
        """Ciphertext and tag of the last chunk."""
        return self._aead.encrypt(_nonce(number), plaintext, self._binding(number, last=1))

    def open(self, sealed: bytes | memoryview, number: int, shape: Shape, location: Location) -> bytes:
        """The plaintext of a chunk.

        Raises:
            IntegrityBroken: it is not exactly what was sealed there.
        """
        binding = self._binding(number, last=int(number == shape.chunks - 1))
        try:
            return self._aead.decrypt(_nonce(number), sealed, binding)
        except InvalidTag:
            raise broken(location, f"chunk {number} does not verify") from None

    def _binding(self, number: int, last: int) -> bytes:
        return _CHUNK_BINDING.pack(self._object_id, number, last)


def broken(location: Location, reason: str) -> IntegrityBroken:
    """The error for damage at a place."""
    return IntegrityBroken(f"segments/{location.segment}.seg+{location.offset}: {reason}")


def _nonce(number: int) -> bytes:
    return number.to_bytes(NONCE_BYTES, "big")


def _secret(site_key: SiteKey) -> bytes:
    if len(site_key.secret) != SECRET_BYTES:  # AESGCM would take 16 and be AES-128
        raise ValueError(f"a site key has {SECRET_BYTES} bytes")
    return site_key.secret
