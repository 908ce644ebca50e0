"""The narrowest rule that would permit what a question asks, or why none does.

Never a wildcard, a zone, another transport or a lifted guard: one device or group, one verb, one target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from leadglass.model.action import ARCHIVE
from leadglass.model.decision import Step
from leadglass.policy.explain import explain
from leadglass.policy.model import ANY
from leadglass.policy.policy import Policy
from leadglass.policy.question import Question, QuestionInvalid


class AllowedAlready(QuestionInvalid):
    """A rule permits it."""


class NoRuleHelps(QuestionInvalid):
    """A guard, a condition or its kind stops it; no further rule would permit it."""


@dataclass(frozen=True, slots=True)
class NewRule:
    """A line to add to ``table``: its name, and its keys but for when it ends."""

    table: str
    name: str
    entry: Mapping[str, str | tuple[str, ...]]


def narrowest_rule(policy: Policy, question: Question, now: datetime) -> NewRule:
    """The rule; the question must be refused for want of one.

    Raises:
        AllowedAlready
        NoRuleHelps: with what stops it and what to do.
        QuestionInvalid: it names somebody or something the policy does not define.
    """
    decision = explain(policy, question, now)
    if decision.allowed:
        raise AllowedAlready(f"it is allowed already, by {decision.rule}")
    stopped = decision.failed
    if stopped is None or stopped.step is not Step.VERB or not decision.fix:
        where = f"{stopped.step}: {stopped.detail}" if stopped else "refused"
        advice = f"; {decision.fix}" if decision.fix else ""
        raise NoRuleHelps(f"no further rule would permit it: {where}{advice}")
    subject, verb, target = question.subject, question.verb, question.target
    if subject in policy.groups:
        return NewRule(
            "grants",
            f"{subject}-{verb}",
            {
                "who": subject,
                "from": (decision.zone or "",),
                "on": ANY,
                "can": (verb.value,),
                "need": ("mfa",),
            },
        )
    device = target if subject == ARCHIVE else subject
    return NewRule("flows", f"{device}-{verb}", {"from": (subject,), "to": target, "can": (verb.value,)})
