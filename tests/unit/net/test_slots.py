"""Slots for connections that are not yet associated: caps, eviction, and each zone's own."""

from __future__ import annotations

import pytest

from leadglass.net.slots import DoorSlots, Granted, Slot, SlotLimits


def slots(per_address: int = 3, total: int = 10, reserved: int = 2, zones: str = "ab") -> DoorSlots:
    return DoorSlots(SlotLimits(per_address, total, reserved), frozenset(zones))


def fill(door: DoorSlots, zone: str | None, start: int = 0) -> int:
    """Take slots from ever new addresses until there are none."""
    number = start
    while door.take(Slot(f"{zone}{number}", f"{zone}{number}", zone)) is not None:
        number += 1
    return number - start


def test_an_address_at_its_cap_loses_its_oldest() -> None:
    door = slots()
    for key in "123":
        assert door.take(Slot(key, "x", "a")) == Granted()
    assert door.take(Slot("4", "x", "a")) == Granted(evict="1")
    assert door.take(Slot("5", "x", "a")) == Granted(evict="2")
    assert door.waiting == 3


def test_an_address_at_its_cap_is_served_even_where_all_is_full() -> None:
    door = slots(per_address=1, total=1, reserved=0)
    door.take(Slot("1", "x", None))
    assert door.take(Slot("2", "x", None)) == Granted(evict="1")
    assert door.take(Slot("3", "y", None)) is None


def test_strangers_leave_every_zone_its_own() -> None:
    door = slots()
    assert fill(door, None) == 6
    assert fill(door, "a") == 2
    assert fill(door, "b") == 2
    assert door.waiting == 10
    assert door.take(Slot("late", "late", "b")) is None


def test_one_zone_cannot_starve_another() -> None:
    door = slots()
    assert fill(door, "a") == 8
    assert fill(door, "b") == 2


def test_more_zones_than_slots_still_serve_each_its_own() -> None:
    door = slots(total=10, reserved=2, zones="abcdefgh")
    assert fill(door, None) == 0
    assert fill(door, "a") == 2
    assert fill(door, "h") == 2


def test_a_zone_that_is_gone_has_no_slots_kept() -> None:
    door = slots()
    door.take(Slot("1", "x", "a"))
    door.zones = frozenset()
    assert fill(door, None) == 9
    door.free("1", "x")
    assert fill(door, None, start=100) == 1


def test_what_is_freed_can_be_taken_and_freeing_twice_is_nothing() -> None:
    door = slots(total=1, reserved=0)
    door.take(Slot("1", "x", None))
    door.free("1", "x")
    door.free("1", "x")
    door.free("2", "nobody")
    assert door.waiting == 0
    assert door.take(Slot("2", "y", None)) == Granted()


@pytest.mark.parametrize("zone", [None, "a", "unknown"])
def test_the_total_is_never_passed(zone: str | None) -> None:
    door = slots()
    fill(door, zone)
    fill(door, "a", start=50)
    fill(door, "b", start=50)
    assert door.waiting == 10
