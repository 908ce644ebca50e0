"""Which objects of a retrieval are read in one go, and no more than memory is meant for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.model.errors import IntegrityBroken
from leadglass.model.instance import Location, StoredInstance
from leadglass.model.names import Uid
from leadglass.net.scp.retrieve import BYTES_PER_READ, OBJECTS_PER_READ, in_lots
from leadglass.net.sending import BYTES_AHEAD, DataSet, ReadAhead
from tests.support.net_rig import run

T = TypeVar("T")


async def on_a_thread(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)


def of_size(size_bytes: int) -> StoredInstance:
    uid = Uid("1.2.3")
    place = Location("segment", 0, size_bytes)
    return StoredInstance(
        uid, uid, uid, uid, uid, "CT", bytes(16), place, size_bytes, bytes(32), study_date=date(2026, 1, 1)
    )


@given(st.lists(st.integers(0, 2 * BYTES_PER_READ) | st.integers(0, 10_000), max_size=150))
def test_all_in_order_and_no_lot_larger_than_one_reading(sizes: list[int]) -> None:
    instances = [of_size(size) for size in sizes]
    lots = in_lots(instances)
    assert [each for lot in lots for each in lot] == instances
    for lot in lots:
        assert 1 <= len(lot) <= OBJECTS_PER_READ
        assert len(lot) == 1 or sum(each.size_bytes for each in lot) <= BYTES_PER_READ


def test_small_objects_share_a_reading_and_a_large_one_has_its_own() -> None:
    sizes = [10, 20, 3 * BYTES_PER_READ, 30, *([1] * OBJECTS_PER_READ)]
    lots = in_lots([of_size(size) for size in sizes])
    assert [len(lot) for lot in lots] == [2, 1, OBJECTS_PER_READ, 1]


def test_objects_that_grow_as_they_are_read_wait_for_their_turn() -> None:
    begun: list[int] = []

    def begin(number: int) -> Iterator[bytes]:
        begun.append(number)
        yield bytes(BYTES_AHEAD // 2 + 1)

    async def scenario() -> None:
        datasets = [DataSet(on_a_thread, partial(begin, number)) for number in range(4)]
        ahead = ReadAhead(on_a_thread, datasets)
        await ahead.done()
        assert begun == [0, 1]
        for number, dataset in enumerate(datasets):
            await dataset.ready()
            assert [len(piece) async for piece in dataset.pieces()] == [BYTES_AHEAD // 2 + 1]
            assert begun == list(range(max(2, number + 1)))

    run(scenario())


def test_one_that_cannot_be_read_spoils_no_other_of_its_lot() -> None:
    def broken() -> Iterator[bytes]:
        raise IntegrityBroken("chunk 0 does not verify")

    async def scenario() -> None:
        datasets = [DataSet(on_a_thread, broken), DataSet(on_a_thread, lambda: iter([b"whole"]))]
        await ReadAhead(on_a_thread, datasets).done()
        with pytest.raises(IntegrityBroken):
            await datasets[0].ready()
        await datasets[1].ready()
        assert [piece async for piece in datasets[1].pieces()] == [b"whole"]

    run(scenario())
