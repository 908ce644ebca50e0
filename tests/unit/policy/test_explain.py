from __future__ import annotations

from pathlib import Path

import pytest

from leadglass.model.decision import Decision
from leadglass.policy import QuestionInvalid, explain, parse_question
from tests.support.policies import EXAMPLE, NOW, policy
from tests.support.said import assert_said

SAID = Path(__file__).with_name("said_by_ladders.txt")
POLICY = policy(EXAMPLE)


def ask(question: str, text: str = EXAMPLE) -> Decision:
    return explain(POLICY if text is EXAMPLE else policy(text), parse_question(question), NOW)


@pytest.mark.parametrize(
    ("question", "rule"),
    [
        ("ct1 store archive", "flow acquire"),
        ("ct1 store archive modality=SR", "flow acquire"),
        ("us1 store archive", "flow old-us"),
        ("ws1 find", "flow read"),
        ("archive store ws1", "flow deliver"),
        ("archive store night label=night", "flow send-out"),
        ("rads view any mfa", "grant home"),
        ("rads view any from=remote mfa", "grant home"),
        ("rads list any ip=10.20.3.200 mfa", "grant home"),
    ],
)
def test_best_case_is_allowed_where_a_rule_gives_it(question: str, rule: str) -> None:
    decision = ask(question)
    assert (decision.allowed, decision.rule) == (True, rule)


@pytest.mark.parametrize(
    ("question", "rule"),
    [
        ("ct1 store archive modality=US", "flow acquire"),
        ("ct1 store archive transport=plain", "guard transport"),
        ("ct1 store archive from=reading", "guard zone of the device"),
        ("ct1 store archive ae=WS1", "guard AE title"),
        ("us1 store archive ip=10.20.9.6", "guard pinned address"),
        ("us1 store archive at=2027-02-01", "guard overdue review"),
        ("us1 store archive stores=600", "flow old-us"),
        ("archive store night label=night at=2027-04-01", "flow send-out"),
        ("rads view any", "grant home"),
        ("rads view any from=remote", "guard mfa"),
        ("internet echo archive", "guard unknown zone"),
        ("internet store archive transport=mtls ae=CT1", "guard unknown zone"),
        ("internet echo archive ip=10.20.9.5", "guard AE title"),
        ("internet view any", "guard mfa"),
        ("internet view any mfa", None),
        ("ct1 manage site", None),
    ],
)
def test_overrides_and_strangers_are_refused_by_the_rule_that_stops_them(
    question: str, rule: str | None
) -> None:
    decision = ask(question)
    assert (decision.allowed, decision.rule) == (False, rule)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("ct9 find archive", 'unknown caller "ct9"; did you mean "ct1"?'),
        ("ct1 find archve", 'unknown target "archve"; did you mean "archive"?'),
        ("ct1 find archive sender=ct9", 'unknown sender "ct9"; did you mean "ct1"?'),
        ("ct1 find archive from=legcy", 'unknown zone "legcy"; did you mean "legacy"?'),
    ],
)
def test_names_the_policy_does_not_know_are_named(question: str, message: str) -> None:
    with pytest.raises(QuestionInvalid) as caught:
        ask(question)
    assert str(caught.value) == message


NESTED = """
version = 1
[zones]
outer = { cidr = ["10.0.0.0/24"], transport = ["mtls", "plain"], review_by = 2027-06-30 }
inner = { cidr = ["10.0.0.0/25"], transport = "mtls" }
first = { cidr = ["10.0.0.128/32", "10.0.0.129/32"], transport = "mtls" }
hidden = { cidr = ["10.0.1.0/24"], transport = "mtls" }
over = { cidr = ["10.0.1.0/25", "10.0.1.128/25"], transport = "mtls" }
nowhere = { cidr = [], transport = "mtls" }
web = { cidr = ["10.0.3.0/24"], transport = "https" }
[devices]
a = { zone = "outer", ae = ["A"] }
b = { zone = "hidden", ae = ["B"] }
c = { zone = "nowhere", ae = ["C"] }
d = { zone = "web", ae = ["D"] }
e.zone = "inner"
e.ae = ["E"]
e.fingerprint = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
f = { zone = "inner", ae = ["F"], makes = [] }
[groups]
g = ["role:x"]
[flows]
all = { from = ["a", "b", "c", "d", "e", "f"], to = "archive", can = ["echo", "store"] }
"""


def test_device_is_given_an_address_that_no_longer_prefix_takes_away() -> None:
    decision = ask("a echo", NESTED)
    assert decision.allowed
    assert decision.ladder[0].detail == "10.0.0.130 on listener question"


def test_device_that_can_come_from_nowhere_is_refused() -> None:
    rules = {name: ask(f"{name} echo", NESTED).rule for name in "bcd"}
    assert rules == {"b": "guard zone of the device", "c": "guard unknown zone", "d": "guard transport"}


def test_device_with_a_pinned_certificate_is_asked_with_that() -> None:
    assert ask("e echo", NESTED).ladder[3].detail == "e, by its pinned certificate"


def test_device_that_makes_nothing_stores_nothing() -> None:
    assert not ask("f store", NESTED).allowed
    assert ask("a store", NESTED).allowed


def test_group_without_a_grant_comes_from_nowhere() -> None:
    assert ask("g view any mfa", NESTED).rule == "guard unknown zone"


def test_stranger_is_never_taken_for_a_partner() -> None:
    text = EXAMPLE.replace('"203.0.113.0/28"', '"203.0.113.0/28", "198.51.100.0/24", "192.0.2.0/24"')
    assert ask("internet echo archive", text).ladder[1].detail == "no zone holds 2001:db8::7 over plain"


def test_browser_among_the_modalities_is_placed_by_https_alone() -> None:
    decision = ask("rads view any from=modalities mfa")
    assert (decision.allowed, decision.zone) == (True, "remote")


WHO = ("ct1", "us1", "ws1", "archive", "rads", "internet")
WORDS = (
    *("", "transport=plain", "from=remote", "ip=10.20.9.9", "ip=10.20.1.9", "ae=WS1", "ae=NOBODY"),
    *(
        "modality=CT",
        "label=night",
        "stores=600",
        "at=2027-02-01",
        "mfa",
        "from=remote mfa",
        "transport=https",
    ),
)
TARGETS = {"archive": "night", "rads": "any"}
VERBS = ("store", "find", "view", "manage")


def test_every_ladder_is_told_in_these_words() -> None:
    """Rule, rungs and fix of many questions about the example: a changed word must be meant."""
    told = []
    for who in WHO:
        for verb in VERBS:
            for words in WORDS:
                question = f"{who} {verb} {TARGETS.get(who, 'archive')} {words}".strip()
                decision = ask(question)
                rungs = " / ".join(
                    f"{rung.state.value} {rung.detail}" for rung in decision.ladder if rung.detail
                )
                where = f"{decision.who} {decision.device} {decision.zone} {decision.site!r}"
                told.append(f"{question}: {decision.rule}: {where}: {rungs} | {decision.fix}")
    assert_said(told, SAID)
