"""What was seen at an address that is being learned, read off the lines of the audit trail. No I/O."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from leadglass.audit.read import AuditLine
from leadglass.model.action import MACHINE_VERBS, Verb
from leadglass.model.event import AuditEvent, Outcome
from leadglass.policy.conditions.hours import DAY_MINUTES, Span

HOUR = timedelta(hours=1)
HOUR_MINUTES = 60
ENOUGH_DAYS = 10  # with something on them, before hours or weekdays are believed
ENOUGH_WEEKS = timedelta(days=14)
REGULAR_MINUTES = 12 * HOUR_MINUTES  # what happens within these, day after day, has hours
SATURDAY = 5
HEADROOM = 1.5
LEAST_PER_HOUR = 20

_STORED = frozenset({"instance.learned", "instance.repeated", "instance.refused"})
_STOPPED = frozenset({"connection.refused", "association.refused"})


@dataclass(slots=True)
class Sightings:
    """Counts of what one address did; times are of the policy's clock on the wall."""

    attempts: int = 0
    first: datetime | None = None
    last: datetime | None = None
    titles: Counter[str] = field(default_factory=Counter)
    certificates: Counter[str] = field(default_factory=Counter)
    verbs: Counter[Verb] = field(default_factory=Counter)
    modalities: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    busiest_hour: int = 0
    days: set[date] = field(default_factory=set)
    earliest_minute: int = DAY_MINUTES
    latest_minute: int = 0

    @property
    def per_hour(self) -> int:
        """The busiest hour with some room above it, in tens."""
        return max(LEAST_PER_HOUR, 10 * math.ceil(HEADROOM * self.busiest_hour / 10))

    @property
    def hours(self) -> Span | None:
        """The hours it keeps, with one to spare on either side; ``None`` where that is not clear."""
        kept = self.latest_minute - self.earliest_minute
        if len(self.days) < ENOUGH_DAYS or kept > REGULAR_MINUTES:
            return None
        start = max(0, self.earliest_minute // HOUR_MINUTES - 1)
        end = min(DAY_MINUTES // HOUR_MINUTES, self.latest_minute // HOUR_MINUTES + 2)
        return Span(start * HOUR_MINUTES, end * HOUR_MINUTES)

    @property
    def only_working_days(self) -> bool:
        """Whether it rests on Saturdays and Sundays, and was watched over enough of them to say so."""
        if self.first is None or self.last is None or len(self.days) < ENOUGH_DAYS:
            return False
        long_enough = self.last - self.first >= ENOUGH_WEEKS
        return long_enough and all(day.weekday() < SATURDAY for day in self.days)


def sightings(lines: Iterable[AuditLine], subject: str, address: str, time_zone: ZoneInfo) -> Sightings:
    """What ``subject`` did, and what was refused from its ``address`` before it was anybody.

    ``lines`` are in order; those of others are passed over.
    """
    seen = Sightings()
    hour: deque[tuple[datetime, int]] = deque()
    for line in lines:
        event = line.event
        if event.who != subject and event.address != address:
            continue
        if event.kind in _STOPPED:
            seen.refusals[event.reason] += event.count
        elif event.who != subject or not _count(seen, event):
            continue
        seen.attempts += event.count
        _when(seen, line.time, time_zone)
        if event.kind in _STORED:
            hour.append((line.time, event.count))
            while hour[0][0] <= line.time - HOUR:
                hour.popleft()
            seen.busiest_hour = max(seen.busiest_hour, sum(count for _, count in hour))
    return seen


def _count(seen: Sightings, event: AuditEvent) -> bool:
    """Whether the line is of something that it tried."""
    verb = _asked(event)
    if event.kind == "association.admitted":
        seen.titles[event.calling_ae] += event.count
        if event.certificate:
            seen.certificates[event.certificate] += event.count
        return True
    if event.kind in _STORED:
        seen.verbs[Verb.STORE] += event.count
        if event.modality:
            seen.modalities[event.modality] += event.count
        return True
    if verb is None or event.outcome not in (Outcome.ALLOWED, Outcome.DENIED):
        return False
    seen.verbs[verb] += event.count
    return True


def _asked(event: AuditEvent) -> Verb | None:
    verb = _VERBS.get(event.verb)
    return verb if event.kind == f"operation.{verb}" else None


_VERBS: Mapping[str, Verb] = {verb.value: verb for verb in MACHINE_VERBS}


def _when(seen: Sightings, moment: datetime, time_zone: ZoneInfo) -> None:
    local = moment.astimezone(time_zone)
    minute = HOUR_MINUTES * local.hour + local.minute
    seen.first = seen.first or local
    seen.last = local
    seen.days.add(local.date())
    seen.earliest_minute = min(seen.earliest_minute, minute)
    seen.latest_minute = max(seen.latest_minute, minute)
