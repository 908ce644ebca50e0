"""How many associations each device has."""

from __future__ import annotations

from leadglass.net.live import LiveAssociations


def test_a_device_may_have_so_many_and_no_more() -> None:
    live = LiveAssociations(2)
    assert live.why_full("ct1") == ""
    live.add("ct1")
    assert live.why_full("ct1") == ""
    live.add("ct1")
    assert live.why_full("ct1") == "ct1 has all 2 associations that a device may have at a time"
    live.remove("ct1")
    assert live.why_full("ct1") == ""


def test_what_one_device_has_is_not_counted_for_another() -> None:
    live = LiveAssociations(1)
    live.add("ct1")
    assert live.why_full("ct1")
    assert not live.why_full("us1")
    live.add("us1")
    assert live.by_device == {"ct1": 1, "us1": 1}


def test_a_device_without_associations_is_forgotten() -> None:
    live = LiveAssociations(1)
    assert live.why_full("asked about") == ""
    live.add("ct1")
    live.remove("ct1")
    assert live.by_device == {}
