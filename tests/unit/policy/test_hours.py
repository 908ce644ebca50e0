"""Rules that hold at some hours and on some days only, and the tests of a policy that has such."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from leadglass.model.action import Action, Verb
from leadglass.model.decision import Step
from leadglass.policy import check_policy
from leadglass.policy.engine import evaluate, evaluate_admission
from leadglass.policy.explain import explain
from leadglass.policy.question import parse_question
from tests.support.policies import CT1, policy

SHIFT = """\
version = 1
time_zone = "Europe/Berlin"
[zones]
modalities = { cidr = ["10.20.1.0/24"], transport = "mtls" }
[devices]
ct1 = { zone = "modalities", ae = ["CT1"] }
[flows]
day = { from = ["ct1"], to = "archive", can = ["echo", "store"], weekdays = "mon-fri", hours = "07:00-19:00" }
"""
WEDNESDAY = datetime(2026, 11, 25, tzinfo=UTC)


def allowed(at: datetime) -> bool:
    return evaluate(policy(SHIFT), CT1, Action(Verb.STORE), at).allowed


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (WEDNESDAY + timedelta(hours=6), True),
        (WEDNESDAY + timedelta(hours=5, minutes=59), False),
        (WEDNESDAY + timedelta(hours=18), False),
        (WEDNESDAY + timedelta(days=3, hours=12), False),
        (datetime(2026, 7, 1, 5, tzinfo=UTC), True),  # summer time
    ],
)
def test_rule_holds_at_its_hours_on_its_days_by_the_clock_on_the_wall(at: datetime, expected: bool) -> None:  # noqa: FBT001
    assert allowed(at) is expected
    assert evaluate_admission(policy(SHIFT), CT1, at).decision.allowed is expected


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
def test_on_the_days_that_the_clock_is_changed_the_rule_holds_for_its_wall_hours(day: datetime) -> None:
    sunday = policy(SHIFT.replace("mon-fri", "sun"))
    minutes = [day - timedelta(hours=3) + timedelta(minutes=number) for number in range(30 * 60)]
    held = [at for at in minutes if evaluate(sunday, CT1, Action(Verb.STORE), at).allowed]
    assert len(held) == 12 * 60


def test_refusal_outside_the_hours_says_what_the_clock_shows() -> None:
    decision = evaluate(policy(SHIFT), CT1, Action(Verb.STORE), WEDNESDAY + timedelta(hours=21, minutes=4))
    assert decision.failed is not None
    assert decision.failed.step is Step.CONDITIONS
    assert decision.failed.detail == "it is 22:04 in Europe/Berlin, and flows.day.hours is 07:00-19:00"
    assert decision.fix == "wait for those hours, or widen flows.day.hours"


def test_time_of_a_question_is_the_policys_own_unless_it_says_otherwise() -> None:
    def answer(at: str) -> bool:
        return explain(policy(SHIFT), parse_question(f"ct1 store archive at={at}"), WEDNESDAY).allowed

    assert answer("2026-11-25T07:00")
    assert not answer("2026-11-25T06:59")
    assert not answer("2026-11-25T05:59Z")
    assert answer("2026-11-25T06:00Z")


@pytest.mark.parametrize("hour", range(0, 24 * 7, 17))
def test_tests_have_the_same_answer_whenever_the_policy_is_loaded(hour: int) -> None:
    now = WEDNESDAY + timedelta(hours=hour)
    good = (
        SHIFT + '[tests]\nallow = ["ct1 store archive"]\ndeny = ["ct1 store archive at=2026-11-25T20:00"]\n'
    )
    assert check_policy(good, path="policy.toml", now=now).failed_tests == ()
    wrong = SHIFT + '[tests]\ndeny = ["ct1 store archive"]\n'
    (failure,) = check_policy(wrong, path="policy.toml", now=now).failed_tests
    assert "flow day allows it" in str(failure)


@pytest.mark.parametrize("day", range(7))
def test_rule_of_weekdays_alone_is_tried_on_each_of_them(day: int) -> None:
    text = SHIFT.replace(', hours = "07:00-19:00"', "").replace("mon-fri", "sun")
    text += '[tests]\nallow = ["ct1 store archive"]\n'
    now = WEDNESDAY + timedelta(days=day, hours=3)
    assert check_policy(text, path="policy.toml", now=now).failed_tests == ()


def test_hours_of_grants_bind_people() -> None:
    text = SHIFT.replace('"mtls"', '["mtls", "https"]')
    text += """[groups]
rads = ["role:radiologist"]
[grants]
read = { who = "rads", from = "modalities", on = "any", can = ["view"], hours = "22:00-06:00" }
"""

    def answer(at: str) -> bool:
        return explain(policy(text), parse_question(f"rads view any at={at}"), WEDNESDAY).allowed

    assert answer("2026-11-25T23:00")
    assert answer("2026-11-25T05:59")
    assert not answer("2026-11-25T12:00")


def test_several_days_and_ranges_over_the_weekend_are_understood() -> None:
    text = SHIFT.replace('"mon-fri"', '["sat-mon", "wed"]').replace('"07:00-19:00"', '"00:00-24:00"')
    days = [
        evaluate(policy(text), CT1, Action(Verb.ECHO), datetime(2026, 11, 23 + day, 12, tzinfo=UTC)).allowed
        for day in range(7)
    ]
    assert days == [True, False, True, False, False, True, True]


def test_group_of_devices_is_given_what_its_flow_gives() -> None:
    text = SHIFT.replace('from = ["ct1"]', 'from = ["group:scanners"]')
    text = text.replace(', weekdays = "mon-fri", hours = "07:00-19:00"', "")
    text = text.replace("[flows]", 'mr1 = { zone = "modalities", ae = ["MR1"] }\n[flows]')
    text += '[groups]\nscanners = ["device:ct1"]\n'
    text += '[tests]\nallow = ["ct1 store archive"]\ndeny = ["mr1 store archive"]\n'
    assert check_policy(text, path="policy.toml", now=WEDNESDAY).failed_tests == ()
