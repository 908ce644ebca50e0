"""The guards before all conditions: their truth table holds, and every refusal is explained."""

from __future__ import annotations

import pytest

from leadglass.policy.decide import decide
from leadglass.policy.guards import NOW, SAMPLE, TRUTH_TABLE, Guarded
from tests.support.policies import policy

CASES = [(name, case) for name, cases in TRUTH_TABLE.items() for case in cases]
RULES = policy(SAMPLE)


@pytest.mark.parametrize(("name", "case"), CASES, ids=lambda each: getattr(each, "says", each))
def test_truth_table_holds(name: str, case: Guarded) -> None:
    decision = decide(RULES, case.caller, case.action, NOW)
    assert (decision.failed.step if decision.failed else None) is case.stops_at, name
    assert decision.allowed is (case.stops_at is None)
    assert decision.failed is None or decision.failed.detail


def test_each_guard_lets_somebody_through_and_stops_somebody() -> None:
    for name, cases in TRUTH_TABLE.items():
        assert {case.stops_at is None for case in cases} == {True, False}, name
