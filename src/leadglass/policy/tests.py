"""Runs a policy's own ``[tests]``, and proves its ``[invariants]``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from leadglass.model.decision import Decision
from leadglass.policy.explain import explain
from leadglass.policy.invariant import parse_invariant, prove
from leadglass.policy.model import Expectation, PolicyTest, StatedInvariant
from leadglass.policy.moments import moments
from leadglass.policy.policy import Policy
from leadglass.policy.question import QuestionInvalid, parse_question
from leadglass.sitefile import Place, quoted


@dataclass(frozen=True, slots=True)
class FailedTest:
    """A test whose answer was not the expected one; ``decision`` is ``None`` when it is no question.

    ``invariant`` is its name where it is one; that expects ``deny`` of every cell.
    """

    text: str
    expects: Expectation
    place: Place
    decision: Decision | None
    why: str
    invariant: str = ""

    def __str__(self) -> str:
        if self.invariant:
            return f"invariant {self.invariant} ({quoted(self.text)}): {self.why}"
        return f"test {quoted(self.text)} expects {self.expects.value}: {self.why}"

    def told(self, path: str) -> str:
        """The same with its place in the file of that name."""
        return f"{path}:{self.place.line}:{self.place.column}: {self}"


def run_tests(policy: Policy, now: datetime) -> tuple[FailedTest, ...]:
    """The tests that fail and the invariants that do not hold, in order."""
    tests = (_run(policy, test, now) for test in policy.tests)
    invariants = (_hold(policy, stated, now) for stated in policy.invariants)
    return tuple(failure for failure in (*tests, *invariants) if failure is not None)


def newly_failed(failed: tuple[FailedTest, ...], standing: Policy, now: datetime) -> tuple[FailedTest, ...]:
    """Of the tests that a changed policy fails, those that speak against the change.

    One that wants something let in, and failed in the policy in force, does not: a date has passed.
    Otherwise no device could be shut out until somebody had mended that test.
    """
    if not failed:
        return ()
    failed_before = {test.text for test in run_tests(standing, now) if _wants_in(test)}
    return tuple(test for test in failed if not (_wants_in(test) and test.text in failed_before))


def _wants_in(test: FailedTest) -> bool:
    return test.expects is Expectation.ALLOW and test.decision is not None


def _run(policy: Policy, test: PolicyTest, now: datetime) -> FailedTest | None:
    try:
        question = parse_question(test.text)
        decisions = [explain(policy, question, moment) for moment in moments(policy, now)]
    except QuestionInvalid as error:
        return FailedTest(test.text, test.expects, test.place, None, str(error))
    decision = next((each for each in decisions if each.allowed), decisions[0])
    if decision.allowed is (test.expects is Expectation.ALLOW):
        return None
    return FailedTest(test.text, test.expects, test.place, decision, _why(decision))


def _hold(policy: Policy, stated: StatedInvariant, now: datetime) -> FailedTest | None:
    try:
        verdict = prove(policy, parse_invariant(stated.text, policy), now)
    except QuestionInvalid as error:
        return FailedTest(stated.text, Expectation.DENY, stated.place, None, str(error), stated.name)
    if verdict.counterexample is None:
        return None
    why = f"{verdict.counterexample} is allowed"
    return FailedTest(stated.text, Expectation.DENY, stated.place, None, why, stated.name)


def _why(decision: Decision) -> str:
    stopped = decision.failed
    if stopped is None:
        return f"{decision.rule} allows it"
    advice = f"; {decision.fix}" if decision.fix else ""
    return f"refused at {stopped.step}: {stopped.detail}{advice}"
