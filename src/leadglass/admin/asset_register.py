"""The asset register: what the audit trail tells of each device of the policy.

It is a sum of the trail and nothing else, so that no store waits for it and a stranger leaves nothing in it:
lines after a bookmark are read, summed up, and added together with the next bookmark.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, date, datetime
from itertools import islice
from typing import Final

from sqlalchemy import Engine

from leadglass.audit.read import AuditLine, after, end_of
from leadglass.index.assets import Assets, Seen, Sums, Volume
from leadglass.index.engine import reading
from leadglass.model.action import Verb
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.permit import Permit

AT_ONCE: Final = 20_000
"""Lines that are summed up in one transaction."""

IMPLEMENTATION, TLS, CERTIFICATE, ADDRESS, TITLE = (
    "implementation",
    "tls",
    "certificate until",
    "address",
    "ae",
)
_ARRIVED: Final = frozenset({"instance.stored", "instance.repeated", "instance.quarantined"})
_SENT: Final = "retrieval.sent"
_ADMITTED: Final = "association.admitted"
_ASKED: Final = {f"operation.{verb}": verb for verb in (Verb.ECHO, Verb.FIND, Verb.GET, Verb.MOVE)}

Progress = Callable[[int, int], object]
"""Told how many lines are done, of how many."""


def bring_up_to_date(
    permit: Permit, engine: Engine, devices: Collection[str], now: datetime, progress: Progress
) -> None:
    """Sum up what the trail has since the last time, of the devices that are named.

    Bounded in memory; may be interrupted, and goes on where it was. ``permit`` as for ``Assets``.

    Raises:
        IntegrityBroken: the trail cannot be read.
        OutOfResources: the index cannot be written now.
    """
    assets = Assets(engine)
    began = assets.bookmark(permit)
    with reading(engine).connect() as connection:
        end = end_of(connection).seq
    since = began
    while since.seq < end:
        with reading(engine).connect() as connection:
            sums = summed(islice(after(connection, since.seq), AT_ONCE), devices, since.seq)
        if not assets.add(permit, since, sums, now):
            return  # whoever did it goes on
        since = assets.bookmark(permit)
        progress(min(since.seq, end) - began.seq, end - began.seq)


def summed(lines: Iterable[AuditLine], devices: Collection[str], seq: int) -> Sums:
    """What lines tell of these devices; ``seq`` is of the line before them."""
    sums = Sums(seq)
    for line in lines:
        sums.seq = line.seq
        event = line.event
        of_machine = event.who in devices and event.calling_ae  # a person may bear the name of a device
        if of_machine and event.outcome in (Outcome.ALLOWED, Outcome.DONE):
            _take_facts(sums, event, line.time)
            _take_volume(sums, event, line.time.astimezone(UTC).date())
    return sums


def _take_facts(sums: Sums, event: AuditEvent, moment: datetime) -> None:
    if event.kind != _ADMITTED:
        return
    told = (
        (IMPLEMENTATION, event.implementation),
        (TLS, event.tls),
        (CERTIFICATE, event.certificate_until),
        (ADDRESS, event.address),
        (TITLE, event.calling_ae),
    )
    for fact, value in told:
        if value:
            key = (event.who, fact, value)
            known = sums.facts.get(key)
            first, last = (known.first, known.last) if known else (moment, moment)
            sums.facts[key] = Seen(min(first, moment), max(last, moment))


def _take_volume(sums: Sums, event: AuditEvent, day: date) -> None:
    """Operations by their verb; what was sent adds its bytes to the verb that asked for it."""
    if event.kind in _ARRIVED:
        verb, count = Verb.STORE, event.count
    elif event.kind in _ASKED:
        verb, count = _ASKED[event.kind], event.count
    elif event.kind == _SENT and event.verb in (Verb.GET, Verb.MOVE):
        verb, count = Verb(event.verb), 0
    else:
        return
    key = (event.who, day, verb.value)
    before = sums.volumes.get(key, Volume())
    sums.volumes[key] = Volume(before.count + count, before.size_bytes + event.size_bytes)
