"""The last rungs: scope, conditions, budget. Tries the rules that give a verb; their order plays no part."""

from __future__ import annotations

from dataclasses import dataclass, replace

from leadglass.model.action import Verb
from leadglass.model.decision import Decision, Rung, RungState, Step
from leadglass.model.permit import EVERYTHING, NOTHING, Release, Scope, ScopeFilter
from leadglass.policy.condition import Asked, Condition
from leadglass.policy.identity import Identity
from leadglass.policy.ladder import allow, failed, passed, refuse
from leadglass.policy.rule import QUERIES, Rule

SEARCHES = frozenset({Verb.FIND, Verb.GET, Verb.MOVE, Verb.LIST, Verb.VIEW})
_OBJECTLESS = SEARCHES | {Verb.ECHO}
(_WHOLE,) = EVERYTHING.alternatives
_NO_CONDITIONS = passed(Step.CONDITIONS, "none")
_NO_BUDGET = passed(Step.BUDGET, "none")


@dataclass(frozen=True, slots=True)
class _Climb:
    """One rule tried. ``rungs`` are those it passed, or end with the one that ``stopped`` it."""

    rule: Rule
    rungs: tuple[Rung, ...]
    stopped: bool = False
    fix: str = ""


def try_rules(
    identity: Identity, rules: tuple[Rule, ...], own: tuple[Condition, ...], asked: Asked
) -> Decision:
    """The decision of one or more rules that give the verb; ``own`` are the device's own conditions.

    A search is allowed the union of what the rules that carry reach. Any other verb is about one
    object or none, so that one rule that carries is enough, and its scope is empty; one that lets the object
    out whole comes before one that takes its identity.
    """
    carried, stopped, without_identity = [], [], []
    reaches: dict[ScopeFilter, None] = {}
    for rule in rules:
        climb = _climb(rule, own, asked)
        if climb.stopped:
            stopped.append(climb)
            continue
        if asked.verb not in SEARCHES:
            if rule.release is Release.WHOLE:
                return _allow(identity, [climb], asked, NOTHING)
            without_identity.append(climb)
            continue
        reach = rule.reach_of(asked)
        if reach is _WHOLE:  # what others reach is in it
            return _allow(identity, [climb], asked, EVERYTHING)
        carried.append(climb)
        reaches[reach] = None
    if without_identity:
        decision = _allow(identity, without_identity[:1], asked, NOTHING)
        return replace(decision, release=Release.DEIDENTIFIED)
    if not carried:
        return _refuse(identity, stopped, asked)
    return _allow(identity, carried, asked, Scope(tuple(reaches)))


def out_of_reach(decision: Decision) -> Decision:
    """The decision on a search, for an object that no rule of it reaches."""
    height = list(Step).index(Step.SCOPE)
    stopped = failed(Step.SCOPE, f"{decision.ladder[height].detail}: such an object is not reached")
    rest = tuple(Rung(rung.step, RungState.NOT_REACHED, "") for rung in decision.ladder[height + 1 :])
    ladder = (*decision.ladder[:height], stopped, *rest)
    return replace(decision, allowed=False, ladder=ladder, scope=NOTHING)


def _climb(rule: Rule, own: tuple[Condition, ...], asked: Asked) -> _Climb:
    scope = rule.reach_rung
    if rule.only and asked.verb not in _OBJECTLESS:  # a search is narrowed by it, not stopped
        scope, fix = _check(Step.SCOPE, rule.only, asked)
        if fix is not None:
            return _Climb(rule, (scope,), stopped=True, fix=fix)
    told = _of_what_is_told(rule, asked)
    if told:
        shown, fix = _check(Step.SCOPE, told, asked)
        if fix is not None:
            return _Climb(rule, (shown,), stopped=True, fix=fix)
        scope = passed(Step.SCOPE, f"{scope.detail}, {shown.detail}")
    conditions = own + rule.conditions
    circumstances = _NO_CONDITIONS
    if conditions:
        circumstances, fix = _check(Step.CONDITIONS, conditions, asked)
        if fix is not None:
            return _Climb(rule, (scope, circumstances), stopped=True, fix=fix)
    rate = _NO_BUDGET
    budget = rule.harvest if asked.verb in SEARCHES else rule.budget
    if budget:
        rate, fix = _check(Step.BUDGET, budget, asked)
        if fix is not None:
            return _Climb(rule, (scope, circumstances, rate), stopped=True, fix=fix)
    return _Climb(rule, (scope, circumstances, rate))


def _of_what_is_told(rule: Rule, asked: Asked) -> tuple[Condition, ...]:
    """What bounds not which objects are reached, but what of them goes out."""
    show = (rule.show,) if rule.show is not None and asked.verb in QUERIES else ()
    return (*show, rule.deid) if rule.deid is not None and asked.verb is not Verb.ECHO else show


def _check(step: Step, conditions: tuple[Condition, ...], asked: Asked) -> tuple[Rung, str | None]:
    """The rung that these conditions make; the second is ``None``, or what would mend a failed one."""
    details = []
    for condition in conditions:
        result = condition.check(asked)
        if not result.ok:
            return failed(step, result.detail), result.fix
        details.append(result.detail)
    return passed(step, ", ".join(details)), None


def _allow(identity: Identity, climbs: list[_Climb], asked: Asked, scope: Scope) -> Decision:
    first = climbs[0]
    rule, reach = first.rule.name, first.rungs[0]
    if len(climbs) > 1:
        rule = ", ".join(climb.rule.name for climb in climbs)
        reach = passed(Step.SCOPE, " or ".join(climb.rungs[0].detail for climb in climbs))
    verb = passed(Step.VERB, f"{asked.verb}, by {rule}")
    return allow(identity, (verb, reach, *first.rungs[1:]), rule, scope)


def _refuse(identity: Identity, climbs: list[_Climb], asked: Asked) -> Decision:
    """Refused where the rule that came furthest stopped."""
    best = max(climbs, key=lambda climb: len(climb.rungs))
    verb = passed(Step.VERB, f"{asked.verb}, by {best.rule.name}")
    return refuse(identity, (verb, *best.rungs), best.rule.name, best.fix)
