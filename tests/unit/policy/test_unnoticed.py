"""What chance changes of the code did that no other test noticed."""

from __future__ import annotations

from dataclasses import replace

from leadglass.model.action import Action, Verb
from leadglass.model.names import Uid
from leadglass.policy import explain, parse_question
from leadglass.policy.condition import Asked
from leadglass.policy.conditions.sop_class import SopClass
from leadglass.policy.decide import decide
from tests.support.policies import CT1, EXAMPLE, NOW, policy


def test_device_without_a_certificate_is_told_to_send_one() -> None:
    decision = decide(policy(EXAMPLE), replace(CT1, certificate=None), Action(Verb.ECHO), NOW)
    assert decision.fix == "send the device's certificate"


def test_classes_of_a_rule_are_joined_by_or() -> None:
    condition = SopClass("flows.f.only", frozenset({Uid("1.2"), Uid("1.3")}))
    assert "1.2 or 1.3" in condition.check(Asked(Verb.STORE, NOW)).detail


def test_only_what_a_device_stores_is_its_own_before_anybody_says_so() -> None:
    rules = policy(
        'version = 1\n[zones]\nm = { cidr = ["10.0.0.0/24"], transport = "mtls" }\n'
        '[devices]\na = { zone = "m", ae = ["A"] }\n'
        '[flows]\nf = { from = ["a"], to = "archive", can = ["store", "commit"], only = "own" }\n'
    )
    assert explain(rules, parse_question("a store archive"), NOW).allowed
    assert not explain(rules, parse_question("a commit archive"), NOW).allowed
