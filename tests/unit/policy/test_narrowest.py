"""The narrowest rule: what it is, and what no rule is proposed for."""

from __future__ import annotations

import pytest

from leadglass.model.action import Verb
from leadglass.policy import QuestionInvalid, check_policy, parse_question
from leadglass.policy.narrowest import AllowedAlready, NewRule, NoRuleHelps, narrowest_rule
from leadglass.sitefile import toml_string, toml_strings
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
        ("us1 get archive age=0d", {"newer_than": "1d"}),
        ("us1 get archive age=9999d", {"newer_than": "9999d"}),
        ("us1 get archive age=10000d", {"newer_than": "28y"}),
        ("us1 get archive age=36500d", {"newer_than": "100y"}),
        ("us1 get archive age=36501d", {}),
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


@pytest.mark.parametrize("verb", [Verb.FIND, Verb.GET, Verb.MOVE, Verb.COMMIT])
@pytest.mark.parametrize(
    "words",
    [
        "any",
        "archive identity=removed",
        "any show=StudyDate age=5d label=x",
        "any age=36500d",
        "any age=99999d",
    ],
)
def test_rule_is_one_that_the_policy_takes(verb: Verb, words: str) -> None:
    found = rule(f"us1 {verb} {words}")
    flow = ", ".join(
        f"{key} = {toml_string(value) if isinstance(value, str) else toml_strings(value)}"
        for key, value in found.entry.items()
    )
    changed = EXAMPLE.replace("[grants]", f"extra = {{ {flow} }}\n[grants]", 1)
    assert changed != EXAMPLE
    checked = check_policy(changed, path="policy.toml", now=NOW)
    assert checked.policy is not None, checked.findings


def test_archive_sends_without_identity_what_is_asked_for_so() -> None:
    found = rule("archive store night label=day identity=removed")
    assert found.entry["deid"] == "basic"
    assert "deid" not in rule("archive echo night identity=removed").entry


@pytest.mark.parametrize(
    "question", ["internet view any from=remote mfa", "internet move ip=10.20.9.5 ae=LOGIQ transport=plain"]
)
def test_stranger_is_given_no_rule(question: str) -> None:
    with pytest.raises(NoRuleHelps, match="no rule can name a stranger"):
        rule(question)
