"""How much of an hour is used, as far as some budgets tell it apart: nothing, and all that each permits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from leadglass.model.action import Verb
from leadglass.policy.climb import SEARCHES
from leadglass.policy.conditions.per_hour import HARVEST, OBJECTS, PerHour, weighed
from leadglass.policy.model import Flow

STORES = "stores"
"""What objects are called of a store."""


def budgets_of(flows: Sequence[Flow], verb: Verb) -> list[PerHour]:
    """Those that hold for a verb."""
    giving = [flow for flow in flows if verb in flow.can]
    if verb in SEARCHES:
        return [flow.harvest for flow in giving]
    return [flow.budget for flow in giving if flow.budget is not None]


def usage_told_apart(budgets: Sequence[PerHour], verb: Verb) -> Mapping[str, Sequence[str]]:
    """The words of a question, each with its values. What is built in, alone, tells nothing apart."""
    told: dict[str, Sequence[str]] = {}
    for what in weighed(verb):
        limits = {limit for budget in budgets if (limit := budget.limit(what)) is not None}
        if limits and not (verb in SEARCHES and limits == {HARVEST.limit(what)}):
            key = STORES if verb is Verb.STORE and what == OBJECTS else what
            told[key] = ("0", *map(str, sorted(limits)))
    return MappingProxyType(told)
