"""When a rule holds: ``expires``, ``review_by``, ``hours``, ``weekdays``; and the policy's ``time_zone``."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, available_timezones

from leadglass.policy.conditions.expires import Expires
from leadglass.policy.conditions.hours import DAY_MINUTES, Hours, Span
from leadglass.policy.conditions.review_by import ReviewBy
from leadglass.policy.conditions.weekdays import NAMES, Weekdays
from leadglass.policy.model import Bound
from leadglass.policy.reading.words import dotted
from leadglass.sitefile import quoted, suggest
from leadglass.sitefile.table import Table

DEFAULT = ZoneInfo("UTC")

_SPAN = re.compile(r"([0-2][0-9]):([0-5][0-9])-([0-2][0-9]):([0-5][0-9])")
_DAYS = re.compile(r"([a-z]{3})(?:-([a-z]{3}))?")


def read_time_zone(root: Table) -> ZoneInfo:
    """``time_zone = "Europe/Berlin"`` at the top of the file; UTC where it says nothing."""
    name = root.text("time_zone")
    if name is None:
        return DEFAULT
    known = available_timezones()
    if name in known:
        return ZoneInfo(name)
    root.notes.error(root.place_of("time_zone"), f"unknown time zone {quoted(name)}", suggest(name, known))
    return DEFAULT


def read_term(table: Table, time_zone: ZoneInfo) -> tuple[Bound, ...]:
    """Everything that bounds a rule in time."""
    where = dotted(table)
    expires, review_by = table.day("expires"), table.day("review_by")
    hours, weekdays = table.words("hours"), table.words("weekdays")
    term: tuple[Bound, ...] = ()
    if expires is not None:
        term += (Expires(f"{where}.expires", expires),)
    if review_by is not None:
        term += (ReviewBy(f"{where}.review_by", review_by),)
    if weekdays is not None:
        term += (Weekdays(f"{where}.weekdays", _days(table, weekdays), time_zone),)
    if hours is not None:
        term += (Hours(f"{where}.hours", _spans(table, hours), time_zone),)
    return term


def _spans(table: Table, words: tuple[str, ...]) -> tuple[Span, ...]:
    read = []
    for number, word in enumerate(words):
        found = _SPAN.fullmatch(word)
        if found is not None:
            hour, minute, end_hour, end_minute = map(int, found.groups())
            start, end = 60 * hour + minute, 60 * end_hour + end_minute
            if start < DAY_MINUTES and end <= DAY_MINUTES and start != end:
                read.append(Span(start, end))
                continue
        hint = 'write "07:00-19:00"; over midnight "22:00-06:00", a whole day "00:00-24:00"'
        table.notes.error(table.place_of("hours", number), f"{quoted(word)} is no span of hours", hint)
    return tuple(read)


def _days(table: Table, words: tuple[str, ...]) -> frozenset[int]:
    read: set[int] = set()
    for number, word in enumerate(words):
        found = _DAYS.fullmatch(word)
        names = [name for name in found.groups() if name] if found else []
        if not names or any(name not in NAMES for name in names):
            hint = f'write "mon-fri", or days out of {", ".join(NAMES)}'
            table.notes.error(table.place_of("weekdays", number), f"{quoted(word)} is no weekday", hint)
            continue
        first, last = NAMES.index(names[0]), NAMES.index(names[-1])
        length = (last - first) % len(NAMES) + 1
        read.update((first + day) % len(NAMES) for day in range(length))
    return frozenset(read)
