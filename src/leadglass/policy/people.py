"""Decides for people: the grants of their groups, from where they are."""

from __future__ import annotations

from datetime import datetime

from leadglass.model.action import ARCHIVE, PERSON_VERBS, Action
from leadglass.model.caller import Person
from leadglass.model.decision import Decision, Step
from leadglass.policy.climb import try_rules
from leadglass.policy.condition import Asked
from leadglass.policy.fixes import grant_fix
from leadglass.policy.identity import Identity
from leadglass.policy.ladder import failed, not_for, refuse
from leadglass.policy.policy import Policy


def decide_person(
    policy: Policy, identity: Identity, person: Person, action: Action, now: datetime
) -> Decision:
    """A person in a known zone asks the archive."""
    zone = identity.zone
    asked = Asked(
        verb=action.verb,
        now=now,
        facts=action.facts,
        mfa=person.mfa,
        reason=bool(person.reason),
        approved=person.is_approved,
        who=person.name,
    )
    if zone is None or action.target != ARCHIVE or action.verb not in PERSON_VERBS:
        return not_for(identity, action, "a person")
    rules = tuple(
        rule
        for grant, rule in policy.lookup.grants
        if action.verb in grant.can and zone.name in grant.zones and identity.groups & grant.groups
    )
    if not rules:
        detail = f"no grant to a group of {identity.who} allows {action.verb} from {zone.name}"
        fix = grant_fix(identity.groups, zone.name, action.verb, now)
        return refuse(identity, (failed(Step.VERB, detail),), None, fix)
    return try_rules(identity, rules, (), asked)
