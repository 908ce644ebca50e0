"""Rules that never permit anything, or nothing that another rule does not permit already.

Warnings: such a rule is safe, but whoever reads the policy takes it for something that it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from leadglass.model.action import Verb
from leadglass.policy.climb import SEARCHES
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
from leadglass.policy.model import (
    GROUP_PREFIX,
    ZONE_PREFIX,
    Bound,
    Device,
    Direction,
    Flow,
    Grant,
    OfObjects,
)
from leadglass.policy.policy import Policy
from leadglass.sitefile.table import Notes

R = TypeVar("R", Flow, Grant)
Names = Mapping[str, frozenset[str]]
"""Of each device, every word that means it: its own name, its zone's, and its groups'."""


def warn_of_idle_rules(policy: Policy, notes: Notes) -> None:
    """Note every flow and grant that permits nothing, or nothing of its own."""
    names = {device.name: _names(policy, device) for device in policy.devices.values()}
    flows, grants = tuple(policy.flows.values()), tuple(policy.grants.values())
    for flow in flows:
        _warn_of_devices(policy, flow, names, notes)
    _warn_of_empty_groups(policy, notes)
    for grant in grants:
        if grant.groups and not any(policy.groups.get(name) for name in grant.groups):
            spot = notes.source.value_place(("grants", grant.name, "who"))
            message = f"nobody is in these groups, so grants.{grant.name} permits nothing"
            notes.warn(spot, message, "put somebody in, or remove it")
    by_party: dict[str, list[Flow]] = {}
    for flow in flows:
        for party in flow.parties:
            by_party.setdefault(party, []).append(flow)
    order = {flow.name: number for number, flow in enumerate(flows)}
    for flow in flows:
        near = (each for word in _words(flow, names) for each in by_party.get(word, ()))
        wider = _wider(flow, near, order, lambda wide, narrow: _flow_covers(names, wide, narrow))
        if wider is not None:
            _warn_of_superfluous("flows", flow.name, wider.name, notes)
    order = {grant.name: number for number, grant in enumerate(grants)}
    for grant in grants:
        larger = _wider(grant, grants, order, _grant_covers)
        if larger is not None:
            _warn_of_superfluous("grants", grant.name, larger.name, notes)


def _words(flow: Flow, names: Names) -> frozenset[str]:
    """What a flow must name, one of these, to cover this one: all that means its first party."""
    first = flow.parties[:1]
    return frozenset(first).union(*(names.get(party, frozenset()) for party in first))


def _wider(
    rule: R, others: Iterable[R], order: Mapping[str, int], covers: Callable[[R, R], bool]
) -> R | None:
    """Another rule that covers this one; of two that cover each other, the later has such."""
    for other in others:
        if other.name == rule.name or not covers(other, rule):
            continue
        if order[other.name] < order[rule.name] or not covers(rule, other):
            return other
    return None


def _warn_of_superfluous(table: str, name: str, other: str, notes: Notes) -> None:
    message = f"{table}.{name} permits nothing that {table}.{other} does not permit already"
    notes.warn(notes.source.key_place((table, name)), message, f"remove it, or narrow {other}")


def _warn_of_devices(policy: Policy, flow: Flow, names: Names, notes: Notes) -> None:
    """What none of its devices can ever do. A zone that is still empty is no mistake."""
    parties = set(flow.parties)
    devices = [each for each in policy.devices.values() if names[each.name] & parties]
    spot = notes.source.value_place(("flows", flow.name, flow.direction.far_key))
    if devices and all(each.revoked is not None for each in devices):
        message = f"all its devices are revoked, so flows.{flow.name} permits nothing"
        notes.warn(spot, message, "remove it, or let one in again")
        return
    if not devices and parties and all(party.startswith(GROUP_PREFIX) for party in parties):
        message = f"nobody is in these groups, so flows.{flow.name} permits nothing"
        notes.warn(spot, message, "put a device in, or remove it")
        return
    if flow.direction is Direction.TO_ARCHIVE and Verb.STORE in flow.can and devices:
        _warn_of_what_they_make(flow, devices, notes)


def _warn_of_what_they_make(flow: Flow, devices: Sequence[Device], notes: Notes) -> None:
    """What its devices never store. A search is of what others made."""
    made = [each.makes for each in devices]
    if flow.can == {Verb.STORE} and all(each is not None and not each.modalities for each in made):
        spot = notes.source.value_place(("flows", flow.name, flow.direction.far_key))
        message = f'"makes" of all its devices is empty, so flows.{flow.name} permits nothing'
        notes.warn(spot, message, "fill it in, or remove the flow")
        return
    if flow.can & SEARCHES:
        return
    codes = frozenset().union(*(each.modalities for each in made if each is not None))
    for only in flow.only:
        if isinstance(only, Modality) and None not in made:
            for code in sorted(only.modalities - codes):
                spot = notes.source.value_place(("flows", flow.name, "only"))
                hint = f'add "{code}" to makes of the device that does'
                notes.warn(spot, f"none of the devices of flows.{flow.name} makes {code}", hint)


def _warn_of_empty_groups(policy: Policy, notes: Notes) -> None:
    """Of those that a rule names, its own warning tells."""
    named = {party.removeprefix(GROUP_PREFIX) for flow in policy.flows.values() for party in flow.parties}
    named |= {name for grant in policy.grants.values() for name in grant.groups}
    for name in (
        policy.groups.keys() & policy.device_groups.keys()
    ):  # of people or of devices: nobody said yet
        if name not in named:
            spot = notes.source.value_place(("groups", name))
            notes.warn(
                spot, f"nobody is in group {name}, and no rule names it", "put somebody in, or remove it"
            )


def _names(policy: Policy, device: Device) -> frozenset[str]:
    groups = (GROUP_PREFIX + name for name, members in policy.device_groups.items() if device.name in members)
    return frozenset((device.name, ZONE_PREFIX + device.zone, *groups))


def _flow_covers(names: Names, wide: Flow, narrow: Flow) -> bool:
    """Whether one flow permits all that the other does, whenever that is. Never a wrong yes."""
    parties = set(wide.parties)
    return (
        wide.direction is narrow.direction
        and all(party in parties or names.get(party, frozenset()) & parties for party in narrow.parties)
        and _is_within(narrow.budget, wide.budget)
        and _bounds_cover(wide, narrow)
    )


def _grant_covers(wide: Grant, narrow: Grant) -> bool:
    return (
        bool(narrow.groups and narrow.zones)
        and narrow.groups <= wide.groups
        and narrow.zones <= wide.zones
        and {type(need) for need in wide.need} <= {type(need) for need in narrow.need}
        and _bounds_cover(wide, narrow)
    )


def _bounds_cover(wide: Flow | Grant, narrow: Flow | Grant) -> bool:
    return (
        bool(narrow.can)
        and narrow.can <= wide.can
        and all(any(_implies(mine, each) for mine in narrow.only) for each in wide.only)
        and all(any(_lasts(mine, each) for mine in narrow.term) for each in wide.term)
        and _is_within(narrow.harvest, wide.harvest)
        and _shows(wide.show, narrow.show)
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


def _shows(wide: Show | None, narrow: Show | None) -> bool:
    return wide is None or (narrow is not None and narrow.attributes <= wide.attributes)
