"""Which addresses a policy lets reach which ports: what a firewall can hold of it.

A firewall sees addresses and ports, and neither verbs nor certificates. So a passage is as narrow as these
two can be: the pinned addresses where devices have them, else the ranges of their zone but for those that a
zone inside it takes. Hours and weekdays are left to the archive; what has ended, is overdue or revoked has no
passage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import TypeVar

from leadglass.model.action import Verb
from leadglass.model.caller import Transport
from leadglass.policy.condition import Asked
from leadglass.policy.identify import place
from leadglass.policy.model import Bound, Device, Grant, Zone
from leadglass.policy.moments import moments_of
from leadglass.policy.network import Network, contains, parse_address
from leadglass.policy.policy import Policy
from leadglass.sitefile.settings import Listener

N = TypeVar("N", IPv4Network, IPv6Network)


@dataclass(frozen=True, slots=True)
class Inbound:
    """From one of ``sources`` to a listener. ``because`` names devices or groups, and their rules."""

    sources: tuple[Network, ...]
    listener: Listener
    because: str


@dataclass(frozen=True, slots=True)
class Outbound:
    """From the archive to one address and port."""

    target: Network
    port: int
    because: str


@dataclass(frozen=True, slots=True)
class Passages:
    """Everything a policy lets through, in the order of zones and devices."""

    listeners: tuple[Listener, ...]
    inbound: tuple[Inbound, ...]
    outbound: tuple[Outbound, ...]

    def beyond_this_host(self) -> Passages:
        """Those that the network around the host sees: without loopback."""
        return replace(
            self,
            listeners=tuple(each for each in self.listeners if not each.address.host.is_loopback),
            inbound=tuple(each for each in self.inbound if not each.listener.address.host.is_loopback),
            outbound=tuple(each for each in self.outbound if not each.target.is_loopback),
        )


def passages_of(policy: Policy, listeners: Sequence[Listener], now: datetime) -> Passages:
    """The passages of a policy through the site's listeners, as of ``now`` (aware)."""
    inbound = [
        Inbound(sources, listener, because)
        for zone in policy.zones.values()
        for listener in listeners
        if listener.transport in zone.transports
        for networks, because in _callers(policy, zone, listener.transport, now)
        if (sources := _of_family(networks, listener))
    ]
    outbound = [
        Outbound(ip_network(parse_address(str(device.address.host))), device.address.port, because)
        for device in policy.devices.values()
        if device.address is not None and (because := _why_sent_to(policy, device, now))
    ]
    return Passages(tuple(listeners), tuple(inbound), tuple(outbound))


def _callers(
    policy: Policy, zone: Zone, transport: Transport, now: datetime
) -> Iterable[tuple[list[Network], str]]:
    """Who may come from a zone over a transport: pinned and watched addresses each, all others together."""
    if transport is Transport.HTTPS:
        grants = [
            grant.name
            for grant in policy.grants.values()
            if _lets_in(policy, grant, zone) and _lives(policy, zone, grant.term, now)
        ]
        if grants:
            yield (
                ranges_of(policy, zone, transport),
                f"zone {zone.name}: people by {', '.join(sorted(grants))}",
            )
        return
    unpinned: list[str] = []
    for device in policy.devices.values():
        rules = _rules_of(policy, device, now)
        if device.zone != zone.name or device.revoked is not None or not rules:
            continue
        if device.ip is None:
            unpinned.append(f"{device.name} by {rules}")
        elif place(policy, device.ip, transport) is zone:
            yield [ip_network(device.ip)], f"{device.name} by {rules}"
    for learning in policy.learning.values():
        if (
            learning.zone == zone.name
            and learning.ip is not None
            and place(policy, learning.ip, transport) is zone
            and _lives(policy, zone, (learning.until,), now)
        ):
            yield [ip_network(learning.ip)], f"{learning.subject} until {learning.until.last_day}"
    if unpinned and transport is Transport.MTLS:  # in plaintext only an address tells who it is
        yield ranges_of(policy, zone, transport), f"zone {zone.name}: {'; '.join(unpinned)}"


def ranges_of(policy: Policy, zone: Zone, transport: Transport) -> list[Network]:
    """The addresses that are placed in a zone: its ranges without those of the zones inside them."""
    others = [
        network
        for other in policy.zones.values()
        if other is not zone and transport in other.transports
        for network in other.networks
    ]
    v4 = [each for each in zone.networks if isinstance(each, IPv4Network)]
    v6 = [each for each in zone.networks if isinstance(each, IPv6Network)]
    return [
        *_without(v4, [each for each in others if isinstance(each, IPv4Network)]),
        *_without(v6, [each for each in others if isinstance(each, IPv6Network)]),
    ]


def _without(networks: Sequence[N], others: Sequence[N]) -> list[N]:
    """Some networks, cut by those of the others that lie inside one of them."""
    left: list[N] = []
    for network in networks:
        pieces = [network]
        for hole in (other for other in others if other != network and contains(network, other)):
            pieces = [kept for piece in pieces for kept in _cut(piece, hole)]
        left += pieces
    return list(collapse_addresses(left))


def _cut(piece: N, hole: N) -> Iterable[N]:
    if contains(hole, piece):
        return ()
    return piece.address_exclude(hole) if contains(piece, hole) else (piece,)


def _lets_in(policy: Policy, grant: Grant, zone: Zone) -> bool:
    """Whether there can be somebody who comes by a grant from a zone."""
    return zone.name in grant.zones and bool(grant.can) and any(policy.groups[name] for name in grant.groups)


def _rules_of(policy: Policy, device: Device, now: datetime) -> str:
    zone, flows = policy.zones[device.zone], policy.lookup.flows_from[device.name]
    return ", ".join(flow.name for flow in flows if flow.can and _lives(policy, zone, flow.term, now))


def _why_sent_to(policy: Policy, device: Device, now: datetime) -> str:
    """The rules that let the archive send to a device; empty where none does."""
    zone = policy.zones[device.zone]
    if device.revoked is not None or not zone.transports - {Transport.HTTPS}:
        return ""
    flows = policy.lookup.flows_to[device.name]
    living = ", ".join(flow.name for flow in flows if flow.can and _lives(policy, zone, flow.term, now))
    return f"{device.name} by {living}" if living else ""


def _lives(policy: Policy, zone: Zone, term: tuple[Bound, ...], now: datetime) -> bool:
    """Whether a rule holds in a zone, now or when its hours come round again."""
    bounds = term if zone.review is None else (*term, zone.review)
    return any(
        all(bound.check(Asked(Verb.ECHO, moment)).ok for bound in bounds)
        for moment in moments_of(bounds, policy.time_zone, now)
    )


def _of_family(networks: Iterable[Network], listener: Listener) -> tuple[Network, ...]:
    """Those that can reach the listener's address at all."""
    return tuple(network for network in networks if network.version == listener.address.host.version)
