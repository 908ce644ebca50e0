from __future__ import annotations

import tracemalloc
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from leadglass.storage.record import HEADER_BYTES
from leadglass.storage.seal import Sealer, seal
from tests.support.storage import PERMIT, SITE_KEY, object_id, payload, repeatable_bytes

CHUNK_BYTES = 32


def sealed_record(fragments: list[bytes]) -> bytes:
    item = seal(PERMIT, object_id(1), fragments, SITE_KEY, repeatable_bytes(5), chunk_bytes=CHUNK_BYTES)
    record = b"".join(item.buffers)
    assert (item.object_id, item.length) == (object_id(1), len(record))
    return record


@given(st.binary(max_size=150), st.lists(st.integers(0, 150)))
def test_how_an_object_was_cut_into_fragments_leaves_no_trace(content: bytes, cuts: list[int]) -> None:
    ends = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    fragments = [content[start:stop] for start, stop in pairwise(ends)]
    assert sealed_record(fragments) == sealed_record([content])


def test_an_empty_object_is_one_empty_chunk() -> None:
    assert len(sealed_record([])) == HEADER_BYTES + 16


def test_sealing_twice_gives_two_different_records() -> None:
    random_bytes = repeatable_bytes(5)
    first, second = (
        b"".join(seal(PERMIT, object_id(1), [b"same"], SITE_KEY, random_bytes).buffers) for _ in range(2)
    )
    assert all(first[at : at + 16] != second[at : at + 16] for at in range(52, len(first) - 16, 16))


def test_memoryviews_are_sealed_like_bytes() -> None:
    content = payload(100)
    views = [memoryview(content)[:50], memoryview(content)[50:]]
    item = seal(PERMIT, object_id(1), views, SITE_KEY, repeatable_bytes(5), chunk_bytes=CHUNK_BYTES)
    assert b"".join(item.buffers) == sealed_record([content])


def test_a_peer_that_sends_single_bytes_costs_no_more_than_a_chunk() -> None:
    chunk_bytes = 32 << 10
    sealer = Sealer(object_id(1), repeatable_bytes(5), chunk_bytes)
    tracemalloc.start()
    try:
        for _ in range(chunk_bytes):
            sealer.add(b"x")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 3 * chunk_bytes
