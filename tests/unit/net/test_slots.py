"""Slots for connections that are not yet associated: caps, eviction, and each zone's own."""

from __future__ import annotations

import pytest

from leadglass.net.slots import DoorSlots, Granted, Slot, SlotLimits

CROWDED = "too many of its address wait"
WAITED = "all places are taken, and it waited longest"


def slots(per_address: int = 3, total: int = 10, reserved: int = 2, zones: str = "ab") -> DoorSlots:
    return DoorSlots(SlotLimits(per_address, total, reserved), frozenset(zones))


def fill(door: DoorSlots, zone: str | None, start: int = 0) -> int:
    """Take slots from ever new addresses until there is none that is free."""
    number = start
    while door.take(Slot(f"{zone}{number}", f"{zone}{number}", zone)) == Granted():
        number += 1
    return number - start


def test_an_address_at_its_cap_loses_its_oldest() -> None:
    door = slots()
    for key in "123":
        assert door.take(Slot(key, "x", "a")) == Granted()
    assert door.take(Slot("4", "x", "a")) == Granted("1", CROWDED)
    assert door.take(Slot("5", "x", "a")) == Granted("2", CROWDED)
    assert door.waiting == 3


def test_an_address_at_its_cap_is_served_even_where_all_is_full() -> None:
    door = slots(per_address=1, total=1, reserved=0)
    door.take(Slot("1", "x", None))
    assert door.take(Slot("2", "x", None)) == Granted("1", CROWDED)
    assert door.take(Slot("3", "y", None)) is None


def test_strangers_leave_every_zone_its_own() -> None:
    door = slots()
    assert fill(door, None) == 6
    assert fill(door, "a") == 2
    assert fill(door, "b") == 2
    assert door.waiting == 10
    assert door.take(Slot("late", "late", None)) is None


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


def test_whoever_comes_from_a_zone_takes_the_place_of_the_stranger_who_waited_longest() -> None:
    door = slots()
    assert fill(door, None) == 6
    for number in range(4):
        assert door.take(Slot(number, f"a{number}", "a")) == (
            Granted() if number < 2 else Granted(f"None{number - 2}", WAITED)
        )
    assert door.waiting == 8
    assert fill(door, "b") == 2


def test_where_no_stranger_waits_the_one_of_its_own_zone_who_waited_longest_gives_way() -> None:
    door = slots(total=3, reserved=1)
    assert fill(door, "a") == 2
    assert door.take(Slot("new", "new", "a")) == Granted("a1", WAITED)
    assert door.take(Slot("b", "b", "b")) == Granted()
    assert door.take(Slot("newer", "newer", "b")) == Granted("b", WAITED)
    assert door.waiting == 3


def test_where_others_have_every_place_a_zone_without_any_reserved_gets_none() -> None:
    door = slots(total=2, reserved=0)
    assert fill(door, "a") == 2
    assert door.take(Slot("b", "b", "b")) is None
