"""The narrowest rule: what it is, and what no rule is proposed for."""

from __future__ import annotations

import pytest

from leadglass.policy import QuestionInvalid, parse_question
from leadglass.policy.narrowest import AllowedAlready, NewRule, NoRuleHelps, narrowest_rule
from tests.support.policies import EXAMPLE, NOW, policy

GRANTS = 'nurses = { who = "nurses", from = "reading", on = "any", can = [] }\n[tests]'
OLD = policy(EXAMPLE.replace("[flows]", 'nurses = ["role:nurse"]\n[flows]', 1).replace("[tests]", GRANTS))


def rule(question: str) -> NewRule:
    return narrowest_rule(OLD, parse_question(question), NOW)


def test_device_is_given_one_verb() -> None:
    assert rule("us1 find archive") == NewRule(
        "flows", "us1-find", {"from": ("us1",), "to": "archive", "can": ("find",)}
    )


def test_archive_is_given_one_verb_to_one_device() -> None:
    assert rule("archive echo night") == NewRule(
        "flows", "night-echo", {"from": ("archive",), "to": "night", "can": ("echo",)}
    )


def test_group_is_given_one_verb_from_where_it_is_and_with_a_second_factor() -> None:
    assert rule("nurses view any from=reading mfa") == NewRule(
        "grants",
        "nurses-view",
        {"who": "nurses", "from": ("reading",), "on": "any", "can": ("view",), "need": ("mfa",)},
    )


@pytest.mark.parametrize(
    ("question", "bounds"),
    [
        ("us1 find archive sender=us1", {"only": ("own",)}),
        ("us1 find archive sender=ct1", {}),
        (
            "us1 get archive label=night label=day modality=US sop_class=CTImageStorage",
            {"only": ("label:day", "label:night", "modality:US", "sop_class:1.2.840.10008.5.1.4.1.1.2")},
        ),
        ("us1 find archive age=90d show=StudyDate", {"newer_than": "90d", "show": ("StudyDate",)}),
    ],
)
def test_rule_for_a_device_reaches_what_the_question_names(question: str, bounds: dict[str, object]) -> None:
    found = dict(rule(question).entry)
    assert {key: found[key] for key in found.keys() - {"from", "to", "can"}} == bounds


@pytest.mark.parametrize(
    ("question", "on", "bounds"),
    [
        ("nurses view any from=reading study=1.2.3", "study:1.2.3", {}),
        ("nurses view any from=reading label=a label=b", ("label:a", "label:b"), {}),
        ("nurses list any from=reading modality=CT", "any", {"only": ("modality:CT",)}),
    ],
)
def test_rule_for_people_is_on_what_the_question_names(
    question: str, on: str | tuple[str, ...], bounds: dict[str, object]
) -> None:
    found = dict(rule(question).entry)
    assert found["on"] == on
    assert {key: found[key] for key in found.keys() - {"who", "from", "on", "can", "need"}} == bounds


def test_object_out_of_a_rule_s_reach_is_given_a_rule_of_its_own() -> None:
    assert rule("archive store night label=day") == NewRule(
        "flows",
        "night-store",
        {"from": ("archive",), "to": "night", "can": ("store",), "only": ("label:day",)},
    )


def test_what_is_allowed_needs_no_rule() -> None:
    with pytest.raises(AllowedAlready, match="by flow acquire"):
        rule("ct1 store archive")


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("internet echo archive", "zone: "),
        ("us1 store archive modality=CT", "conditions: devices.us1.makes allows US, not modality CT"),
        ("ct1 find archive transport=plain", "transport: "),
        ("us1 find archive ip=10.20.9.9", "device: "),
        ("archive find night", "verb: find on"),
        ("us1 store archive stores=600", "budget: "),
    ],
)
def test_what_a_guard_or_condition_stops_is_given_no_rule(question: str, message: str) -> None:
    with pytest.raises(NoRuleHelps) as caught:
        rule(question)
    assert str(caught.value).startswith("no further rule would permit it: ")
    assert message in str(caught.value)


def test_unknown_caller_is_named() -> None:
    with pytest.raises(QuestionInvalid, match="unknown caller"):
        rule("us9 find archive")


def test_device_is_given_no_rule_for_all_studies_where_one_was_asked_for() -> None:
    with pytest.raises(NoRuleHelps, match=r"no flow is for one study.*label add"):
        rule("us1 get archive study=1.2.3")
