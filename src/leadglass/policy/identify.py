"""From a caller to an identity: where it comes from, how, and who it proves to be.

The guards of this file and of ``proof`` are in no rule's power to lift.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from leadglass.model.action import Verb
from leadglass.model.caller import Archive, Caller, LocalAdministrator, Peer, Person, Transport
from leadglass.model.decision import Rung, Step
from leadglass.policy.condition import Asked
from leadglass.policy.identity import Identity
from leadglass.policy.ladder import failed, passed
from leadglass.policy.model import Learning, Zone
from leadglass.policy.network import Address, is_public_address, parse_address
from leadglass.policy.policy import Policy, Range
from leadglass.policy.proof import prove
from leadglass.sitefile import quoted

MAX_NAME_CHARACTERS = 64


def identify(policy: Policy, caller: Caller) -> Identity:
    """Climb the first four rungs. Time plays no part here; ``hold_dates`` adds it."""
    match caller:
        case Peer():
            return _identify_peer(policy, caller)
        case Person():
            return _identify_person(policy, caller)
        case Archive():
            return _inside("archive", "the archive itself")
        case LocalAdministrator():
            return _inside(_plain(caller.user), "on the server's own host")
        case _:
            assert_never(caller)


def hold_dates(identity: Identity, now: datetime) -> Identity:
    """The same identity; a stopped one when its zone's review is overdue, or it is watched no longer."""
    if not identity.is_known:
        return identity
    zone, learning = identity.zone, identity.learning
    if learning is None and (zone is None or zone.review is None):
        return identity
    asked = Asked(Verb.ECHO, now)
    if zone is not None and zone.review is not None:
        review = zone.review.check(asked)
        if not review.ok:
            rung = failed(Step.ZONE, f"zone {zone.name} is closed: {review.detail}")
            rungs = (identity.rungs[0], rung)
            return replace(identity, rungs=rungs, guard="overdue review", fix=review.fix)
    if learning is None or learning.until.check(asked).ok:
        return identity
    rung = failed(
        Step.DEVICE, f"no device is there, and {learning.rule} ended after {learning.until.last_day}"
    )
    fix = f"see what it wanted: leadglass device learn {learning.name} --propose"
    return replace(identity, rungs=(*identity.rungs[:-1], rung), guard="unknown device", fix=fix)


def place(policy: Policy, address: Address, transport: Transport) -> Zone | None:
    """The zone of a connection: the longest prefix among the zones that take its transport."""
    return _longest(policy.lookup.ranges[transport], address)


def watched_at(policy: Policy, address: Address, transport: Transport, now: datetime) -> Learning | None:
    """The line by which a stranger is watched who comes from an address over a transport, if it holds."""
    learning = policy.lookup.by_watched.get(address)
    zone = place(policy, address, transport)
    if learning is None or zone is None or zone.name != learning.zone:
        return None
    return learning if learning.until.check(Asked(Verb.ECHO, now)).ok else None


def _longest(ranges: tuple[Range, ...], address: Address) -> Zone | None:
    number, version = int(address), address.version
    for item in ranges:
        if number & item.mask == item.network and item.version == version:
            return item.zone
    return None


def _inside(who: str, detail: str) -> Identity:
    steps = (Step.TCP, Step.ZONE, Step.TRANSPORT, Step.DEVICE)
    return Identity(who, None, None, tuple(passed(step, detail) for step in steps))


def _plain(name: str) -> str:
    return name if name.isprintable() and len(name) <= MAX_NAME_CHARACTERS else quoted(name)


def _identify_peer(policy: Policy, peer: Peer) -> Identity:
    """Remembers whom it knows: one peer asks for every instance. Strangers are not remembered."""
    known = policy.lookup.known.recall(peer)
    if known is not None:
        return known
    identity = _prove_peer(policy, peer)
    return policy.lookup.known.remember(peer, identity) if identity.is_known else identity


def _prove_peer(policy: Policy, peer: Peer) -> Identity:
    try:
        address = parse_address(peer.address)
    except ValueError:
        return _nowhere(peer.address)
    tcp = passed(Step.TCP, f"{address} on listener {peer.listener}")
    zone = place(policy, address, peer.transport)
    if zone is None:
        return _outside(policy, address, peer.transport, tcp)
    proof = prove(policy, peer, address, zone)
    rung = failed(Step.DEVICE, proof.detail) if proof.guard else passed(Step.DEVICE, proof.detail)
    stranger = proof.learning.subject if proof.learning else str(address)
    who = proof.device.name if proof.device else stranger
    climbed = (tcp, passed(Step.ZONE, zone.name), passed(Step.TRANSPORT, peer.transport), rung)
    return Identity(who, proof.device, zone, climbed, proof.guard, proof.fix, learning=proof.learning)


def _identify_person(policy: Policy, person: Person) -> Identity:
    try:
        address = parse_address(person.address)
    except ValueError:
        return _nowhere(person.address)
    who = _plain(person.name)
    tcp = passed(Step.TCP, str(address))
    zone = place(policy, address, person.transport)
    if zone is None:
        return _outside(policy, address, person.transport, tcp)
    climbed: tuple[Rung, ...] = (tcp, passed(Step.ZONE, zone.name))
    if person.transport is not Transport.HTTPS:
        how = "in plaintext" if person.transport is Transport.PLAIN else "over DICOM"
        rung = failed(Step.TRANSPORT, f"people do not come {how}")
        return Identity(who, None, zone, (*climbed, rung), "transport", "use https")
    climbed += (passed(Step.TRANSPORT, person.transport),)
    if zone.is_remote and not person.mfa:
        rung = failed(Step.DEVICE, f"{who} comes from {zone.name}, outside, without a second factor")
        return Identity(who, None, zone, (*climbed, rung), "mfa", "sign in with a second factor")
    groups = frozenset(name for name, roles in policy.groups.items() if roles & person.roles)
    listed = ", ".join(sorted(groups)) or "no group"
    rung = passed(Step.DEVICE, f"{who}, of {listed}")
    return Identity(who, None, zone, (*climbed, rung), groups=groups)


def _nowhere(address: str) -> Identity:
    rung = failed(Step.TCP, f"{quoted(address)} is not an IP address")
    return Identity("unknown", None, None, (rung,), "address")


def _outside(policy: Policy, address: Address, transport: Transport, tcp: Rung) -> Identity:
    """Nobody's zone takes this transport from there; say whether one takes another."""
    zone = _longest(policy.lookup.placed, address)
    who = str(address)
    if zone is None:
        rung = failed(Step.ZONE, f"no zone holds {address} over {transport}")
        fix = f'if it belongs here, add "{address}/{address.max_prefixlen}" to its zone\'s cidr'
        if is_public_address(address):
            fix = ""  # a stranger from the internet should not be let in by copying a line
        return Identity(who, None, None, (tcp, rung), "unknown zone", fix)
    wanted = " or ".join(sorted(zone.transports))
    rung = failed(Step.TRANSPORT, f"zone {zone.name} takes {wanted}, not {transport}")
    climbed = (tcp, passed(Step.ZONE, zone.name), rung)
    return Identity(who, None, zone, climbed, "transport", f"connect over {wanted}")
