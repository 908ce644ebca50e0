"""What should worry whoever looks after a device."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from leadglass.admin.asset_worries import Known, Severity, Worry, by_worry, worries
from leadglass.index.assets import Seen, Volume
from leadglass.policy import check_policy
from leadglass.policy.policy import Policy

TODAY = date(2026, 11, 27)
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
TEXT = """
version = 1
[zones]
modalities = { cidr = ["10.20.1.0/24"], transport = "mtls" }
legacy = { cidr = ["10.20.9.0/28"], transport = "plain", review_by = 2026-11-26 }
[devices]
ct1 = { zone = "modalities", ae = ["CT1"] }
mr1 = { zone = "modalities", ae = ["MR1"], end_of_support = 2026-11-26 }
us1 = { zone = "legacy", ae = ["US1"], ip = "10.20.9.5" }
gone = { zone = "legacy", ae = ["GONE"], ip = "10.20.9.6", revoked = 2026-01-01, end_of_support = 2020-01-01 }
[flows]
acquire = { from = ["ct1", "us1"], to = "archive", can = ["echo", "store", "find"] }
late = { from = ["mr1"], to = "archive", can = ["store"], review_by = 2026-11-01 }
"""
NOTHING = Known({}, {}, None, None)


@pytest.fixture(scope="module")
def policy() -> Policy:
    checked = check_policy(TEXT, path="policy.toml", now=NOW)
    assert checked.policy is not None, checked.findings
    return checked.policy


def of(policy: Policy, name: str, known: Known = NOTHING) -> tuple[Worry, ...]:
    return worries(policy, policy.devices[name], known, TODAY)


def days(*ago: int, verb: str = "store") -> dict[date, dict[str, Volume]]:
    return {TODAY - timedelta(days=each): {verb: Volume(1, 1)} for each in ago}


def test_sound_device_worries_nobody(policy: Policy) -> None:
    assert of(policy, "ct1") == ()


def test_revoked_device_worries_nobody(policy: Policy) -> None:
    assert of(policy, "gone") == ()


def test_out_of_support_and_overdue_review_of_a_flow_are_high(policy: Policy) -> None:
    support, review = of(policy, "mr1")
    assert {support.severity, review.severity} == {Severity.HIGH}
    assert support.what == "out of support since 2026-11-26"
    assert review.what == "the review of flows.late was due 2026-11-01: it is refused"


def test_plaintext_comes_after_the_overdue_review_of_its_zone(policy: Policy) -> None:
    review, plaintext = of(policy, "us1")
    assert (review.severity, plaintext.severity) == (Severity.HIGH, Severity.MEDIUM)
    assert "zones.legacy was due 2026-11-26" in review.what
    assert "plaintext in zone legacy" in plaintext.what


@pytest.mark.parametrize(
    ("left", "severity"),
    [
        (-1, Severity.HIGH),
        (0, Severity.HIGH),
        (7, Severity.HIGH),
        (8, Severity.MEDIUM),
        (30, Severity.MEDIUM),
        (31, Severity.LOW),
        (90, Severity.LOW),
        (91, None),
    ],
)
def test_certificate_worries_more_as_its_end_comes(
    policy: Policy, left: int, severity: Severity | None
) -> None:
    issued = Known({}, {}, None, TODAY + timedelta(days=left))
    found = of(policy, "ct1", issued)
    assert [each.severity for each in found] == ([] if severity is None else [severity])
    assert all("device renew ct1" in each.todo for each in found)
    assert all(("ended" in each.what) == (left < 0) for each in found)


def test_renewed_certificate_that_the_device_does_not_show_yet_is_told(policy: Policy) -> None:
    ends = TODAY + timedelta(days=5)
    shown = {"certificate until": {ends.isoformat(): Seen(NOW, NOW)}}
    (worry,) = of(policy, "ct1", Known(shown, {}, None, TODAY + timedelta(days=700)))
    assert worry.todo == "another was issued: put it on the device"


@pytest.mark.parametrize(("ago", "told"), [(0, True), (30, True), (31, False)])
def test_changed_software_is_told_for_a_month(policy: Policy, ago: int, *, told: bool) -> None:
    long_ago = NOW - timedelta(days=300)
    changed = NOW - timedelta(days=ago)
    facts = {"implementation": {"1.2 A": Seen(long_ago, changed), "1.2 B": Seen(changed, changed)}}
    found = of(policy, "ct1", Known(facts, {}, None, None))
    assert [each.what for each in found] == (
        [f"its software changed {changed:%Y-%m-%d}, from 1.2 A to 1.2 B"] if told else []
    )


def test_first_software_ever_seen_is_no_change(policy: Policy) -> None:
    facts = {"implementation": {"1.2 A": Seen(NOW, NOW)}}
    assert of(policy, "ct1", Known(facts, {}, None, None)) == ()


@pytest.mark.parametrize(
    ("volumes", "told"),
    [
        (days(10, 11, 14, 15, 16), True),
        (days(4, 5, 8, 9, 10), False),
        (days(5, 6, 9, 10, 11), True),
        (days(80, 81, 82, 83), False),
    ],
)
def test_silence_is_measured_by_the_device_s_own_habits(
    policy: Policy, volumes: dict[date, dict[str, Volume]], *, told: bool
) -> None:
    found = of(policy, "ct1", Known({}, volumes, None, None))
    assert ["silent for" in each.what for each in found] == [True] * told


def test_unused_permission_is_told_after_ninety_days_of_looking(policy: Policy) -> None:
    volumes = days(1)
    for since, told in ((89, []), (90, ["did not use in 90 days what it may: find"])):
        known = Known({}, volumes, TODAY - timedelta(days=since), None)
        assert [each.what for each in of(policy, "ct1", known)] == told


def test_devices_are_ordered_by_their_worst_then_by_how_much_then_by_name() -> None:
    low, high = Worry(Severity.LOW, "", ""), Worry(Severity.HIGH, "", "")
    found = by_worry([("b", ()), ("a", ()), ("c", (low,)), ("d", (high,)), ("e", (high, low))])
    assert found[:2] == ["e", "d"]
    assert found[2:] == ["c", "a", "b"]
