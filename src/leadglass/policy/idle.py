"""Rules that never permit anything, or nothing that another rule does not permit already; zones of nobody.

Warnings: such a rule is safe, but whoever reads the policy takes it for something that it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from leadglass.model.action import Verb
from leadglass.policy.addresses import own_address
from leadglass.policy.climb import SEARCHES
from leadglass.policy.condition import Asked
from leadglass.policy.conditions.expires import Expires
from leadglass.policy.conditions.hours import Hours
from leadglass.policy.conditions.modality import Modality
from leadglass.policy.conditions.review_by import ReviewBy
from leadglass.policy.conditions.weekdays import Weekdays
from leadglass.policy.model import GROUP_PREFIX, ZONE_PREFIX, Bound, Device, Direction, Flow
from leadglass.policy.moments import moments_of
from leadglass.policy.policy import Policy
from leadglass.policy.superfluous import Names, warn_of_superfluous_rules
from leadglass.sitefile.table import Notes


def warn_of_idle_rules(policy: Policy, now: datetime, notes: Notes) -> None:
    """Note every flow and grant that permits nothing from ``now`` (aware) on, or nothing of its own."""
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
    _warn_of_covered_zones(policy, notes)
    for table, rules in (("flows", flows), ("grants", grants)):
        for rule in rules:
            _warn_of_times(policy, (table, rule.name), rule.term, now, notes)
    warn_of_superfluous_rules(policy, names, notes)


def _warn_of_covered_zones(policy: Policy, notes: Notes) -> None:
    for zone in policy.zones.values():
        covered = zone.networks and zone.transports
        if covered and not any(own_address(policy, zone, transport) for transport in zone.transports):
            spot = notes.source.value_place(("zones", zone.name, "cidr"))
            message = f"other zones hold every address of zone {zone.name}, so nobody comes from it"
            notes.warn(spot, message, "make their ranges smaller, or remove it")


def _warn_of_times(
    policy: Policy, path: tuple[str, str], term: tuple[Bound, ...], now: datetime, notes: Notes
) -> None:
    """One with hours of which none comes before it ends. An end that has passed is told already."""
    timed = [bound for bound in term if isinstance(bound, Hours | Weekdays)]
    dated = [bound for bound in term if isinstance(bound, Expires | ReviewBy)]
    if (
        not timed
        or not dated
        or any(notes.source.value_at((*path, key)) == [] for key in ("hours", "weekdays"))
    ):
        return
    coming = [Asked(Verb.ECHO, moment) for moment in moments_of(timed, policy.time_zone, now)]
    if all(bound.check(coming[0]).ok for bound in dated) and not any(
        all(bound.check(asked).ok for bound in term) for asked in coming
    ):
        spot = notes.source.key_place(path)
        last = min(bound.last_day for bound in dated)
        message = (
            f"none of the hours of {'.'.join(path)} comes before it ends, {last}: it permits nothing any more"
        )
        notes.warn(spot, message, "set a later date, or remove it")


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
