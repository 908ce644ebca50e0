"""The decision space: every question whose answer two policies could give differently, and no more.

A policy tells apart only what it mentions. So one modality that neither mentions stands for all the others,
the first minute of each span of hours for the whole span, and one address beside the pinned one for every
other. That makes the space finite, and comparing it cell by cell complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import product
from types import MappingProxyType

from leadglass.model.action import ARCHIVE, MACHINE_VERBS, PERSON_VERBS, Verb
from leadglass.model.caller import Transport
from leadglass.policy.climb import SEARCHES
from leadglass.policy.conditions.expires import Expires
from leadglass.policy.conditions.label import Label
from leadglass.policy.conditions.per_hour import HARVEST, OBJECTS, PerHour, weighed
from leadglass.policy.conditions.review_by import ReviewBy
from leadglass.policy.explain import address_beside, address_in
from leadglass.policy.modalities import MODALITIES
from leadglass.policy.model import ANY, INTERNET, OUTGOING_VERBS, Bound, Device, Flow
from leadglass.policy.moments import moments_of
from leadglass.policy.policy import Policy

MFA, STORES = "mfa", "stores"
MOMENT = "%Y-%m-%dT%H:%MZ"
Circumstances = tuple[tuple[str, str], ...]
"""Words of a question, in order: key and value, the value empty where the best case is asked."""

_MACHINE_TRANSPORTS = (Transport.MTLS.value, Transport.PLAIN.value)
_OF_OBJECTS = SEARCHES | {Verb.STORE}


@dataclass(frozen=True, slots=True)
class Cell:
    """One question. ``str`` is what ``zones explain`` and ``[tests]`` understand."""

    subject: str
    verb: Verb
    target: str
    circumstances: Circumstances = ()

    def __str__(self) -> str:
        words = (key if key == MFA else f"{key}={value}" for key, value in self.circumstances if value)
        return " ".join((self.subject, self.verb, self.target, *words))


@dataclass(frozen=True, slots=True)
class Space:
    """The space that some policies span together, as of a moment (aware).

    Without ``every_way`` a device comes as it should: over its zone's transport, from its own address, with
    its first AE title, with nothing stored yet.
    """

    policies: Sequence[Policy]
    now: datetime
    every_way: bool = True

    def subjects(self) -> list[str]:
        """Everybody that one of them names, the archive, and a stranger."""
        devices = {name for policy in self.policies for name in policy.devices}
        groups = {name for policy in self.policies for name in policy.groups}
        return [*sorted(devices), ARCHIVE, *sorted(groups - devices), INTERNET]

    def cells(self, subject: str) -> Iterator[Cell]:
        """Every question about one of them, in order."""
        if subject == ARCHIVE:
            for name in sorted({name for policy in self.policies for name in policy.devices}):
                yield from self._outgoing(name)
        elif subject == INTERNET:
            yield from self._stranger()
        if any(subject in policy.devices for policy in self.policies):
            yield from self._device(subject)
        if any(subject in policy.groups for policy in self.policies):  # a device's name in the other policy
            yield from self._people(subject)

    def _device(self, name: str) -> Iterator[Cell]:
        found = [policy.devices[name] for policy in self.policies if name in policy.devices]
        flows = [flow for policy in self.policies for flow in policy.lookup.flows_from.get(name, ())]
        objects = _objects(flows, found)
        for verb in sorted(MACHINE_VERBS):
            ways = self._ways(flows, found, verb) if self.every_way else {}
            yield from _cells(name, verb, ARCHIVE, {**ways, "at": self._times(flows, found)}, objects)

    def _ways(self, flows: Sequence[Flow], found: Sequence[Device], verb: Verb) -> dict[str, Sequence[str]]:
        """How a device may come, right or wrong."""
        ways: dict[str, Sequence[str]] = {"transport": _MACHINE_TRANSPORTS}
        titles = sorted({title for device in found for title in device.ae})
        places = self._elsewhere(found)
        if len(titles) > 1:
            ways["ae"] = titles
        if places:
            ways["ip"] = places
        return {**ways, **_hours(_budgets(flows, verb), verb)}

    def _outgoing(self, name: str) -> Iterator[Cell]:
        flows = [flow for policy in self.policies for flow in policy.lookup.flows_to.get(name, ())]
        found = [policy.devices[name] for policy in self.policies if name in policy.devices]
        for verb in sorted(OUTGOING_VERBS):
            ways = _hours(_budgets(flows, verb), verb) if self.every_way else {}
            ways = {**ways, "at": self._times(flows, found)}
            yield from _cells(ARCHIVE, verb, name, ways, _objects(flows, []))

    def _people(self, group: str) -> Iterator[Cell]:
        zones = sorted({name for policy in self.policies for name in policy.zones})
        grants = [
            grant for policy in self.policies for grant in policy.grants.values() if group in grant.groups
        ]
        bounds = [bound for grant in grants for bound in grant.term]
        for verb in sorted(PERSON_VERBS):
            budgets = [grant.harvest for grant in grants if verb in grant.can]
            hours = _hours(budgets, verb) if self.every_way else {}
            ways = {"from": tuple(zones), **hours, "at": self._moments(bounds), MFA: (MFA, "")}
            yield from _cells(group, verb, ANY, ways, {})

    def _stranger(self) -> Iterator[Cell]:
        ways: dict[str, Sequence[str]] = {"transport": _MACHINE_TRANSPORTS}
        if self.every_way:
            ways["ip"] = ("", *self._inside())
        for verb in sorted(MACHINE_VERBS):
            yield from _cells(INTERNET, verb, ARCHIVE, ways, {})
        for verb in sorted(PERSON_VERBS):
            yield from _cells(INTERNET, verb, ANY, {MFA: (MFA, "")}, {})

    def _inside(self) -> list[str]:
        """An address in each zone, where a stranger may have plugged in."""
        return sorted(
            {
                str(address_in(policy, zone, min(zone.transports)))
                for policy in self.policies
                for zone in policy.zones.values()
                if zone.networks and zone.transports
            }
        )

    def _elsewhere(self, found: Sequence[Device]) -> list[str]:
        """The pinned addresses, and one beside them for all others."""
        pinned = {str(device.ip) for device in found if device.ip is not None}
        if not pinned:
            return []
        beside = {
            str(address)
            for policy in self.policies
            for device in found
            if device.zone in policy.zones
            and (address := address_beside(policy, policy.zones[device.zone], pinned)) is not None
        }
        return sorted(pinned | beside)

    def _times(self, flows: Sequence[Flow], found: Sequence[Device]) -> tuple[str, ...]:
        homes = {device.zone for device in found}
        reviews = [
            zone.review
            for policy in self.policies
            for zone in policy.zones.values()
            if zone.review and zone.name in homes
        ]
        return self._moments([*(bound for flow in flows for bound in flow.term), *reviews])

    def _moments(self, bounds: Sequence[Bound]) -> tuple[str, ...]:
        """Now, every beginning of hours in the week to come, and the day after each last day."""
        found = {
            moment.astimezone(UTC)
            for policy in self.policies
            for moment in moments_of(bounds, policy.time_zone, self.now)[1:]
        }
        for bound in bounds:
            if isinstance(bound, Expires | ReviewBy):
                found.add(datetime.combine(bound.last_day + timedelta(days=1), time(), UTC))
        later = sorted(moment for moment in found if moment > self.now)
        return ("", *(moment.strftime(MOMENT) for moment in later))


def _cells(
    subject: str,
    verb: Verb,
    target: str,
    ways: Mapping[str, Sequence[str]],
    objects: Mapping[str, Sequence[str]],
) -> Iterator[Cell]:
    told = {**objects, **ways} if verb in _OF_OBJECTS else ways
    for values in product(*told.values()):
        yield Cell(subject, verb, target, tuple(zip(told, values, strict=True)))


def _budgets(flows: Sequence[Flow], verb: Verb) -> list[PerHour]:
    """What holds for a verb."""
    giving = [flow for flow in flows if verb in flow.can]
    if verb in SEARCHES:
        return [flow.harvest for flow in giving]
    return [flow.budget for flow in giving if flow.budget is not None]


def _hours(budgets: Sequence[PerHour], verb: Verb) -> dict[str, Sequence[str]]:
    """How much of the hour is used that the budgets tell apart: nothing, and all that each permits.

    What is built in no policy mentions; alone it tells nothing apart.
    """
    told: dict[str, Sequence[str]] = {}
    for what in weighed(verb):
        limits = {limit for budget in budgets if (limit := budget.limit(what)) is not None}
        if verb in SEARCHES and limits <= {HARVEST.limit(what)}:
            continue
        if limits:
            key = STORES if verb is Verb.STORE and what == OBJECTS else what
            told[key] = ("0", *map(str, sorted(limits)))
    return told


def _objects(flows: Sequence[Flow], devices: Sequence[Device]) -> Mapping[str, Sequence[str]]:
    """The kinds of object that the rules tell apart: what they mention, and one that they do not."""
    modalities: set[str] = set()
    labels: set[str] = set()
    for condition in (condition for flow in flows for condition in flow.only):
        if isinstance(condition, Label):
            labels |= condition.labels
        else:
            modalities |= condition.modalities
    modalities |= {code for device in devices if device.makes is not None for code in device.makes.modalities}
    limited = bool(modalities) or any(device.makes is not None for device in devices)
    told: dict[str, Sequence[str]] = {}
    if limited:
        told["modality"] = (*sorted(modalities), min(MODALITIES - modalities))
    if labels:
        told["label"] = (*sorted(labels), "")
    return MappingProxyType(told)
