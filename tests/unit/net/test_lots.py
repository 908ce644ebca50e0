"""Which objects of a retrieval are read in one go."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from leadglass.model.instance import Location, StoredInstance
from leadglass.model.names import Uid
from leadglass.net.scp.retrieve import BYTES_PER_READ, OBJECTS_PER_READ, in_lots


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
