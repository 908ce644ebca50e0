"""What a policy permits beside what really happened: permissions that nobody used stand out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from leadglass.admin.desk import require
from leadglass.admin.policy_files import read_policy_text
from leadglass.admin.policy_places import places_of
from leadglass.audit.use import Progress, Use, begun, uses_since
from leadglass.index.engine import reading
from leadglass.model.action import ARCHIVE, Verb
from leadglass.model.permit import Permit
from leadglass.policy import PolicyInvalid, check_policy
from leadglass.policy.condition import Asked
from leadglass.policy.conditions.expires import Expires
from leadglass.policy.conditions.review_by import ReviewBy
from leadglass.policy.policy import Policy
from leadglass.policy.reach import reach

_UNNAMED = ""
"""The rule of a line that names none, as lines of moves once did: it may have been any."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Something that a policy permits, by one of its rules; ``last`` is ``None`` where nobody used that.

    ``place`` names the rule, with file and line. ``otherwise`` is when the same was done last by a rule that
    is no longer in the policy.
    """

    subject: str
    verb: Verb
    target: str
    rule: str
    count: int
    last: datetime | None
    otherwise: datetime | None
    place: str


@dataclass(frozen=True, slots=True)
class Used:
    """All of them, those never used first; ``since`` is when what was looked at begins."""

    since: datetime
    permissions: tuple[Permission, ...]


def permissions_used(
    permit: Permit, path: Path, engine: Engine, days: int, now: datetime, progress: Progress
) -> Used:
    """Each permission of a policy file with its use in the last so many days, as far as the trail goes back.

    Raises:
        ConfigurationInvalid: the policy cannot be read or has errors; PolicyInvalid has the findings.
        IntegrityBroken: the trail cannot be read.
        NotPermitted: ``permit`` is not for AUDIT.
    """
    require(permit, Verb.AUDIT)
    text = read_policy_text(path)
    checked = check_policy(text, path=str(path), now=now)
    if checked.policy is None:
        raise PolicyInvalid(checked.findings)
    policy = checked.policy
    since = now - timedelta(days=days)
    with reading(engine).connect() as connection:
        first = begun(connection)
        uses = _Uses(policy, uses_since(connection, since, progress))
    over = _over(policy, now)
    permissions = [
        uses.of(subject, verb, target, rule, next(iter(places_of(text, path, rule)), rule))
        for subject, verb, target in dict.fromkeys(
            (each.subject, each.verb, each.target) for each in reach(policy, now)
        )
        for rule in _rules(policy, subject, verb, target)
        if rule not in over
    ]
    permissions.sort(key=lambda each: (each.last is not None, each.otherwise is not None))
    return Used(max(since, first or now), tuple(permissions))


class _Uses:
    """The uses of a trail, found by permission."""

    def __init__(self, policy: Policy, uses: Iterable[Use]) -> None:
        self._of_machines: dict[tuple[str, Verb, str], dict[str, Use]] = {}
        self._of_people: dict[tuple[str, Verb], list[Use]] = {}
        self._policy = policy
        for use in uses:
            self._of_machines.setdefault((use.who, use.verb, use.target), {})[use.rule] = use
            self._of_people.setdefault((use.rule, use.verb), []).append(use)

    def of(self, subject: str, verb: Verb, target: str, rule: str, place: str) -> Permission:
        """Of one permission by one rule."""
        if subject == ARCHIVE or subject in self._policy.devices:
            by_rule = self._of_machines.get((subject, verb, target), {})
            rules = _rules(self._policy, subject, verb, target)
            found = [by_rule[name] for name in (rule, _UNNAMED) if name in by_rule]
            former = [use.last for name, use in by_rule.items() if name not in (*rules, _UNNAMED)]
        else:  # the trail names the person, and the policy the group: the grant is what both know
            found, former = self._of_people.get((rule, verb), []), []
        return Permission(
            subject,
            verb,
            target,
            rule,
            sum(use.count for use in found),
            max((use.last for use in found), default=None),
            max(former, default=None),
            place,
        )


def _over(policy: Policy, now: datetime) -> frozenset[str]:
    """The rules that have ended, and permit nothing."""
    asked = Asked(Verb.ECHO, now)
    terms = {f"flow {flow.name}": flow.term for flow in policy.flows.values()}
    terms |= {f"grant {grant.name}": grant.term for grant in policy.grants.values()}
    return frozenset(
        name
        for name, term in terms.items()
        if any(isinstance(bound, Expires | ReviewBy) and not bound.check(asked).ok for bound in term)
    )


def _rules(policy: Policy, subject: str, verb: Verb, target: str) -> tuple[str, ...]:
    """The names of the rules that give it, as the trail writes them."""
    lookup = policy.lookup
    if subject == ARCHIVE:
        rules = lookup.outgoing.get((target, verb), ())
    elif subject in policy.devices:
        rules = lookup.incoming.get((subject, verb), ())
    else:
        rules = tuple(rule for grant, rule in lookup.grants if subject in grant.groups and verb in grant.can)
    return tuple(rule.name for rule in rules)
