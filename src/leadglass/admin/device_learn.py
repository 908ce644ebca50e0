"""Learning a device: watch one address for some days, then make a rule of what was seen, line by line.

What was seen is read off the audit trail. Nothing is proposed that takes anything out of the archive.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from heapq import merge
from itertools import count

from leadglass.admin import policy_text
from leadglass.admin.desk import Desk, require
from leadglass.admin.policy_apply import Proposal, proposal_of
from leadglass.admin.policy_files import read_policy_text
from leadglass.admin.sightings import Sightings, sightings
from leadglass.admin.trail import Trail
from leadglass.audit.read import AuditLine, Filters
from leadglass.identity.certificates import check_device_name
from leadglass.model.action import ARCHIVE, Facts, Verb
from leadglass.model.caller import Transport
from leadglass.model.errors import ConfigurationInvalid
from leadglass.model.event import Outcome
from leadglass.model.permit import Permit
from leadglass.policy import Policy, load_policy
from leadglass.policy.explain import explain_store
from leadglass.policy.identify import place
from leadglass.policy.model import LEARNING_PREFIX, ZONE_PREFIX, Direction, Learning
from leadglass.policy.moments import moments
from leadglass.policy.network import parse_address
from leadglass.sitefile import quoted, suggest

PROPOSED_VERBS = (Verb.ECHO, Verb.STORE, Verb.WORKLIST, Verb.MPPS, Verb.COMMIT)
"""What may come out of learning by itself. What takes images or answers out is given by hand."""

_OUTSIDE_LIFETIME = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Item:
    """One line to accept: a value of one key of the rule, and what speaks for it."""

    table: str
    key: str
    value: str | int | date
    seen: str


@dataclass(frozen=True, slots=True)
class Learned:
    """What a watched address showed: a rule in items, and what is left out of it on purpose.

    ``given_already`` says which flows reach the device whatever is accepted: those of its whole zone.
    """

    name: str
    zone: str
    ip: str
    until: date
    items: tuple[Item, ...]
    withheld: tuple[str, ...]
    given_already: tuple[str, ...]
    seen: Sightings


def propose_watching(
    permit: Permit, desk: Desk, name: str, address: str, zone: str | None, last_day: date
) -> Proposal:
    """The policy in place with a line that watches one address until a day.

    Raises:
        NotPermitted: ``permit`` is not for MANAGE.
        ConfigurationInvalid: no such address or zone; or it is watched already.
        PolicyInvalid, PolicyTestsFailed: the policy refuses it.
    """
    require(permit, Verb.MANAGE)
    check_device_name(name)
    standing, policy = _standing(desk)
    if name in policy.learning:
        until = policy.learning[name].until.last_day
        raise ConfigurationInvalid(f"{name} is being learned already, until {until}: --propose, or --stop")
    entry: dict[str, policy_text.EntryValue] = {
        "ip": address,
        "zone": zone or _zone_of(policy, address),
        "until": last_day,
    }
    return proposal_of(
        desk, desk.policy_path, policy_text.with_entry(standing, "learning", name, entry), standing
    )


def record_watched(permit: Permit, desk: Desk, policy: Policy, name: str) -> None:
    """Record that an address is watched from now on: attempts are counted since then."""
    learning = policy.learning[name]
    where = f"{learning.ip} in zone {learning.zone}, until {learning.until.last_day}"
    desk.record(permit, "device.watched", name, where)


def propose_stopping(permit: Permit, desk: Desk, name: str) -> Proposal:
    """The policy in place without the line that watches ``name``. Raises as ``propose_watching``."""
    require(permit, Verb.MANAGE)
    standing, policy = _standing(desk)
    _learning(policy, name)
    return proposal_of(
        desk, desk.policy_path, policy_text.without_entry(standing, "learning", name), standing
    )


def record_unwatched(permit: Permit, desk: Desk, name: str, reason: str) -> None:
    """Record that an address is watched no more."""
    desk.record(permit, "device.unwatched", name, reason)


def learned(permit: Permit, desk: Desk, trail: Trail, name: str) -> Learned:
    """What the trail says of an address since it is watched, and the rule that it would take.

    Raises:
        NotPermitted: ``permit`` is not for AUDIT.
        ConfigurationInvalid: the policy cannot be used, or ``name`` is not being learned.
        IntegrityBroken: the trail cannot be read.
    """
    require(permit, Verb.AUDIT)
    _, policy = _standing(desk)
    learning = _learning(policy, name)
    lines = _lines(permit, trail, learning)
    seen = sightings(lines, learning.subject, str(learning.ip), policy.time_zone)
    return Learned(
        name=name,
        zone=learning.zone,
        ip=str(learning.ip),
        until=learning.until.last_day,
        items=tuple(_items(policy, learning, seen, desk.authority.clock.now())),
        withheld=tuple(_withheld(name, seen)),
        given_already=tuple(_given_already(policy, learning)),
        seen=seen,
    )


def propose_rule(permit: Permit, desk: Desk, found: Learned, accepted: Collection[Item]) -> Proposal:
    """The policy in place with a device and a flow of the items accepted, in place of the watching.

    Raises:
        ConfigurationInvalid: too little was accepted to make a device of it.
        As ``propose_watching``.
    """
    require(permit, Verb.MANAGE)
    standing, policy = _standing(desk)
    _learning(policy, found.name)
    text = policy_text.without_entry(standing, "learning", found.name)
    text = policy_text.with_device(text, found.name, device_entry(policy, found, accepted))
    flow = flow_entry(found, accepted)
    if flow:
        text = policy_text.with_entry(text, "flows", _free_name(text, found.name), flow)
    return proposal_of(desk, desk.policy_path, text, standing)


def record_learned(permit: Permit, desk: Desk, policy: Policy, name: str) -> None:
    """Record that a device was made of what was watched."""
    device = policy.devices[name]
    desk.record(permit, "device.learned", name, f"zone {device.zone}; pinned to {device.ip}")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A device that was learned and has a rule: what the archive calls its site, and what it may store.

    ``sender`` is what it was called before. ``may_store`` takes what the policy may weigh of an object, and
    asks for the best moment of the week to come.
    """

    name: str
    sender: str
    site: str
    may_store: Callable[[Facts], bool]


