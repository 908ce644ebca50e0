"""``[groups]``, ``[flows]``, ``[grants]`` and ``[tests]``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from zoneinfo import ZoneInfo

from leadglass.model.action import ARCHIVE, MACHINE_VERBS, PERSON_VERBS
from leadglass.policy.conditions.need import NeedApproval, NeedMfa, NeedReason
from leadglass.policy.conditions.per_hour import PerHour
from leadglass.policy.model import (
    GROUP_PREFIX,
    ZONE_PREFIX,
    Direction,
    Expectation,
    Flow,
    Grant,
    Need,
    PolicyTest,
    StatedInvariant,
)
from leadglass.policy.reading.budgets import read_flow_budgets, read_grant_harvest
from leadglass.policy.reading.objects import read_deid, read_flow_objects, read_grant_objects, read_show
from leadglass.policy.reading.times import read_term
from leadglass.policy.reading.words import read_references, read_verbs, refuse_reserved
from leadglass.sitefile import quoted, suggest
from leadglass.sitefile.table import Table

_CLAIM = re.compile(r"(role|oidc):[!-)+-~]{1,128}")  # printable, without space and without *
_DEVICE = "device:"
_NEEDS: Mapping[str, Need] = MappingProxyType(
    {"mfa": NeedMfa(), "reason": NeedReason(), "approval": NeedApproval()}
)


@dataclass(frozen=True, slots=True)
class Names:
    """What rules may name, as the tables above them define it."""

    zones: Collection[str]
    devices: Collection[str]
    people: Collection[str]
    device_groups: Collection[str]
    time_zone: ZoneInfo
    harvest: PerHour


@dataclass(frozen=True, slots=True)
class Group:
    """Who is in it: people by their claims, or devices by their names. Never both."""

    claims: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()


def read_group(name: str, table: Table, devices: Collection[str]) -> Group:
    """``name = ["role:radiologist", "oidc:readers"]`` or ``["device:us1"]``; ``table`` is ``[groups]``."""
    refuse_reserved(name, table.notes, table.key_place(name))
    claims, members = set(), set()
    for number, word in enumerate(table.words(name) or ()):
        place = table.place_of(name, number)
        device = word.removeprefix(_DEVICE)
        if _CLAIM.fullmatch(word):
            claims.add(word)
        elif word.startswith(_DEVICE) and device in devices:
            members.add(device)
        elif word.startswith(_DEVICE) and "*" not in word:
            table.notes.error(place, f"no device is named {quoted(device)}", suggest(device, devices))
        elif "*" not in word:
            hint = 'write "role:NAME" for a local role, "oidc:NAME" for a claim, "device:NAME" for a device'
            table.notes.error(place, f"{quoted(word)} is neither a claim nor a device", hint)
    if claims and members:
        hint = "make two groups of it"
        table.notes.error(table.key_place(name), f"{quoted(name)} holds people and devices", hint)
    return Group(frozenset(claims), frozenset(members))


def read_flow(name: str, table: Table, names: Names) -> Flow:
    """One flow; what is wrong in it is noted and left out."""
    table.require("from", 'name devices, "zone:NAME", "group:NAME" or "archive"; an empty list is nobody')
    table.require("to", 'name "archive", or devices, "zone:NAME" and "group:NAME"')
    zones = (ZONE_PREFIX + zone for zone in names.zones)
    groups = (GROUP_PREFIX + group for group in names.device_groups)
    known = (ARCHIVE, *names.devices, *zones, *groups)
    sources = read_references(table, "from", known)
    targets = read_references(table, "to", known)
    direction, parties = _direction(table, sources, targets)
    budget, harvest = read_flow_budgets(table, names.harvest)
    can = read_verbs(table, MACHINE_VERBS)
    flow = Flow(
        name=name,
        direction=direction,
        parties=parties,
        can=can,
        only=read_flow_objects(table, names.time_zone),
        term=read_term(table, names.time_zone),
        budget=budget,
        harvest=harvest,
        show=read_show(table, can),
        deid=read_deid(table, can, direction),
        note=table.text("note") or "",
    )
    table.refuse_others()
    return flow


def _direction(
    table: Table, sources: tuple[str, ...], targets: tuple[str, ...]
) -> tuple[Direction, tuple[str, ...]]:
    if ARCHIVE not in sources and targets == (ARCHIVE,):
        return Direction.TO_ARCHIVE, sources
    if sources == (ARCHIVE,) and ARCHIVE not in targets:
        return Direction.FROM_ARCHIVE, targets
    if sources and targets:
        table.notes.error(
            table.place,
            "a flow joins the archive to others, one way",
            'write to = "archive", or from = ["archive"]; for both ways write two flows',
        )
    return Direction.TO_ARCHIVE, ()


def read_grant(name: str, table: Table, names: Names) -> Grant:
    """One grant; what is wrong in it is noted and left out."""
    table.require("who", "name groups; an empty list is nobody")
    table.require("from", "name zones; an empty list is nowhere")
    can = read_verbs(table, PERSON_VERBS)
    need = tuple(
        _NEEDS[word]
        for number, word in enumerate(table.words("need") or ())
        if table.one_of("need", word, _NEEDS, number)
    )
    grant = Grant(
        name=name,
        groups=frozenset(read_references(table, "who", names.people)),
        zones=frozenset(read_references(table, "from", names.zones)),
        can=can,
        only=read_grant_objects(table, names.time_zone),
        need=need,
        term=read_term(table, names.time_zone),
        harvest=read_grant_harvest(table, names.harvest),
        show=read_show(table, can),
        note=table.text("note") or "",
    )
    table.refuse_others()
    return grant


def read_invariants(table: Table) -> tuple[StatedInvariant, ...]:
    """``name = "no path from ... to ..."``."""
    return tuple(
        StatedInvariant(name, text, table.place_of(name))
        for name in table.names()
        if (text := table.text(name)) is not None
    )


def read_tests(table: Table) -> tuple[PolicyTest, ...]:
    """``allow`` and ``deny``: questions with their expected answers."""
    read = tuple(
        PolicyTest(text, expectation, table.place_of(expectation.value, number))
        for expectation in Expectation
        for number, text in enumerate(table.words(expectation.value) or ())
    )
    table.refuse_others()
    return read
