"""The decision space: every question whose answer two policies could give differently, and no more.

A policy tells apart only what it mentions. So one modality that neither mentions stands for all the others,
the first minute of each span of hours for the whole span, and one address beside the pinned one for every
other. That makes the space finite, and comparing it cell by cell complete.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import product

from leadglass.model.action import ARCHIVE, MACHINE_VERBS, PERSON_VERBS, Verb
from leadglass.model.caller import Transport
from leadglass.policy.addresses import address_beside, address_in
from leadglass.policy.climb import SEARCHES
from leadglass.policy.conditions.expires import Expires
from leadglass.policy.conditions.need import NeedApproval, NeedReason
from leadglass.policy.conditions.own import Own
from leadglass.policy.conditions.review_by import ReviewBy
from leadglass.policy.kinds_of_object import attributes_told_apart, kinds_of_object, releases_told_apart
from leadglass.policy.lookup import senders_of
from leadglass.policy.model import (
    ANY,
    INTERNET,
    OUTGOING_VERBS,
    Bound,
    Device,
    Flow,
    Grant,
    Learning,
    OfObjects,
)
from leadglass.policy.moments import moments_of
from leadglass.policy.policy import Policy
from leadglass.policy.question import APPROVED, FLAGS, LAST_YEAR, MFA, REASON
from leadglass.policy.rule import QUERIES
from leadglass.policy.usage_told_apart import budgets_of, usage_told_apart

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
        words = (key if key in FLAGS else f"{key}={value}" for key, value in self.circumstances if value)
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
        """Everybody that one of them names or watches, the archive, and a stranger."""
        devices = {name for policy in self.policies for name in policy.devices}
        groups = {name for policy in self.policies for name in policy.groups}
        watched = {each.subject for policy in self.policies for each in policy.learning.values()}
        return [*sorted(devices), ARCHIVE, *sorted(groups - devices), *sorted(watched), INTERNET]

    def cells(self, subject: str) -> Iterator[Cell]:
        """Every question about one of them, in order."""
        if subject == ARCHIVE:
            for name in sorted({name for policy in self.policies for name in policy.devices}):
                yield from self._outgoing(name)
        elif subject == INTERNET:
            yield from self._stranger()
        if any(subject in policy.devices for policy in self.policies):
            yield from self._device(subject)
        yield from self._watched(subject)
        if any(subject in policy.groups for policy in self.policies):  # a device's name in the other policy
            yield from self._people(subject)

    def _device(self, name: str) -> Iterator[Cell]:
        found = [policy.devices[name] for policy in self.policies if name in policy.devices]
        flows = [flow for policy in self.policies for flow in policy.lookup.flows_from.get(name, ())]
        makes = [device.makes for device in found]
        objects = kinds_of_object(name, _only(flows), makes, self._senders(name, flows))
        asked = {**objects, **attributes_told_apart(flows), **releases_told_apart(flows)}
        for verb in sorted(MACHINE_VERBS):
            ways = self._ways(flows, found, verb) if self.every_way else {}
            yield from _cells(name, verb, ARCHIVE, {**ways, "at": self._times(flows, found)}, asked)

    def _ways(self, flows: Sequence[Flow], found: Sequence[Device], verb: Verb) -> dict[str, Sequence[str]]:
        """How a device may come, right or wrong."""
        ways: dict[str, Sequence[str]] = {"transport": _MACHINE_TRANSPORTS}
        titles = sorted({title for device in found for title in device.ae})
        places = self._elsewhere(found)
        if len(titles) > 1:
            ways["ae"] = titles
        if places:
            ways["ip"] = places
        return {**ways, **usage_told_apart(budgets_of(flows, verb), verb)}

    def _outgoing(self, name: str) -> Iterator[Cell]:
        flows = [flow for policy in self.policies for flow in policy.lookup.flows_to.get(name, ())]
        found = [policy.devices[name] for policy in self.policies if name in policy.devices]
        objects = kinds_of_object(name, _only(flows), (), self._senders(name, flows))
        for verb in sorted(OUTGOING_VERBS):
            hours = usage_told_apart(budgets_of(flows, verb), verb) if self.every_way else {}
            ways = {**hours, "at": self._times(flows, found)}
            yield from _cells(ARCHIVE, verb, name, ways, {**objects, **releases_told_apart(flows)})

    def _watched(self, subject: str) -> Iterator[Cell]:
        found = [
            each for policy in self.policies for each in policy.learning.values() if each.subject == subject
        ]
        if not found:
            return
        ways: dict[str, Sequence[str]] = {}
        if self.every_way:
            ways = {"transport": _MACHINE_TRANSPORTS, "ip": self._elsewhere(found)}
        at = self._bounded([each.until for each in found], {each.zone for each in found})
        for verb in sorted(MACHINE_VERBS):
            yield from _cells(subject, verb, ARCHIVE, {**ways, "at": at}, {})

    def _people(self, group: str) -> Iterator[Cell]:
        zones = sorted({name for policy in self.policies for name in policy.zones})
        grants = [
            grant for policy in self.policies for grant in policy.grants.values() if group in grant.groups
        ]
        bounds = [bound for grant in grants for bound in grant.term]
        ways = {"from": tuple(zones), "at": self._moments(bounds), **_given(grants)}
        objects = kinds_of_object(group, _only(grants), (), frozenset())
        asked = {**objects, **attributes_told_apart(grants)}
        for verb in sorted(PERSON_VERBS):
            budgets = [grant.harvest for grant in grants if verb in grant.can]
            hours = usage_told_apart(budgets, verb) if self.every_way else {}
            yield from _cells(group, verb, ANY, {**ways, **hours}, asked)

    def _stranger(self) -> Iterator[Cell]:
        ways: dict[str, Sequence[str]] = {"transport": _MACHINE_TRANSPORTS}
        if self.every_way:
            ways["ip"] = ("", *self._inside())
        for verb in sorted(MACHINE_VERBS):
            yield from _cells(INTERNET, verb, ARCHIVE, ways, {})
        for verb in sorted(PERSON_VERBS):
            yield from _cells(INTERNET, verb, ANY, {MFA: (MFA, "")}, {})

    def _senders(self, name: str, flows: Sequence[Flow]) -> frozenset[str]:
        """Whose objects are a device's own in one of the policies, where a rule asks."""
        if not any(isinstance(each, Own) for each in _only(flows)):
            return frozenset()
        several = (senders_of(name, policy.devices) for policy in self.policies if name in policy.devices)
        return frozenset().union(*several)

    def _inside(self) -> list[str]:
        """An address in each zone, where a stranger may have plugged in; a watched one is no stranger's."""
        watched = {str(ip) for policy in self.policies for ip in policy.lookup.by_watched}
        found: set[str] = set()
        for policy in self.policies:
            for zone in policy.zones.values():
                if zone.networks and zone.transports:
                    first = str(address_in(policy, zone, min(zone.transports)))
                    beside = address_beside(policy, zone, watched) if first in watched else first
                    found |= {str(beside)} if beside is not None else set()
        return sorted(found)

    def _elsewhere(self, found: Sequence[Device | Learning]) -> list[str]:
        """The pinned addresses, and one beside them for all others."""
        pinned = {str(each.ip) for each in found if each.ip is not None}
        if not pinned:
            return []
        beside = {
            str(address)
            for policy in self.policies
            for each in found
            if each.zone in policy.zones
            and (address := address_beside(policy, policy.zones[each.zone], pinned)) is not None
        }
        return sorted(pinned | beside)

    def _times(self, flows: Sequence[Flow], found: Sequence[Device]) -> tuple[str, ...]:
        homes = {device.zone for device in found}
        return self._bounded([bound for flow in flows for bound in flow.term], homes)

    def _bounded(self, bounds: Sequence[Bound], homes: Collection[str]) -> tuple[str, ...]:
        """The moments that these bounds tell apart, and the reviews of these zones."""
        reviews = [
            zone.review
            for policy in self.policies
            for zone in policy.zones.values()
            if zone.review and zone.name in homes
        ]
        return self._moments([*bounds, *reviews])

    def _moments(self, bounds: Sequence[Bound]) -> tuple[str, ...]:
        """Now, every beginning of hours in the week to come, and days after last days, up to LAST_YEAR."""
        found = {
            moment.astimezone(UTC)
            for policy in self.policies
            for moment in moments_of(bounds, policy.time_zone, self.now)[1:]
        }
        for bound in bounds:
            if isinstance(bound, Expires | ReviewBy) and bound.last_day.year < LAST_YEAR:
                found.add(datetime.combine(bound.last_day + timedelta(days=1), time(), UTC))
        later = sorted(moment for moment in found if moment > self.now)
        return ("", *(moment.strftime(MOMENT) for moment in later))


