"""How many associations each device has."""

from __future__ import annotations

from leadglass.net.live import LiveAssociations


def test_a_device_may_have_so_many_and_no_more() -> None:
    live = LiveAssociations(2, 100)
    assert live.why_full("ct1") == ""
    live.add("ct1")
    assert live.why_full("ct1") == ""
    live.add("ct1")
    assert live.why_full("ct1") == "ct1 has all 2 associations that a device may have at a time"
    live.remove("ct1")
    assert live.why_full("ct1") == ""


def test_what_one_device_has_is_not_counted_for_another() -> None:
    live = LiveAssociations(1, 100)
    live.add("ct1")
    assert live.why_full("ct1")
    assert not live.why_full("us1")
    live.add("us1")
    assert live.by_device == {"ct1": 1, "us1": 1}


def test_a_device_without_associations_is_forgotten() -> None:
    live = LiveAssociations(1, 100)
    assert live.why_full("asked about") == ""
    live.add("ct1")
    live.remove("ct1")
    assert live.by_device == {}


def test_where_there_are_all_that_may_be_a_device_without_any_may_have_one() -> None:
    live = LiveAssociations(2, 3)
    live.add("ct1")
    live.add("ct1")
    live.add("us1")
    assert live.why_full("us1") == "us1 has one, and there are all 3 associations that there may be"
    assert live.why_full("mr1") == ""
    live.add("mr1")
    assert live.why_full("mr1")
    live.remove("ct1")
    live.remove("ct1")
    assert live.why_full("mr1") == ""
