from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.model.errors import IntegrityBroken, KeyUnavailable
from leadglass.model.instance import Location
from leadglass.storage.keys import SiteKey
from leadglass.storage.reader import ReadAt, ScannedRecord, TornTail, open_record, walk
from leadglass.storage.record import (
    HEADER_BYTES,
    MAX_CHUNK_BYTES,
    TAG_BYTES,
    ChunkCipher,
    Shape,
    encode_header,
)
from tests.support.storage import OTHER_KEY, SITE_KEY, KeyRing, object_id, payload, sealed

SEGMENT = "0" * 26
CHUNK_BYTES = 32
PLAIN = {1: payload(70, seed=1), 2: b"", 3: payload(64, seed=3)}


def reading(content: bytes | bytearray) -> ReadAt:
    return lambda _segment, offset, length: bytes(content[offset : offset + length])


def record(number: int, plaintext: bytes) -> bytes:
    return b"".join(sealed(number, plaintext, CHUNK_BYTES).buffers)


def segment_of_three() -> tuple[bytes, dict[int, Location]]:
    content, places = b"", {}
    for number, plaintext in PLAIN.items():
        one = record(number, plaintext)
        places[number] = Location(SEGMENT, len(content), len(one))
        content += one
    return content, places


def read(content: bytes | bytearray, location: Location, number: int) -> bytes:
    keys = KeyRing(SITE_KEY)
    return b"".join(open_record(reading(content), location, object_id(number), keys).chunks())


def test_every_flipped_bit_of_a_segment_is_found_and_spares_the_other_records() -> None:
    content, places = segment_of_three()
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 1 << at % 8
        for number, location in places.items():
            if location.offset <= at < location.offset + location.length:
                with pytest.raises(IntegrityBroken):
                    read(damaged, location, number)
            else:
                assert read(damaged, location, number) == PLAIN[number]


def test_every_flipped_bit_of_a_header_stops_the_walk_there() -> None:
    content, places = segment_of_three()
    whole = [
        ScannedRecord(object_id(number), location, len(PLAIN[number])) for number, location in places.items()
    ]
    assert list(walk(reading(content), SEGMENT, len(content))) == whole
    for at in range(places[2].offset, places[2].offset + HEADER_BYTES):
        damaged = bytearray(content)
        damaged[at] ^= 1 << at % 8
        assert list(walk(reading(damaged), SEGMENT, len(content))) == [whole[0], TornTail(places[2].offset)]


def test_every_truncation_is_found() -> None:
    content, places = segment_of_three()
    for end in range(len(content)):
        cut = content[:end]
        for number, location in places.items():
            if location.offset + location.length <= end:
                assert read(cut, location, number) == PLAIN[number]
            else:
                with pytest.raises(IntegrityBroken):
                    read(cut, location, number)


def chunk_span(number: int) -> slice:
    start = HEADER_BYTES + number * (CHUNK_BYTES + TAG_BYTES)
    return slice(start, start + CHUNK_BYTES + TAG_BYTES)


def test_swapped_chunks_do_not_open() -> None:
    one = bytearray(record(1, PLAIN[1]))
    one[chunk_span(0)], one[chunk_span(1)] = one[chunk_span(1)], one[chunk_span(0)]
    with pytest.raises(IntegrityBroken, match="chunk 0"):
        read(one, Location(SEGMENT, 0, len(one)), 1)


def test_a_chunk_of_another_record_does_not_open() -> None:
    one, other = bytearray(record(1, PLAIN[1])), record(1, PLAIN[1])
    one[chunk_span(1)] = other[chunk_span(1)]
    with pytest.raises(IntegrityBroken, match="chunk 1"):
        read(one, Location(SEGMENT, 0, len(one)), 1)


def test_only_what_was_sealed_as_the_last_chunk_opens_as_the_last() -> None:
    cipher = ChunkCipher(bytes(32), object_id(1))
    place = Location(SEGMENT, 0, 0)
    one, two = (
        Shape(object_id(1), CHUNK_BYTES, CHUNK_BYTES),
        Shape(object_id(1), CHUNK_BYTES + 1, CHUNK_BYTES),
    )
    middle, last = cipher.seal(PLAIN[3], 0), cipher.seal_last(PLAIN[3], 0)
    assert cipher.open(middle, 0, two, place) == cipher.open(last, 0, one, place) == PLAIN[3]
    for chunk, shape in ((middle, one), (last, two)):
        with pytest.raises(IntegrityBroken, match="chunk 0"):
            cipher.open(chunk, 0, shape, place)


def test_an_earlier_sealing_of_the_same_object_cannot_lend_its_header() -> None:
    one, other = record(1, PLAIN[1]), record(1, PLAIN[1])
    mixed = other[:HEADER_BYTES] + one[HEADER_BYTES:]
    with pytest.raises(IntegrityBroken):
        read(mixed, Location(SEGMENT, 0, len(mixed)), 1)


def test_swapped_records_do_not_open() -> None:
    first, second = record(1, payload(50, seed=1)), record(2, payload(50, seed=2))
    content = second + first
    for number, offset in ((1, 0), (2, len(second))):
        with pytest.raises(IntegrityBroken):
            read(content, Location(SEGMENT, offset, len(first)), number)


