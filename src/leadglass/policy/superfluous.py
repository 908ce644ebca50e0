"""Rules that permit nothing that others do not permit already, one alone or several together.

Compared cell by cell: a party and a verb of a flow; a group, a zone and a verb of a grant. In each cell one
other rule must permit all that this one does, whenever that is: what two do only together is never taken for
covered, so that there is no wrong yes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Generic, TypeVar

from leadglass.model.action import Verb
from leadglass.policy.conditions.assigned import Assigned
from leadglass.policy.conditions.expires import Expires
from leadglass.policy.conditions.hours import Hours
from leadglass.policy.conditions.label import Label
from leadglass.policy.conditions.modality import Modality
from leadglass.policy.conditions.newer_than import NewerThan
from leadglass.policy.conditions.older_than import OlderThan
from leadglass.policy.conditions.own import Own
from leadglass.policy.conditions.per_hour import PerHour
from leadglass.policy.conditions.review_by import ReviewBy
from leadglass.policy.conditions.show import Show
from leadglass.policy.conditions.sop_class import SopClass
from leadglass.policy.conditions.study import Study
from leadglass.policy.conditions.weekdays import Weekdays
from leadglass.policy.model import GROUP_PREFIX, Bound, Flow, Grant, OfObjects
from leadglass.policy.policy import Policy
from leadglass.sitefile.table import Notes

R = TypeVar("R", Flow, Grant)
Places = frozenset[object]
"""Where a rule holds: parties of a flow, or of a grant each group in each zone."""
Names = Mapping[str, frozenset[str]]
"""Of each device, every word that means it: its own name, its zone's, and its groups'."""


@dataclass(frozen=True, slots=True)
class _Laid(Generic[R]):
    """A rule laid out: ``named`` are the places it must have covered, ``held`` all that it can cover."""

    rule: R
    named: Places
    held: Places


@dataclass(frozen=True, slots=True)
class _Overlap(Generic[R]):
    """The places and verbs in which another rule permits all that this one does."""

    other: R
    places: Places
    verbs: frozenset[Verb]


def warn_of_superfluous_rules(policy: Policy, names: Names, notes: Notes) -> None:
    """Note every rule that is covered. Those that are named can all be taken away together."""
    devices: dict[str, set[str]] = {}
    for name, words in names.items():
        for word in words:
            devices.setdefault(word, set()).add(name)
    flows = []
    for flow in policy.flows.values():
        named = _parties(policy, flow)
        held = named.union(flow.parties, *(devices.get(party, ()) for party in flow.parties))
        flows.append(_Laid(flow, named, held))
    for flow, others in _superfluous(flows, _flow_covers):
        _warn("flows", flow.name, [each.name for each in others], notes)
    grants = []
    for grant in policy.grants.values():
        places = frozenset(product(grant.groups, grant.zones))
        grants.append(_Laid(grant, places, places))
    for grant, larger in _superfluous(grants, _grant_covers):
        _warn("grants", grant.name, [each.name for each in larger], notes)


def _warn(table: str, name: str, others: Sequence[str], notes: Notes) -> None:
    *most, last = (f"{table}.{other}" for other in others)
    told, which = (
        (f"{', '.join(most)} and {last} together do", "one of them") if most else (f"{last} does", "")
    )
    message = f"{table}.{name} permits nothing that {told} not permit already"
    notes.warn(notes.source.key_place((table, name)), message, f"remove it, or narrow {which or others[0]}")


def _superfluous(laid: Sequence[_Laid[R]], covers: Callable[[R, R], bool]) -> list[tuple[R, list[R]]]:
    """Each covered rule with those that cover it, in the file's order; of equals the later is covered.

    First by one other; then, of what is left, from the last on, by several. What was found is never taken
    for cover, so that all can go together.
    """
    found: dict[str, list[R]] = {}
    for number, this in enumerate(laid):
        for at, other in enumerate(laid):
            if (
                at != number
                and _whole(other, this, covers)
                and (at < number or not _whole(this, other, covers))
            ):
                found[this.rule.name] = [other.rule]
                break
    for this in reversed(laid):
        if this.rule.name not in found:
            left = [other for other in laid if other is not this and other.rule.name not in found]
            together = _together(this, left, covers)
            if together:
                found[this.rule.name] = together
    return [(this.rule, found[this.rule.name]) for this in laid if this.rule.name in found]


def _whole(wide: _Laid[R], narrow: _Laid[R], covers: Callable[[R, R], bool]) -> bool:
    """Whether one rule alone covers all that another permits."""
    return (
        bool(narrow.rule.can and narrow.named)
        and narrow.rule.can <= wide.rule.can
        and narrow.named <= wide.held
        and covers(wide.rule, narrow.rule)
    )


def _together(this: _Laid[R], others: Sequence[_Laid[R]], covers: Callable[[R, R], bool]) -> list[R]:
    """Some that cover all of a rule together, the largest first; none where they do not."""
    overlaps = [
        _Overlap(other.rule, this.named & other.held, this.rule.can & other.rule.can)
        for other in others
        if not this.rule.can.isdisjoint(other.rule.can)
        and not this.named.isdisjoint(other.held)
        and covers(other.rule, this.rule)
    ]
    left = {verb: set(this.named) for verb in this.rule.can}
    picked: set[str] = set()
    for overlap in sorted(overlaps, key=lambda each: len(each.places) * len(each.verbs), reverse=True):
        if any(not left[verb].isdisjoint(overlap.places) for verb in overlap.verbs):
            picked.add(overlap.other.name)
            for verb in overlap.verbs:
                left[verb] -= overlap.places
    if any(left.values()):
        return []
    return [other.rule for other in others if other.rule.name in picked]


def _parties(policy: Policy, flow: Flow) -> Places:
    """Its devices and zones. A group is its devices; a zone is itself, for devices that are still to come."""
    found: set[object] = set()
    for party in flow.parties:
        is_group = party.startswith(GROUP_PREFIX)
        members = policy.device_groups.get(party.removeprefix(GROUP_PREFIX)) if is_group else None
        found |= members or {party}
    return frozenset(found)


def _flow_covers(wide: Flow, narrow: Flow) -> bool:
    """Whether one permits all that the other does where both hold, whenever that is."""
    return (
        wide.direction is narrow.direction
        and _is_within(narrow.budget, wide.budget)
        and _bounds_cover(wide, narrow)
    )


def _grant_covers(wide: Grant, narrow: Grant) -> bool:
    needs = {type(need) for need in narrow.need}
    return {type(need) for need in wide.need} <= needs and _bounds_cover(wide, narrow)


def _bounds_cover(wide: Flow | Grant, narrow: Flow | Grant) -> bool:
    return (
        all(any(_implies(mine, each) for mine in narrow.only) for each in wide.only)
        and all(any(_lasts(mine, each) for mine in narrow.term) for each in wide.term)
        and _is_within(narrow.harvest, wide.harvest)
        and _shows(wide.show, narrow.show)
        and _is_as_whole(wide, narrow)
    )


def _implies(narrow: OfObjects, wide: OfObjects) -> bool:
    """Whether whatever meets the one meets the other."""
    match narrow, wide:
        case Label(labels=few), Label(labels=many):
            return few <= many
        case Modality(modalities=few), Modality(modalities=many):
            return few <= many
        case SopClass(uids=uids), SopClass(uids=others):
            return uids <= others
        case Study(uids=uids), Study(uids=others):
            return uids <= others
        case NewerThan(days=days), NewerThan(days=others):
            return days <= others
        case OlderThan(days=days), OlderThan(days=others):
            return days >= others
        case (Own(), Own()) | (Assigned(), Assigned()):
            return True
        case _:
            return False


def _lasts(narrow: Bound, wide: Bound) -> bool:
    """Whether the one never holds when the other does not."""
    match narrow, wide:
        case ((Expires() | ReviewBy()), (Expires() | ReviewBy())):
            return narrow.last_day <= wide.last_day
        case Weekdays(days=few), Weekdays(days=many):
            return few <= many
        case Hours(spans=spans), Hours(spans=others):
            return spans == others
        case _:
            return False


def _is_within(narrow: PerHour | None, wide: PerHour | None) -> bool:
    if wide is None:
        return True
    return narrow is not None and all(
        most is None or (least is not None and least <= most)
        for least, most in (
            (narrow.objects, wide.objects),
            (narrow.size_bytes, wide.size_bytes),
            (narrow.patients, wide.patients),
        )
    )


def _is_as_whole(wide: Flow | Grant, narrow: Flow | Grant) -> bool:
    """Whether the one lets out with its identity what the other does; grants have no ``deid``."""
    if isinstance(wide, Grant) or wide.deid is None:
        return True
    return isinstance(narrow, Flow) and narrow.deid is not None


def _shows(wide: Show | None, narrow: Show | None) -> bool:
    return wide is None or (narrow is not None and narrow.attributes <= wide.attributes)
