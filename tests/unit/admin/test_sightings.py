"""What the audit trail says of a watched address, in numbers that a rule can be made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from leadglass.admin.sightings import LEAST_PER_HOUR, Sightings, sightings
from leadglass.audit.read import AuditLine
from leadglass.model.action import Verb
from leadglass.model.event import AuditEvent, Outcome

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # 10:00 in Berlin
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def line(moment: datetime, kind: str, outcome: Outcome = Outcome.ALLOWED, **facts: object) -> AuditLine:
    told = {"who": "learning:us1", "address": "10.20.9.5", **facts}
    return AuditLine(1, moment, "NORTH", AuditEvent(kind, outcome, **told))  # type: ignore[arg-type]


def store(
    moment: datetime, modality: str = "US", kind: str = "instance.learned", count: int = 1
) -> AuditLine:
    return line(moment, kind, Outcome.DONE, verb=Verb.STORE, modality=modality, count=count)


def seen(*lines: AuditLine) -> Sightings:
    return sightings(lines, "learning:us1", "10.20.9.5", BERLIN)


def test_titles_certificates_verbs_and_modalities_are_counted() -> None:
    found = seen(
        line(MONDAY, "association.admitted", calling_ae="LOGIQ", certificate="ab"),
        line(MONDAY, "association.admitted", calling_ae="LOGIQ2"),
        line(MONDAY, "association.admitted", calling_ae="LOGIQ"),
        line(MONDAY, "operation.echo", verb=Verb.ECHO),
        line(MONDAY, "operation.find", verb=Verb.FIND),
        line(MONDAY, "operation.move", Outcome.DENIED, verb=Verb.MOVE, count=3),
        store(MONDAY),
        store(MONDAY, "SR"),
        store(MONDAY, "", "instance.refused"),
        store(MONDAY, "US", "instance.repeated"),
        line(MONDAY, "query.answered", Outcome.DONE, verb=Verb.FIND),
        line(MONDAY, "association.ended", Outcome.DONE),
    )
    assert found.titles == {"LOGIQ": 2, "LOGIQ2": 1}
    assert found.certificates == {"ab": 1}
    assert found.verbs == {Verb.ECHO: 1, Verb.FIND: 1, Verb.MOVE: 3, Verb.STORE: 4}
    assert found.modalities == {"US": 2, "SR": 1}
    assert found.attempts == 12


def test_what_was_refused_at_its_address_is_counted_and_other_addresses_are_not() -> None:
    found = seen(
        line(
            MONDAY, "association.refused", Outcome.DENIED, who="10.20.9.5", reason="called AE title", count=4
        ),
        line(MONDAY, "connection.refused", Outcome.DENIED, who="", reason="no TLS"),
        line(MONDAY, "association.refused", Outcome.DENIED, who="10.20.9.6", address="10.20.9.6"),
        line(MONDAY, "operation.store", Outcome.DENIED, who="ct1", verb=Verb.STORE),
    )
    assert found.refusals == {"called AE title": 4, "no TLS": 1}
    assert (found.attempts, found.verbs) == (5, {})


def test_nothing_seen_is_nothing_at_all() -> None:
    found = seen()
    assert (found.attempts, found.first, found.hours, found.only_working_days) == (0, None, None, False)


@pytest.mark.parametrize(("objects", "per_hour"), [(1, LEAST_PER_HOUR), (20, 30), (21, 40), (400, 600)])
def test_the_rate_is_that_of_the_busiest_hour_with_room_above_it(objects: int, per_hour: int) -> None:
    quiet = [store(MONDAY - DAY + number * HOUR) for number in range(5)]
    busy = [store(MONDAY + number * timedelta(seconds=8)) for number in range(objects)]
    found = seen(*quiet, *busy)
    assert (found.busiest_hour, found.per_hour) == (objects, per_hour)


def test_an_hour_is_any_sixty_minutes() -> None:
    found = seen(store(MONDAY), store(MONDAY + 59 * MINUTE, count=5), store(MONDAY + 60 * MINUTE))
    assert found.busiest_hour == 6


def days(numbers: range, *, first: timedelta, last: timedelta) -> Sightings:
    """Something at two times of each of these days, counted from a Monday."""
    return seen(*(store(MONDAY + number * DAY + at) for number in numbers for at in (first, last)))


def test_hours_kept_day_after_day_are_told_on_the_clock_on_the_wall() -> None:
    found = days(range(10), first=-2 * HOUR, last=6 * HOUR)  # 08:00 to 16:00 in Berlin
    assert str(found.hours) == "07:00-18:00"


@pytest.mark.parametrize(
    ("numbers", "last"),
    [(range(9), 6 * HOUR), (range(10), 12 * HOUR)],
    ids=["too few days", "all day long"],
)
def test_hours_that_are_not_clear_are_not_told(numbers: range, last: timedelta) -> None:
    assert days(numbers, first=-2 * HOUR, last=last).hours is None


def test_hours_end_with_the_day() -> None:
    late = seen(*(store(MONDAY + number * DAY + 13 * HOUR + 59 * MINUTE) for number in range(10)))
    assert str(late.hours) == "22:00-24:00"
    early = seen(*(store(MONDAY + number * DAY - 10 * HOUR) for number in range(10)))
    assert str(early.hours) == "00:00-02:00"


def test_working_days_are_believed_after_two_weekends() -> None:
    working = [number for number in range(19) if number % 7 < 5]
    assert seen(*(store(MONDAY + number * DAY) for number in working)).only_working_days
    assert not seen(*(store(MONDAY + number * DAY) for number in working[:10])).only_working_days
    assert not seen(*(store(MONDAY + number * DAY) for number in range(19))).only_working_days
