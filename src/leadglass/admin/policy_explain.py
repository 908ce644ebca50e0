"""A question answered for the administrator: the ladder, where the rule stands, and what would permit it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import count
from pathlib import Path

from leadglass.admin import policy_text
from leadglass.admin.desk import require
from leadglass.admin.policy_files import read_policy_text
from leadglass.admin.policy_places import places_of
from leadglass.audit.read import AuditLine
from leadglass.model.action import Verb
from leadglass.model.decision import Decision
from leadglass.model.errors import ConfigurationInvalid
from leadglass.model.permit import Permit
from leadglass.policy import QuestionInvalid, check_policy, explain, load_policy, parse_question
from leadglass.policy.fixes import last_day_of_trial
from leadglass.policy.narrowest import NewRule, narrowest_rule
from leadglass.policy.policy import Policy
from leadglass.policy.question import FLAGS

_NARROWING = frozenset(
    ("age", "from", "identity", "label", "modality", "sender", "show", "sop_class", "study")
)
"""Keys of a question that the narrowest rule is made of. Without them it would permit more than was asked."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What would permit something refused: the command, and the policy's tests that would then fail."""

    command: str
    breaks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision; ``places`` say where the rules that it names stand. No ``advice`` where no rule helps."""

    decision: Decision
    places: tuple[str, ...]
    advice: Advice | None


def explain_question(permit: Permit, path: Path, text: str, now: datetime) -> Explained:
    """Ask a policy file in words, like ``ct1 find archive``.

    Raises:
        ConfigurationInvalid: the policy cannot be used; PolicyInvalid has the findings.
        QuestionInvalid: the question is not understood.
        NotPermitted: ``permit`` is not for STATUS.
    """
    require(permit, Verb.STATUS)
    standing = read_policy_text(path)
    policy = load_policy(standing, path=str(path), now=now)
    question = parse_question(text)
    decision = explain(policy, question, now)
    advice = None if decision.allowed else _advice(policy, standing, text, now)
    return Explained(decision, places_of(standing, path, decision.rule or ""), advice)


def advice_on(permit: Permit, path: Path, line: AuditLine, now: datetime) -> Advice | None:
    """What would permit what a line of the trail says was refused; ``None`` where no rule helps.

    Raises:
        ConfigurationInvalid: the policy cannot be used; PolicyInvalid has the findings.
        NotPermitted: ``permit`` is not for STATUS.
    """
    require(permit, Verb.STATUS)
    standing = read_policy_text(path)
    policy = load_policy(standing, path=str(path), now=now)
    event = line.event
    try:
        return _advice(policy, standing, f"{event.who} {event.verb} {event.target}", now)
    except QuestionInvalid:  # it was a stranger, or asked for nothing yet
        return None


def with_rule(standing: str, rule: NewRule, last_day: date, note: str) -> str:
    """A policy's text with one more rule, that ends, under a name that is free.

    Raises:
        ConfigurationInvalid: the file must be edited by hand.
    """
    taken = policy_text.names_in(standing, rule.table)
    numbered = (f"{rule.name}-{number}" for number in count(2))
    name = rule.name if rule.name not in taken else next(each for each in numbered if each not in taken)
    entry: dict[str, policy_text.EntryValue] = {**rule.entry, "expires": last_day}
    if note:
        entry["note"] = note
    return policy_text.with_entry(standing, rule.table, name, entry)


def _advice(policy: Policy, standing: str, text: str, now: datetime) -> Advice | None:
    question = parse_question(text)
    try:
        rule = narrowest_rule(policy, question, now)
    except QuestionInvalid:
        return None
    try:
        changed = with_rule(standing, rule, last_day_of_trial(now), "")
    except ConfigurationInvalid:  # a file that must be edited by hand
        return None
    checked = check_policy(changed, path="", now=now)
    if checked.policy is None:  # a command that would fail helps nobody
        return None
    as_it_should = replace(question, at=None, mfa=True)  # the command is for the day it is typed on
    if not explain(checked.policy, as_it_should, now).allowed:  # nor does one that changes nothing
        return None
    narrowing = [word for word in text.split() if word in FLAGS or word.partition("=")[0] in _NARROWING]
    words = shlex.join([question.subject, question.verb, question.target, *narrowing])
    return Advice(f"zones allow {words} --expires 7d", tuple(map(str, checked.failed_tests)))
