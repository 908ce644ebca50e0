"""Builds what decisions look up, so that deciding never searches the whole policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from leadglass.model.action import Verb
from leadglass.model.caller import Transport
from leadglass.policy.conditions.own import Own
from leadglass.policy.memo import Memo
from leadglass.policy.model import GROUP_PREFIX, ZONE_PREFIX, Device, Direction, Flow, Grant, Zone
from leadglass.policy.policy import Lookup, Range
from leadglass.policy.rule import Rule, rule_of_flow, rule_of_grant

_NOBODY: frozenset[str] = frozenset()


def build_lookup(
    zones: Mapping[str, Zone],
    devices: Mapping[str, Device],
    device_groups: Mapping[str, frozenset[str]],
    flows: Mapping[str, Flow],
    grants: Mapping[str, Grant],
) -> Lookup:
    """The lookup of these tables. Names they do not define are passed over (the checks report them)."""
    everywhere = _ranges(zones.values())
    by_device = {
        device.name: _flows_of(_names_of(device, device_groups), flows.values())
        for device in devices.values()
    }
    return Lookup(
        ranges=MappingProxyType(
            {
                transport: tuple(item for item in everywhere if transport in item.zone.transports)
                for transport in Transport
            }
        ),
        placed=tuple(item for item in everywhere if item.mask),
        by_fingerprint=MappingProxyType(
            {sha256: device for device in devices.values() for sha256 in device.fingerprints}
        ),
        by_pinned=MappingProxyType(
            {(device.ip, ae): device for device in devices.values() for ae in device.ae if device.ip}
        ),
        by_ae=MappingProxyType({ae: device for device in devices.values() for ae in device.ae}),
        incoming=MappingProxyType(_rules(by_device, Direction.TO_ARCHIVE, devices)),
        outgoing=MappingProxyType(_rules(by_device, Direction.FROM_ARCHIVE, devices)),
        flows_from=MappingProxyType(
            {
                name: tuple(flow for flow in found if flow.direction is Direction.TO_ARCHIVE)
                for name, found in by_device.items()
            }
        ),
        flows_to=MappingProxyType(
            {
                name: tuple(flow for flow in found if flow.direction is Direction.FROM_ARCHIVE)
                for name, found in by_device.items()
            }
        ),
        grants=tuple((grant, rule_of_grant(grant)) for _, grant in sorted(grants.items())),
        known=Memo(),
    )


def senders_of(name: str, devices: Mapping[str, Device]) -> frozenset[str]:
    """Whose objects are a device's own: the device itself, and those of its ``site``, where it has one."""
    site = devices[name].site
    return frozenset({name}) | {each.name for each in devices.values() if site and each.site == site}


def _ranges(zones: Iterable[Zone]) -> list[Range]:
    ranges = [
        Range(network.version, int(network.netmask), int(network.network_address), zone)
        for zone in zones
        for network in zone.networks
    ]
    return sorted(ranges, key=lambda item: item.mask.bit_count(), reverse=True)


def _names_of(device: Device, groups: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Every word that means the device: its own name, its zone's, and its groups'."""
    member_of = (GROUP_PREFIX + name for name, members in groups.items() if device.name in members)
    return frozenset((device.name, ZONE_PREFIX + device.zone, *member_of))


def _flows_of(names: frozenset[str], flows: Iterable[Flow]) -> list[Flow]:
    """The flows that mean a device of these names, by name."""
    return sorted((flow for flow in flows if names & set(flow.parties)), key=lambda flow: flow.name)


def _rules(
    by_device: Mapping[str, list[Flow]], direction: Direction, devices: Mapping[str, Device]
) -> dict[tuple[str, Verb], tuple[Rule, ...]]:
    rules: dict[tuple[str, Verb], tuple[Rule, ...]] = {}
    ready: dict[tuple[str, frozenset[str]], Rule] = {}
    for name, flows in by_device.items():
        for flow in flows:
            if flow.direction is direction:
                is_own = any(isinstance(each, Own) for each in flow.only)
                own = senders_of(name, devices) if is_own else _NOBODY
                rule = ready.get((flow.name, own))
                if rule is None:
                    rule = ready[flow.name, own] = rule_of_flow(flow, own)
                for verb in flow.can:
                    rules[name, verb] = (*rules.get((name, verb), ()), rule)
    return rules
