"""Addresses that stand for a zone: longer prefixes of other zones may cover parts of its ranges, or all."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import ip_address

from leadglass.model.caller import Transport
from leadglass.policy.identify import place
from leadglass.policy.model import Zone
from leadglass.policy.network import Address, contains
from leadglass.policy.policy import Policy

NOWHERE = ip_address("0.0.0.0")  # noqa: S104 - an address no connection comes from, not one to listen on
_ADDRESSES_TRIED = 8


def own_address(policy: Policy, zone: Zone, transport: Transport) -> Address | None:
    """One that is placed in ``zone``; ``None`` where other zones cover it over that transport."""
    candidates = _candidates(policy, zone)
    return next((each for each in candidates if place(policy, each, transport) is zone), None)


def address_in(policy: Policy, zone: Zone, transport: Transport) -> Address:
    """One that is placed in ``zone``, or else lies in its ranges, or is nobody's."""
    return own_address(policy, zone, transport) or next(_candidates(policy, zone), NOWHERE)


def address_beside(policy: Policy, zone: Zone, taken: Collection[str]) -> Address | None:
    """An address of a zone that is none of these; ``None`` where it has no other."""
    transport = min(zone.transports, default=Transport.MTLS)
    for network in zone.networks:
        for number in range(min(network.num_addresses, len(taken) + _ADDRESSES_TRIED)):
            candidate = network.network_address + number
            if str(candidate) not in taken and place(policy, candidate, transport) is zone:
                return candidate
    return None


def _candidates(policy: Policy, zone: Zone) -> Iterator[Address]:
    """The first uncovered address of a range is its first, or follows the last of a range inside it."""
    for network in zone.networks:
        if network.num_addresses > 1:
            yield network.network_address + 1
        yield network.network_address
    others = [network for other in policy.zones.values() for network in other.networks]
    for network in zone.networks:
        first, last = int(network.network_address), int(network.broadcast_address)
        for inner in others:
            if contains(network, inner) and (end := int(inner.broadcast_address)) < last:
                yield network.network_address + (end + 1 - first)
