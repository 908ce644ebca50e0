"""What a policy permits beside what really happened: permissions that nobody used stand out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from leadglass.admin.desk import require
from leadglass.admin.policy_files import read_policy_text
from leadglass.admin.policy_places import places_of
from leadglass.audit.use import Use, begun, uses_since
from leadglass.index.engine import reading
from leadglass.model.action import ARCHIVE, Verb
from leadglass.model.permit import Permit
from leadglass.policy import PolicyInvalid, check_policy
from leadglass.policy.policy import Policy
from leadglass.policy.reach import reach


@dataclass(frozen=True, slots=True)
class Permission:
    """Something that a policy permits; ``last`` is ``None`` where nobody used it in that time.

    ``places`` name the rules that give it, with file and line.
    """

    subject: str
    verb: Verb
    target: str
    count: int
    last: datetime | None
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Used:
    """All of them, those never used first; ``since`` is when what was looked at begins."""

    since: datetime
    permissions: tuple[Permission, ...]


def permissions_used(permit: Permit, path: Path, engine: Engine, days: int, now: datetime) -> Used:
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
        used = {(each.who, each.verb, each.target): each for each in uses_since(connection, since)}
    permissions = [
        _permission(subject, verb, target, used, places_of(text, path, _rules(policy, subject, verb, target)))
        for subject, verb, target in _permitted(policy, now)
    ]
    permissions.sort(key=lambda each: each.last is not None)
    return Used(max(since, first or now), tuple(permissions))


def _permitted(policy: Policy, now: datetime) -> Iterator[tuple[str, Verb, str]]:
    yield from dict.fromkeys((each.subject, each.verb, each.target) for each in reach(policy, now))


def _permission(
    subject: str,
    verb: Verb,
    target: str,
    used: dict[tuple[str, Verb, str], Use],
    places: tuple[str, ...],
) -> Permission:
    use = used.get((subject, verb, target))
    return Permission(subject, verb, target, use.count if use else 0, use.last if use else None, places)


def _rules(policy: Policy, subject: str, verb: Verb, target: str) -> str:
    """The names of the rules that give it, as the trail writes them."""
    lookup = policy.lookup
    if subject == ARCHIVE:
        rules = lookup.outgoing.get((target, verb), ())
    elif subject in policy.devices:
        rules = lookup.incoming.get((subject, verb), ())
    else:
        rules = tuple(rule for grant, rule in lookup.grants if subject in grant.groups and verb in grant.can)
    return ", ".join(rule.name for rule in rules)
