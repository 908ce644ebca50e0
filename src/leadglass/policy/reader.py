"""Source to policy: reads every table, notes everything that is wrong in one pass."""

from __future__ import annotations

from types import MappingProxyType

from leadglass.policy.lookup import build_lookup
from leadglass.policy.model import VERSION
from leadglass.policy.policy import Policy
from leadglass.policy.reading.budgets import read_harvest
from leadglass.policy.reading.devices import read_device
from leadglass.policy.reading.learning import read_learning
from leadglass.policy.reading.rules import (
    Names,
    read_flow,
    read_grant,
    read_group,
    read_invariants,
    read_tests,
)
from leadglass.policy.reading.times import read_time_zone
from leadglass.policy.reading.zones import read_zone
from leadglass.sitefile import quoted
from leadglass.sitefile.places import KeyPath
from leadglass.sitefile.settings import read_version
from leadglass.sitefile.table import Notes, Table

_FREE_TEXT = frozenset({"owner", "location", "vendor", "model", "serial", "software", "note"})


def read_policy(notes: Notes) -> Policy:
    """The policy of a source, as far as it makes sense; it holds only if ``notes`` has no errors."""
    root = Table.root(notes)
    read_version(root, VERSION)
    _refuse_wildcards(notes)
    zone_tables, device_tables, group_table = root.table("zones"), root.table("devices"), root.table("groups")
    zones = {name: read_zone(name, table) for name, table in zone_tables.tables()}
    devices = {name: read_device(name, table) for name, table in device_tables.tables()}
    learning = {name: read_learning(name, table) for name, table in root.table("learning").tables()}
    groups = {name: read_group(name, group_table, device_tables.keys()) for name in group_table.names()}
    people = {name: group.claims for name, group in groups.items() if not group.devices}
    device_groups = {name: group.devices for name, group in groups.items() if not group.claims}
    names = Names(
        zone_tables.keys(),
        device_tables.keys(),
        tuple(people),
        tuple(device_groups),
        read_time_zone(root),
        read_harvest(root),
    )
    flows = {name: read_flow(name, table, names) for name, table in root.table("flows").tables()}
    grants = {name: read_grant(name, table, names) for name, table in root.table("grants").tables()}
    tests = read_tests(root.table("tests"))
    invariants = read_invariants(root.table("invariants"))
    root.refuse_others()
    return Policy(
        zones=MappingProxyType(zones),
        devices=MappingProxyType(devices),
        learning=MappingProxyType(learning),
        groups=MappingProxyType(people),
        device_groups=MappingProxyType(device_groups),
        flows=MappingProxyType(flows),
        grants=MappingProxyType(grants),
        tests=tests,
        invariants=invariants,
        time_zone=names.time_zone,
        lookup=build_lookup(zones, devices, device_groups, flows, grants, learning),
    )


def _refuse_wildcards(notes: Notes) -> None:
    """No string outside free text holds a ``*``: what is permitted is named."""
    waiting: list[tuple[KeyPath, object]] = [((), notes.source.values)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [((*path, key), inner) for key, inner in value.items() if key not in _FREE_TEXT]
        elif isinstance(value, list):
            waiting += [((*path, number), inner) for number, inner in enumerate(value)]
        elif isinstance(value, str) and "*" in value:
            place = notes.source.value_place(path)
            notes.error(place, f"{quoted(value)} is a wildcard", "no wildcards: name each one that is meant")