def _only(rules: Sequence[Flow] | Sequence[Grant]) -> list[OfObjects]:
    return [each for rule in rules for each in rule.only]


def _given(grants: Sequence[Grant]) -> dict[str, Sequence[str]]:
    """What a person may have given, or not: a second factor, and what these grants need besides."""
    needs = {type(need) for grant in grants for need in grant.need}
    given: dict[str, Sequence[str]] = {MFA: (MFA, "")}
    if NeedReason in needs:
        given[REASON] = (REASON, "")
    if NeedApproval in needs:
        given[APPROVED] = (APPROVED, "")
    return given


def _cells(
    subject: str,
    verb: Verb,
    target: str,
    ways: Mapping[str, Sequence[str]],
    objects: Mapping[str, Sequence[str]],
) -> Iterator[Cell]:
    told = dict(ways)
    if verb in _OF_OBJECTS:
        unasked = set() if verb in QUERIES else {"show"}
        if verb is Verb.STORE and target == ARCHIVE:
            unasked |= {"sender", "identity"}  # what a device stores it has sent, and it comes in as it is
        told = {**{key: values for key, values in objects.items() if key not in unasked}, **ways}
    for values in product(*told.values()):
        yield Cell(subject, verb, target, tuple(zip(told, values, strict=True)))