def accepted_device(permit: Permit, desk: Desk, name: str) -> Accepted:
    """For serving what was kept of a device while it was learned.

    Raises:
        NotPermitted: ``permit`` is not for MANAGE.
        ConfigurationInvalid: the policy cannot be used, or has no such device yet.
    """
    require(permit, Verb.MANAGE)
    _, policy = _standing(desk)
    device = policy.devices.get(name)
    if device is None:
        raise ConfigurationInvalid(
            f"there is no device {quoted(name)} in the policy: leadglass device learn {name} --propose"
        )
    now = desk.authority.clock.now()

    def may_store(facts: Facts) -> bool:
        return any(explain_store(policy, name, facts, moment).allowed for moment in moments(policy, now))

    return Accepted(name, LEARNING_PREFIX + name, device.site, may_store)


def device_entry(
    policy: Policy, found: Learned, accepted: Collection[Item]
) -> Mapping[str, policy_text.EntryValue]:
    """The device's line.

    Raises:
        ConfigurationInvalid: no AE title, or over mTLS no certificate, was accepted.
    """
    titles = _accepted(accepted, "ae")
    if not titles:
        raise ConfigurationInvalid(
            f"a device needs an AE title: none of {found.name}'s was accepted, or seen"
        )
    prints = _accepted(accepted, "fingerprint")
    offered = any(item.key == "fingerprint" for item in found.items)
    if offered and not prints and policy.zones[found.zone].transports == {Transport.MTLS}:
        raise ConfigurationInvalid(f"no certificate of {found.name} was accepted: it could never connect")
    entry: dict[str, policy_text.EntryValue] = {
        "zone": found.zone,
        "ae": titles,
        "ip": found.ip,
        "makes": _accepted(accepted, "makes"),
    }
    return {**entry, "fingerprint": prints} if prints else entry


def flow_entry(found: Learned, accepted: Collection[Item]) -> Mapping[str, policy_text.EntryValue]:
    """The flow's line; empty where no verb was accepted."""
    can = _accepted(accepted, "can")
    if not can:
        return {}
    bounds = {item.key: item.value for item in accepted if item.table == "flows" and item.key != "can"}
    return {"from": (found.name,), "to": ARCHIVE, "can": can, **bounds}


