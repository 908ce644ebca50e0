"""Which reviews are due, and whom they concern."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from leadglass.policy import check_policy
from leadglass.policy.policy import Policy
from leadglass.policy.reviews import reviews, reviews_due

TODAY = date(2026, 11, 27)
TEXT = """
version = 1
[zones]
modalities = { cidr = ["10.20.1.0/24"], transport = "mtls" }
legacy = { cidr = ["10.20.9.0/28"], transport = "plain", review_by = 2026-11-26 }
reading = { cidr = ["10.20.3.0/24"], transport = "https" }
[devices]
ct1 = { zone = "modalities", ae = ["CT1"], owner = "radiology" }
us1 = { zone = "legacy", ae = ["US1"], ip = "10.20.9.5", owner = "maternity" }
us2 = { zone = "legacy", ae = ["US2"], ip = "10.20.9.6" }
ws1 = { zone = "modalities", ae = ["WS1"], address = "10.20.1.9:104" }
[groups]
rads = ["role:radiologist"]
[flows]
acquire = { from = ["zone:modalities", "us1"], to = "archive", can = ["store"], review_by = 2026-12-27 }
deliver = { from = ["archive"], to = "ws1", can = ["store"], expires = 2027-01-01, review_by = 2026-12-28 }
plain = { from = ["us2"], to = "archive", can = ["store"] }
[grants.home]
who = "rads"
from = ["reading"]
on = "any"
can = ["view"]
expires = 2027-01-01
review_by = 2026-11-27
"""


@pytest.fixture(scope="module")
def policy() -> Policy:
    checked = check_policy(TEXT, path="policy.toml", now=datetime(2026, 11, 27, 12, tzinfo=UTC))
    assert checked.policy is not None, checked.findings
    return checked.policy


def test_reviews_of_zones_flows_and_grants_name_whom_they_concern(policy: Policy) -> None:
    assert [(each.where, each.devices, each.owners) for each in reviews(policy)] == [
        ("zones.legacy", ("us1", "us2"), ("maternity",)),
        ("grants.home", (), ()),
        ("flows.acquire", ("ct1", "us1", "ws1"), ("maternity", "radiology")),
        ("flows.deliver", ("ws1",), ()),
    ]


def test_due_are_those_that_are_overdue_or_will_be_in_thirty_days(policy: Policy) -> None:
    due = reviews_due(policy, TODAY)
    assert [(each.where, each.is_overdue(TODAY)) for each in due] == [
        ("zones.legacy", True),
        ("grants.home", False),
        ("flows.acquire", False),
    ]


def test_what_is_told_names_the_date_the_owner_and_what_is_refused(policy: Policy) -> None:
    overdue, of_people, soon = (each.told(TODAY) for each in reviews_due(policy, TODAY))
    assert overdue == (
        "the review of zones.legacy was due 2026-11-26; what it permits is refused; owner: maternity"
    )
    assert of_people == "the review of grants.home is due 2026-11-27; owner: no owner is written down"
    assert soon == "the review of flows.acquire is due 2026-12-27; owner: maternity, radiology"
