"""A flow or a grant made ready to be tried: what decisions need of it, worked out at load."""

from __future__ import annotations

from dataclasses import dataclass

from leadglass.model.decision import Rung, Step
from leadglass.model.permit import ScopeFilter
from leadglass.policy.condition import Condition
from leadglass.policy.conditions.label import Label
from leadglass.policy.ladder import passed
from leadglass.policy.model import Flow, Grant


@dataclass(frozen=True, slots=True)
class Rule:
    """``only`` bounds the objects, ``conditions`` the circumstances, ``budget`` and ``harvest`` the rate.

    The one is of stores, the other of reading. ``name`` is as audit lines give it; ``reach`` is ``only`` as
    a search filters by it, ``reach_rung`` the same in words.
    """

    name: str
    only: tuple[Condition, ...]
    conditions: tuple[Condition, ...]
    budget: tuple[Condition, ...]
    harvest: tuple[Condition, ...]
    reach: ScopeFilter
    reach_rung: Rung


def rule_of_flow(flow: Flow) -> Rule:
    """The rule of a flow."""
    labels = modalities = None
    for condition in flow.only:
        if isinstance(condition, Label):
            labels = condition.labels
        else:
            modalities = condition.modalities
    words = ", ".join(sorted((labels or frozenset()) | (modalities or frozenset())))
    return Rule(
        name=f"flow {flow.name}",
        only=flow.only,
        conditions=flow.term,
        budget=(flow.budget,) if flow.budget else (),
        harvest=(flow.harvest,),
        reach=ScopeFilter(labels, modalities),
        reach_rung=passed(Step.SCOPE, f"only {words}" if words else "everything"),
    )


def rule_of_grant(grant: Grant) -> Rule:
    """The rule of a grant; grants reach everything."""
    everything = passed(Step.SCOPE, "everything")
    name, conditions = f"grant {grant.name}", grant.need + grant.term
    return Rule(name, (), conditions, (), (grant.harvest,), ScopeFilter(), everything)
