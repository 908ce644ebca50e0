"""What really happened, summed up: who used which verb on what, how often, and when last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from leadglass.audit.chain import from_microseconds, microseconds
from leadglass.audit.read import Filters, after
from leadglass.audit.tables import audit_event
from leadglass.model.action import ARCHIVE, Verb
from leadglass.model.errors import IntegrityBroken
from leadglass.model.event import Outcome

_STORED, _SENT = "instance.stored", "retrieval.sent"
_KINDS = {
    _STORED: Verb.STORE,
    **{f"operation.{verb}": verb for verb in (Verb.ECHO, Verb.FIND, Verb.GET, Verb.MOVE)},
}
_DID = (Outcome.ALLOWED.value, Outcome.DONE.value)


@dataclass(frozen=True, slots=True)
class Use:
    """So many times within the days that were looked at, and when for the last time."""

    who: str
    verb: Verb
    target: str
    count: int
    last: datetime


def uses_since(connection: Connection, since: datetime) -> Iterator[Use]:
    """Every use that the trail knows of since then. Sums in the database; of moves it reads the lines.

    Raises:
        IntegrityBroken: a line or the database cannot be read.
    """
    summed = (
        select(
            audit_event.c.who, audit_event.c.kind, func.count(), func.max(audit_event.c.time_us).label("last")
        )
        .where(
            audit_event.c.time_us >= microseconds(since),
            audit_event.c.kind.in_(list(_KINDS)),
            audit_event.c.outcome.in_(_DID),
        )
        .group_by(audit_event.c.who, audit_event.c.kind)
    )
    try:
        for who, kind, count, last in connection.execute(summed):
            yield Use(who, _KINDS[kind], ARCHIVE, count, from_microseconds(last))
    except DBAPIError as error:
        raise IntegrityBroken(f"the audit trail cannot be read: {error.orig}") from error
    yield from _sent(connection, since)


def begun(connection: Connection) -> datetime | None:
    """When the trail begins; ``None`` where it is empty. Raises as ``uses_since``."""
    try:
        first = connection.execute(select(func.min(audit_event.c.time_us))).scalar()
    except DBAPIError as error:
        raise IntegrityBroken(f"the audit trail cannot be read: {error.orig}") from error
    return None if first is None else from_microseconds(first)


def _sent(connection: Connection, since: datetime) -> Iterator[Use]:
    """What the archive stored at others: a line of the trail for each study that was moved there."""
    counted: dict[str, tuple[int, datetime]] = {}
    for line in after(connection, 0, Filters(kind=_SENT, outcome=Outcome.DONE, since=since)):
        event = line.event
        if event.verb == Verb.MOVE:
            count, _ = counted.get(event.target, (0, line.time))
            counted[event.target] = (count + event.count, line.time)
    for target, (count, last) in counted.items():
        yield Use(ARCHIVE, Verb.STORE, target, count, last)
