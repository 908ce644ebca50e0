"""A flipped bit is noticed wherever it falls, and costs only the object that it falls in."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from leadglass.model.errors import IntegrityBroken
from leadglass.model.instance import Location
from leadglass.storage import LocalSegmentStore
from leadglass.storage.record import CHUNK_BYTES
from tests.support.storage import PERMIT, SMALL_CHUNK_BYTES, local_store, object_id, payload, sealed

FLIPS_IN_LARGE = 10_000


@contextmanager
def flipped(segment: Path, bit: int) -> Iterator[None]:
    """One bit of a file the other way round, for as long as the block lasts."""
    descriptor = os.open(segment, os.O_RDWR)
    try:
        (byte,) = os.pread(descriptor, 1, bit // 8)
        os.pwrite(descriptor, bytes([byte ^ 1 << bit % 8]), bit // 8)
        yield
        os.pwrite(descriptor, bytes([byte]), bit // 8)
    finally:
        os.close(descriptor)


def filled(folder: Path, sizes: Sequence[int], chunk_bytes: int) -> list[Location]:
    """Objects one behind the other in one segment, whose numbers are their places in the list."""
    store = local_store(folder, chunk_bytes=chunk_bytes, segment_bytes=1 << 30)
    batch = [sealed(number, payload(size, number), chunk_bytes) for number, size in enumerate(sizes)]
    locations = store.append(PERMIT, batch)
    store.close()
    return locations


def broken(store: LocalSegmentStore, locations: Sequence[Location], numbers: Sequence[int]) -> list[int]:
    """Those that cannot be read, of the objects with these numbers."""
    found = []
    for number in numbers:
        try:
            store.verify(PERMIT, locations[number], object_id(number))
        except IntegrityBroken:
            found.append(number)
    return found


def test_any_bit_of_a_small_segment_costs_only_its_own_object(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    locations = filled(folder, [0, 1, 3 * SMALL_CHUNK_BYTES + 5], SMALL_CHUNK_BYTES)
    every = range(len(locations))
    segment = folder / f"{locations[0].segment}.seg"
    assert segment.stat().st_size == sum(location.length for location in locations)
    store = local_store(folder)
    for number, location in enumerate(locations):
        for bit in range(location.offset * 8, (location.offset + location.length) * 8):
            with flipped(segment, bit):
                assert broken(store, locations, every) == [number], f"bit {bit}"
    assert broken(store, locations, every) == []
    store.close()


def test_ten_thousand_random_flips_in_a_large_segment_cost_only_their_own_objects(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    sizes = [random.Random(number).randrange(2 * CHUNK_BYTES) for number in range(100)]
    locations = filled(folder, sizes, CHUNK_BYTES)
    segment = folder / f"{locations[0].segment}.seg"
    store = local_store(folder, chunk_bytes=CHUNK_BYTES)
    dice = random.Random(1)
    for _ in range(FLIPS_IN_LARGE):
        number = dice.randrange(len(locations))
        location = locations[number]
        bit = location.offset * 8 + dice.randrange(location.length * 8)
        following = range(number, min(number + 2, len(locations)))
        with flipped(segment, bit):
            assert broken(store, locations, following) == [number], f"bit {bit}"
    assert broken(store, locations, range(len(locations))) == []
    store.close()
