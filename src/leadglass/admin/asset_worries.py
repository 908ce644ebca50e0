"""What should worry whoever looks after a device. Pure: the policy, the register and a day, to judgements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from itertools import pairwise

from leadglass.admin.asset_register import CERTIFICATE, IMPLEMENTATION
from leadglass.index.assets import Seen, Volume
from leadglass.model.action import Verb
from leadglass.model.caller import Transport
from leadglass.policy.model import Device
from leadglass.policy.policy import Policy
from leadglass.policy.reviews import reviews

LOOKED_AT = timedelta(days=90)
CHANGED_LATELY = timedelta(days=30)
ENOUGH_DAYS = 5  # with something on them, before it can be silent for longer than usual
CERTIFICATE_STEPS = (7, 30, 90)
SERVED = (Verb.STORE, Verb.FIND, Verb.GET, Verb.MOVE)

Facts = Mapping[str, Mapping[str, Seen]]
Volumes = Mapping[date, Mapping[str, Volume]]


class Severity(IntEnum):
    """How soon somebody should look."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3


@dataclass(frozen=True, slots=True)
class Worry:
    """One thing, and what to do about it."""

    severity: Severity
    what: str
    todo: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one device beside the policy.

    ``since`` is when the register began; ``certificate_until`` of the certificate that was issued last.
    """

    facts: Facts
    volumes: Volumes
    since: date | None
    certificate_until: date | None


def worries(policy: Policy, device: Device, known: Known, today: date) -> tuple[Worry, ...]:
    """All of them, the worst first. A device that is revoked worries nobody."""
    if device.revoked is not None:
        return ()
    found = [
        *_support(device, today),
        *_plaintext(policy, device),
        *_certificate(device, known, today),
        *_reviews(policy, device, today),
        *_changed(known.facts, today),
        *_silent(known.volumes, today),
        *_unused(policy, device, known, today),
    ]
    return tuple(sorted(found, key=lambda each: -each.severity))


def _support(device: Device, today: date) -> Iterator[Worry]:
    end = device.inventory.end_of_support
    if end is not None and end < today:
        yield Worry(Severity.HIGH, f"out of support since {end}", "replace it, or ask its vendor")


def _plaintext(policy: Policy, device: Device) -> Iterator[Worry]:
    zone = policy.zones[device.zone]
    if Transport.PLAIN in zone.transports:
        yield Worry(
            Severity.MEDIUM,
            f"may speak plaintext in zone {zone.name}: who takes its address and AE title is taken for it",
            "move it to a zone of mtls as soon as it can",
        )


def _certificate(device: Device, known: Known, today: date) -> Iterator[Worry]:
    shown = list(known.facts.get(CERTIFICATE, {}))
    ends = date.fromisoformat(shown[-1]) if shown else known.certificate_until
    if ends is None:
        return
    left = (ends - today).days
    what = f"its certificate ended {ends}" if left < 0 else f"its certificate ends {ends}, in {left} days"
    for step, severity in zip(CERTIFICATE_STEPS, reversed(Severity), strict=True):
        if left <= step:
            renewed = known.certificate_until is not None and known.certificate_until > ends
            todo = (
                "another was issued: put it on the device"
                if renewed
                else f"leadglass device renew {device.name} --out DIR"
            )
            yield Worry(severity, what, todo)
            return


def _reviews(policy: Policy, device: Device, today: date) -> Iterator[Worry]:
    for review in reviews(policy):
        if device.name in review.devices and review.is_overdue(today):
            yield Worry(
                Severity.HIGH,
                f"the review of {review.where} was due {review.last_day}: it is refused",
                f"review it, then set the next date in {review.where}",
            )


def _changed(facts: Facts, today: date) -> Iterator[Worry]:
    by_first = sorted(facts.get(IMPLEMENTATION, {}).items(), key=lambda each: each[1].first)
    if len(by_first) < 2:
        return
    (before, _), (now, seen) = by_first[-2:]
    if today - seen.first.date() <= CHANGED_LATELY:
        yield Worry(
            Severity.MEDIUM,
            f"its software changed {seen.first:%Y-%m-%d}, from {before} to {now}",
            "ask its owner whether that was an update; if not, revoke it",
        )


def _silent(volumes: Volumes, today: date) -> Iterator[Worry]:
    days = sorted(volumes)
    if len(days) < ENOUGH_DAYS:
        return
    longest = max((later - earlier).days for earlier, later in pairwise(days))
    silent = (today - days[-1]).days
    if silent > longest + 1:
        yield Worry(
            Severity.MEDIUM,
            f"silent for {silent} days, and never before for more than {longest}",
            "ask its owner; revoke it if it is gone",
        )


def _unused(policy: Policy, device: Device, known: Known, today: date) -> Iterator[Worry]:
    """Only what this archive serves, and only once it was looked at for long enough."""
    if known.since is None or today - known.since < LOOKED_AT:
        return
    used = {verb for verbs in known.volumes.values() for verb in verbs}
    unused = [verb for verb in SERVED if verb not in used and (device.name, verb) in policy.lookup.incoming]
    if unused:
        yield Worry(
            Severity.LOW,
            f"did not use in {LOOKED_AT.days} days what it may: {', '.join(unused)}",
            "zones reach --ever shows which rules give it; take it out",
        )


def by_worry(assets: Iterable[tuple[str, Sequence[Worry]]]) -> list[str]:
    """The names, those first whose worst is worst; of equals those with more, then by name."""
    ordered = sorted(assets, key=lambda each: ([*(-worry.severity for worry in each[1]), 0], each[0]))
    return [name for name, _ in ordered]