def forged(content: bytes, at: int, replacement: bytes) -> bytes:
    """A record changed by somebody who can compute the checksum, but has no key."""
    changed = bytearray(content)
    changed[at : at + len(replacement)] = replacement
    changed[HEADER_BYTES - 4 : HEADER_BYTES] = struct.pack(">I", zlib.crc32(changed[: HEADER_BYTES - 4]))
    return bytes(changed)


def test_every_header_byte_is_proven_by_the_key_and_not_by_the_checksum() -> None:
    one = record(1, PLAIN[1])
    for at in range(HEADER_BYTES - 4):
        tampered = forged(one, at, bytes([one[at] ^ 1]))
        # Only the key's id cannot be told from the id of a key that is missing.
        with pytest.raises(KeyUnavailable if 20 <= at < 36 else IntegrityBroken):
            read(tampered, Location(SEGMENT, 0, len(one)), 1)


def test_a_record_cut_at_a_chunk_with_a_forged_length_does_not_open() -> None:
    one = record(1, payload(64))
    cut = forged(one, 12, struct.pack(">Q", CHUNK_BYTES))[: HEADER_BYTES + CHUNK_BYTES + TAG_BYTES]
    with pytest.raises(IntegrityBroken, match="tampered"):
        read(cut, Location(SEGMENT, 0, len(cut)), 1)


@pytest.mark.parametrize("chunk_bytes", [0, MAX_CHUNK_BYTES + 1, 0xFFFFFFFF])
def test_a_chunk_size_we_would_not_hold_is_refused_unread(chunk_bytes: int) -> None:
    tampered = forged(record(1, b""), 8, struct.pack(">I", chunk_bytes))
    with pytest.raises(IntegrityBroken, match="impossible chunk size"):
        read(tampered, Location(SEGMENT, 0, len(tampered)), 1)


def test_a_declared_exabyte_is_a_torn_tail() -> None:
    tampered = forged(record(1, b""), 12, struct.pack(">Q", 1 << 63))
    assert list(walk(reading(tampered), SEGMENT, len(tampered))) == [TornTail(0)]


@pytest.mark.parametrize("at", [0, 4, 6])
def test_other_formats_and_versions_are_not_guessed_at(at: int) -> None:
    tampered = forged(record(1, b""), at, b"\xff\xff")
    with pytest.raises(IntegrityBroken, match="not a record of this version"):
        read(tampered, Location(SEGMENT, 0, len(tampered)), 1)


def test_another_site_key_does_not_open_it_even_under_the_right_id() -> None:
    impostor = SiteKey(SITE_KEY.key_id, OTHER_KEY.secret)
    one = record(1, b"a")
    with pytest.raises(IntegrityBroken):
        open_record(reading(one), Location(SEGMENT, 0, len(one)), object_id(1), KeyRing(impostor))


def test_an_erased_key_is_gone_for_good_and_the_segment_can_still_be_walked() -> None:
    content, places = segment_of_three()
    erased = forged(content, 52, bytes(60))
    with pytest.raises(IntegrityBroken):
        read(erased, places[1], 1)
    assert [found.location for found in walk_records(erased)] == list(places.values())


def walk_records(content: bytes) -> list[ScannedRecord]:
    found = list(walk(reading(content), SEGMENT, len(content)))
    return [item for item in found if isinstance(item, ScannedRecord)]


def test_an_unreadable_disk_is_not_mistaken_for_a_torn_tail() -> None:
    def unreadable(_segment: str, _offset: int, _length: int) -> bytes:
        raise IntegrityBroken("EIO")

    with pytest.raises(IntegrityBroken, match="EIO"):
        list(walk(unreadable, SEGMENT, 1000))


@given(st.binary(max_size=400))
def test_garbage_is_a_torn_tail_and_never_anything_else(garbage: bytes) -> None:
    # Zeros alone are what fills the last block of a segment that is being written.
    expected = [TornTail(0)] if any(garbage) else []
    assert list(walk(reading(garbage), SEGMENT, len(garbage))) == expected


@given(st.integers(0, 1000), st.integers(1, 100))
def test_the_chunks_of_a_shape_fill_its_record(plaintext_bytes: int, chunk_bytes: int) -> None:
    shape = Shape(object_id(1), plaintext_bytes, chunk_bytes)
    lengths = [shape.chunk_plaintext_bytes(number) for number in range(shape.chunks)]
    assert sum(lengths) == plaintext_bytes
    assert all(length == chunk_bytes for length in lengths[:-1])
    assert shape.chunk_offset(shape.chunks - 1) + lengths[-1] + TAG_BYTES == shape.record_bytes


@pytest.mark.parametrize("identity", [b"", bytes(15), bytes(17)])
def test_an_object_id_has_sixteen_bytes(identity: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Shape(identity, 0, 1)


@pytest.mark.parametrize("chunk_bytes", [0, MAX_CHUNK_BYTES + 1])
def test_nothing_is_sealed_in_chunks_that_no_reader_takes(chunk_bytes: int) -> None:
    with pytest.raises(ValueError, match="chunks have"):
        Shape(object_id(1), 0, chunk_bytes)


def test_a_short_site_key_is_never_used_as_a_weaker_cipher() -> None:
    weak = SiteKey(bytes(16), bytes(16))
    with pytest.raises(ValueError, match="32 bytes"):
        encode_header(Shape(object_id(1), 0, 1), weak, bytes(32), bytes(12))
