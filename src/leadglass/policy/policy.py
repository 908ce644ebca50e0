"""A whole policy: its tables, and what decisions look up in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from leadglass.model.action import Verb
from leadglass.model.caller import Peer, Transport
from leadglass.policy.identity import Identity
from leadglass.policy.memo import Memo
from leadglass.policy.model import Device, Flow, Grant, Learning, PolicyTest, StatedInvariant, Zone
from leadglass.policy.network import Address
from leadglass.policy.rule import Rule


@dataclass(frozen=True, slots=True)
class Range:
    """One range of a zone, ready to compare: an address is in it when ``int & mask == network``."""

    version: int
    mask: int
    network: int
    zone: Zone


@dataclass(frozen=True, slots=True)
class Lookup:
    """What decisions look up, worked out once when the policy is loaded.

    ``ranges`` of each transport, longest prefix first; ``placed`` the same over all transports but
    without catch-all ranges. ``incoming`` and ``outgoing`` are the rules of each device and verb, by
    name; ``flows_from`` all incoming flows of a device, ``flows_to`` the outgoing.
    ``by_watched`` are the addresses being learned. ``known`` remembers peers that were identified.
    """

    ranges: Mapping[Transport, tuple[Range, ...]]
    placed: tuple[Range, ...]
    by_fingerprint: Mapping[str, Device]
    by_pinned: Mapping[tuple[Address, str], Device]
    by_ae: Mapping[str, Device]
    incoming: Mapping[tuple[str, Verb], tuple[Rule, ...]]
    outgoing: Mapping[tuple[str, Verb], tuple[Rule, ...]]
    flows_from: Mapping[str, tuple[Flow, ...]]
    flows_to: Mapping[str, tuple[Flow, ...]]
    grants: tuple[tuple[Grant, Rule], ...]
    by_watched: Mapping[Address, Learning]
    known: Memo[Peer, Identity] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may do what. Made by ``load_policy``; whatever it does not say is denied.

    ``groups`` are those of people, with their claims; ``device_groups`` those of devices, with their names.
    """

    zones: Mapping[str, Zone]
    devices: Mapping[str, Device]
    learning: Mapping[str, Learning]
    groups: Mapping[str, frozenset[str]]
    device_groups: Mapping[str, frozenset[str]]
    flows: Mapping[str, Flow]
    grants: Mapping[str, Grant]
    tests: tuple[PolicyTest, ...]
    invariants: tuple[StatedInvariant, ...]
    time_zone: ZoneInfo
    lookup: Lookup
