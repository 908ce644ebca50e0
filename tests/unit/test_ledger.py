"""The ledger: what each caller used of the hour, forgotten when the hour has passed, and bounded."""

from __future__ import annotations

import pytest

from leadglass.ledger import BUCKET_S, HOUR_S, MAX_PATIENTS, Account, Ledger, Traffic, before_one_more
from leadglass.model.usage import NO_USAGE, Usage


def test_what_was_used_is_forgotten_after_an_hour() -> None:
    account = Account()
    account.add(0, 3, 300)
    account.see(0, [1, 2])
    account.add(1800, 1, 100)
    account.see(1800, [2, 3])
    assert account.used(HOUR_S - 1) == Usage(4, 400, 3)
    assert account.used(HOUR_S + BUCKET_S) == Usage(1, 100, 2)
    assert account.used(1800 + HOUR_S + BUCKET_S) == NO_USAGE


def test_a_minute_is_counted_together_and_the_next_apart() -> None:
    account = Account()
    for now_s in range(0, 180, 10):
        account.add(now_s, 1, 10)
    assert len(account.minutes) == 3
    assert account.used(180) == Usage(18, 180, 0)


def test_a_patient_counts_once_and_for_an_hour_after_the_last_time() -> None:
    account = Account()
    for now_s in (0, 1000, 3000):
        account.see(now_s, [7])
    assert account.used(3000).patients == 1
    assert account.used(HOUR_S + 2000).patients == 1
    assert account.used(HOUR_S + 3000 + BUCKET_S).patients == 0


def test_what_is_given_back_is_taken_off_the_last_minutes_and_never_more_than_there_is() -> None:
    account = Account()
    account.add(0, 5, 500)
    account.add(100, 2, 50)
    account.give_back(3, 60)
    assert account.used(100) == Usage(4, 490, 0)
    account.give_back(100, 10_000)
    assert account.used(100) == NO_USAGE


def test_those_not_seen_yet_are_named_once_and_in_order() -> None:
    account = Account()
    account.see(0, [2])
    assert account.unseen([3, 2, 1, 3]) == [3, 1]
    assert account.leading_seen([2, 2, 3, 2]) == 2
    assert account.leading_seen([2, 2]) == 2


def test_no_account_holds_more_patients_than_any_budget_permits() -> None:
    account = Account()
    account.see(0, range(MAX_PATIENTS + 10))
    account.see(1, [0])
    assert account.used(1).patients == MAX_PATIENTS


def test_an_alert_is_due_once_in_an_hour() -> None:
    account = Account()
    due = [account.exceed(now_s) for now_s in (0.0, 1.0, HOUR_S - 1, HOUR_S, HOUR_S + 1)]
    assert due == [True, False, False, True, False]


def test_callers_and_kinds_of_traffic_do_not_share_an_account() -> None:
    ledger = Ledger()
    ledger.account(Traffic.READING, "ws1").add(0, 5, 5)
    assert ledger.account(Traffic.READING, "ws1").used(0) == Usage(5, 5)
    assert ledger.account(Traffic.READING, "ws2").used(0) == NO_USAGE
    assert ledger.account(Traffic.STORES, "ws1").used(0) == NO_USAGE


def test_whoever_did_nothing_for_an_hour_is_forgotten() -> None:
    ledger = Ledger()
    for number in range(4096):
        ledger.account(Traffic.READING, f"ws{number}").see(0, [number])
    ledger.account(Traffic.READING, "alerted").exceed(HOUR_S)
    ledger.forget_idle(HOUR_S / 2)
    assert len(ledger) == 4097
    ledger.forget_idle(HOUR_S + BUCKET_S)
    assert len(ledger) == 1
    ledger.forget_idle(2 * HOUR_S)
    assert len(ledger) == 0


@pytest.mark.parametrize(
    ("used", "wanted", "weighed"),
    [
        (Usage(5, 50, 3), Usage(1, 10, 1), Usage(5, 59, 3)),
        (Usage(5, 50, 3), Usage(4, 10, 2), Usage(8, 59, 4)),
        (Usage(5, 50, 3), Usage(0, 0, 0), Usage(4, 49, 0)),
        (NO_USAGE, NO_USAGE, NO_USAGE),
    ],
)
def test_a_budget_weighs_all_but_the_last_of_what_is_wanted(
    used: Usage, wanted: Usage, weighed: Usage
) -> None:
    assert before_one_more(used, wanted) == weighed