def _accepted(accepted: Collection[Item], key: str) -> tuple[str, ...]:
    return tuple(str(item.value) for item in accepted if item.key == key)


def _free_name(text: str, device: str) -> str:
    taken = policy_text.names_in(text, "flows")
    numbered = (f"{device}-learned-{number}" for number in count(2))
    name = f"{device}-learned"
    return name if name not in taken else next(each for each in numbered if each not in taken)


def _standing(desk: Desk) -> tuple[str, Policy]:
    standing = read_policy_text(desk.policy_path)
    return standing, load_policy(standing, path=str(desk.policy_path), now=desk.authority.clock.now())


def _learning(policy: Policy, name: str) -> Learning:
    found = policy.learning.get(name)
    if found is None:
        hint = suggest(name, policy.learning) if policy.learning else "nothing is"
        raise ConfigurationInvalid(f"{quoted(name)} is not being learned; {hint}")
    return found


def _zone_of(policy: Policy, text: str) -> str:
    """The zone that an address is in, over whichever transport; it must be one."""
    try:
        address = parse_address(text)
    except ValueError:
        raise ConfigurationInvalid(f"{quoted(text)} is not an IP address; write it like 10.20.9.5") from None
    over = (Transport.PLAIN, Transport.MTLS)
    found = {zone.name for transport in over if (zone := place(policy, address, transport)) is not None}
    match sorted(found):
        case [name]:
            return name
        case []:
            raise ConfigurationInvalid(f"{address} is in no zone that takes DICOM; add it to one first")
        case several:
            raise ConfigurationInvalid(f"{address} is in {' and '.join(several)}: say which with --zone")


def _lines(permit: Permit, trail: Trail, learning: Learning) -> Iterator[AuditLine]:
    """What it did since it is watched, and every refusal since then, in order."""
    begun = trail.after(permit, 0, Filters(kind="device.watched"))
    since = next((line.time for line in reversed(begun) if line.event.target == learning.name), None)
    did = trail.after(permit, 0, Filters(who=learning.subject, since=since))
    refused = trail.after(permit, 0, Filters(outcome=Outcome.DENIED, since=since))
    others = [line for line in refused if line.event.who != learning.subject]
    return merge(did, others, key=lambda line: line.seq)


def _items(policy: Policy, learning: Learning, seen: Sightings, now: datetime) -> Iterator[Item]:
    for title, times in seen.titles.most_common():
        yield Item("devices", "ae", title, f"{times} associations")
    for sha256, times in seen.certificates.most_common():
        yield Item("devices", "fingerprint", sha256, f"{times} associations")
    for modality, objects in seen.modalities.most_common():
        yield Item("devices", "makes", modality, f"{objects} objects")
    for verb in PROPOSED_VERBS:
        if seen.verbs[verb]:
            yield Item("flows", "can", verb.value, f"{seen.verbs[verb]} times")
    if seen.verbs[Verb.STORE]:
        yield Item("flows", "per_hour", seen.per_hour, f"the busiest hour had {seen.busiest_hour}")
    if seen.hours is not None:
        yield Item("flows", "hours", str(seen.hours), f"on {len(seen.days)} days, never earlier or later")
    if seen.only_working_days:
        yield Item("flows", "weekdays", "mon-fri", f"on {len(seen.days)} days, none of them at a weekend")
    if seen.verbs.total() and policy.zones[learning.zone].is_public:
        last_day = (now + _OUTSIDE_LIFETIME).date()
        yield Item("flows", "expires", last_day, "the zone is outside, where every rule ends")


def _given_already(policy: Policy, learning: Learning) -> Iterator[str]:
    for flow in policy.flows.values():
        if flow.direction is Direction.TO_ARCHIVE and ZONE_PREFIX + learning.zone in flow.parties:
            verbs = ", ".join(sorted(flow.can))
            yield f"flow {flow.name} gives every device of zone {learning.zone} {verbs}, in its own bounds"


def _withheld(name: str, seen: Sightings) -> Iterator[str]:
    for verb in sorted(seen.verbs.keys() - set(PROPOSED_VERBS)):
        yield (
            f"{verb} was wanted {seen.verbs[verb]} times and is never proposed; if it is really meant,"
            f" once the device is accepted: leadglass zones allow {name} {verb}"
        )
    for reason, times in seen.refusals.most_common():
        yield f"refused {times} times: {reason}"
