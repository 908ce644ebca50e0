"""What really happened, summed up: who used which verb on what, by which rule, how often, and when last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, Text, cast, func, literal, select
from sqlalchemy.exc import DBAPIError

from leadglass.audit.chain import from_microseconds, microseconds
from leadglass.audit.read import end_of
from leadglass.audit.tables import audit_event
from leadglass.model.action import ARCHIVE, MACHINE_VERBS, PERSON_VERBS, Verb
from leadglass.model.errors import IntegrityBroken
from leadglass.model.event import Outcome

LINES_AT_ONCE: Final = 50_000
"""Lines of the trail that are summed up between two words of progress."""

_SENT: Final = "retrieval.sent"
_KINDS: Final = {
    **{f"operation.{verb}": verb for verb in sorted(MACHINE_VERBS | PERSON_VERBS) if verb is not Verb.STORE},
    **dict.fromkeys(("instance.stored", "instance.repeated", "instance.quarantined"), Verb.STORE),
}
"""Of a store its end is the use, whatever became of the object; of all else that the gate let it begin."""
_DID: Final = (Outcome.ALLOWED.value, Outcome.DONE.value, Outcome.ALERT.value)

Progress = Callable[[int, int], object]
"""Told how many lines are done, of how many."""


@dataclass(frozen=True, slots=True)
class Use:
    """So many times within the days that were looked at, and when for the last time.

    ``rule`` is one that permitted it, as audit lines name it; where several did, each has a use of its own.
    """

    who: str
    verb: Verb
    target: str
    rule: str
    count: int
    last: datetime


def uses_since(connection: Connection, since: datetime, progress: Progress) -> list[Use]:
    """Every use that the trail knows of since then. Summed in the database, some lines at a time.

    Raises:
        IntegrityBroken: a line or the database cannot be read.
    """
    end = end_of(connection).seq
    summed: dict[tuple[str, Verb, str, str], tuple[int, int]] = {}
    for start in range(0, end, LINES_AT_ONCE):
        for row in _rows(connection, _sums(start, min(start + LINES_AT_ONCE, end), since)):
            for key in _keys(row):
                count, last_us = summed.get(key, (0, row.last_us))
                summed[key] = (count + int(row.times), max(last_us, row.last_us))
        progress(min(start + LINES_AT_ONCE, end), end)
    return [Use(*key, count, from_microseconds(last_us)) for key, (count, last_us) in summed.items()]


def begun(connection: Connection) -> datetime | None:
    """When the trail begins; ``None`` where it is empty. Raises as ``uses_since``."""
    rows = _rows(connection, select(func.min(audit_event.c.time_us).label("first_us")))
    return None if rows[0].first_us is None else from_microseconds(rows[0].first_us)


def _sums(after_seq: int, to_seq: int, since: datetime) -> Select[Any]:
    columns = audit_event.c
    alike = (columns.who, columns.kind, _told("rule"), _told("verb"), _told("target"), _told("onward_rule"))
    times = func.sum(func.coalesce(_field("count"), 1))  # of what was sent: so many objects
    return (
        select(*alike, times.label("times"), func.max(columns.time_us).label("last_us"))
        .where(
            columns.seq > after_seq,
            columns.seq <= to_seq,
            columns.time_us >= microseconds(since),
            columns.kind.in_([*_KINDS, _SENT]),
            columns.outcome.in_(_DID),
        )
        .group_by(*alike)
    )


def _field(name: str) -> ColumnElement[Any]:
    """A field of the line's body; null where it is left out."""
    return func.json_extract(cast(audit_event.c.body, Text), literal(f"$.{name}"))


def _told(name: str) -> ColumnElement[str]:
    return func.coalesce(_field(name), "").label(name)


def _keys(row: Row[Any]) -> list[tuple[str, Verb, str, str]]:
    """Who used what, by each rule that permitted it. A move uses a permission of the archive too."""
    verb = _KINDS.get(row.kind)
    if verb is not None:
        return [(row.who, verb, str(row.target) or ARCHIVE, rule) for rule in str(row.rule).split(", ")]
    if row.verb != Verb.MOVE:
        return []
    return [(ARCHIVE, Verb.STORE, str(row.target), rule) for rule in str(row.onward_rule).split(", ")]


def _rows(connection: Connection, statement: Select[Any]) -> list[Row[Any]]:
    try:
        return list(connection.execute(statement))
    except DBAPIError as error:
        raise IntegrityBroken(f"the audit trail cannot be read: {error.orig}") from error
