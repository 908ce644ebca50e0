"""The narrowest rule that would permit what a question asks, or why none does.

Never a wildcard, a zone, another transport or a lifted guard: one device or group, one verb, one target, and
of objects and attributes only those that the question names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from leadglass.model.action import ARCHIVE, PERSON_VERBS, Verb
from leadglass.model.decision import Step
from leadglass.policy.conditions.deid import BASIC
from leadglass.policy.explain import explain
from leadglass.policy.model import ANY, INTERNET
from leadglass.policy.policy import Policy
from leadglass.policy.question import Identity, Question, QuestionInvalid
from leadglass.policy.reading.objects import MAX_AGE_DAYS

YEAR_DAYS = 365
MAX_IN_DAYS = 9999
"""The longest age that the language writes in days."""

_LETS_OUT = {True: frozenset({Verb.STORE}), False: frozenset({Verb.FIND, Verb.GET, Verb.MOVE})}
"""With which verbs something goes out, by whether it is the archive that begins."""
_MENDED_BY_A_RULE = (Step.VERB, Step.SCOPE)


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
    no_rule_gives_it = stopped is not None and stopped.step is Step.VERB and not decision.fix
    if stopped is None or stopped.step not in _MENDED_BY_A_RULE or no_rule_gives_it:
        where = f"{stopped.step}: {stopped.detail}" if stopped else "refused"
        advice = f"; {decision.fix}" if decision.fix else ""
        raise NoRuleHelps(f"no further rule would permit it: {where}{advice}")
    if question.subject == INTERNET:
        raise NoRuleHelps("no further rule would permit it: no rule can name a stranger")
    if question.verb in PERSON_VERBS:
        return _grant(question, decision.zone or "")
    return _flow(question)


def _flow(question: Question) -> NewRule:
    if question.study is not None:
        label = "leadglass label add UID NAME, then ask with label=NAME"
        raise NoRuleHelps(f"no flow is for one study, and one for all would permit more: {label}")
    subject, verb = question.subject, question.verb
    target = ARCHIVE if question.target == ANY else question.target  # as a question takes it
    device = target if subject == ARCHIVE else subject
    entry: dict[str, str | tuple[str, ...]] = {"from": (subject,), "to": target, "can": (verb.value,)}
    own = ("own",) if question.sender == device else ()
    only = (*_labels(question), *_kinds(question), *own)
    if only:
        entry["only"] = only
    return NewRule("flows", f"{device}-{verb}", entry | _bounds(question))


def _grant(question: Question, zone: str) -> NewRule:
    on = _labels(question) or ((f"study:{question.study}",) if question.study else (ANY,))
    entry: dict[str, str | tuple[str, ...]] = {
        "who": question.subject,
        "from": (zone,),
        "on": on if len(on) > 1 else on[0],
        "can": (question.verb.value,),
        "need": ("mfa",),
    }
    only = _kinds(question)
    if only:
        entry["only"] = only
    return NewRule("grants", f"{question.subject}-{question.verb}", entry | _bounds(question))


def _labels(question: Question) -> tuple[str, ...]:
    return tuple(f"label:{label}" for label in sorted(question.labels))


def _kinds(question: Question) -> tuple[str, ...]:
    modality = (f"modality:{question.modality}",) if question.modality else ()
    return (*modality, *((f"sop_class:{question.sop_class}",) if question.sop_class else ()))


def _bounds(question: Question) -> dict[str, str | tuple[str, ...]]:
    bounds: dict[str, str | tuple[str, ...]] = {}
    if question.age_days is not None and question.age_days <= MAX_AGE_DAYS:
        days, years = max(1, question.age_days), -(-question.age_days // YEAR_DAYS)
        bounds["newer_than"] = f"{days}d" if days <= MAX_IN_DAYS else f"{years}y"
    if question.show:
        bounds["show"] = (question.show,)
    if question.identity is Identity.REMOVED and question.verb in _LETS_OUT[question.subject == ARCHIVE]:
        bounds["deid"] = BASIC
    return bounds
