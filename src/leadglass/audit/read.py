"""Read the trail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Select, select
from sqlalchemy.exc import DBAPIError

from leadglass.audit.chain import START, Link, from_microseconds, microseconds, read_canonical
from leadglass.audit.tables import audit_event
from leadglass.model.errors import IntegrityBroken
from leadglass.model.event import AuditEvent, Outcome

ROWS_AT_ONCE: Final = 500

_LINK: Final = (audit_event.c.seq, audit_event.c.hash)
_COLUMNS: Final = (audit_event.c.seq, audit_event.c.time_us, audit_event.c.node, audit_event.c.body)


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line as written."""

    seq: int
    time: datetime
    node: str
    event: AuditEvent


@dataclass(frozen=True, slots=True)
class Filters:
    """Which lines; ``None`` does not filter. ``kind`` also takes the kinds below it: ``instance``."""

    kind: str | None = None
    outcome: Outcome | None = None
    who: str | None = None
    since: datetime | None = None


NO_FILTERS: Final = Filters()


def tail(connection: Connection, count: int, filters: Filters = NO_FILTERS) -> list[AuditLine]:
    """The last ``count`` lines that pass, oldest first.

    Raises:
        IntegrityBroken: a line or the database cannot be read.
    """
    newest_first = _filtered(filters).order_by(audit_event.c.seq.desc()).limit(count)
    return list(_lines(connection, newest_first))[::-1]


def after(connection: Connection, seq: int, filters: Filters = NO_FILTERS) -> Iterator[AuditLine]:
    """Every line after ``seq`` that passes, oldest first, streamed; 0 for all.

    Raises:
        IntegrityBroken: a line or the database cannot be read.
    """
    onwards = _filtered(filters).where(audit_event.c.seq > seq).order_by(audit_event.c.seq)
    return _lines(connection, onwards)


def end_of(connection: Connection) -> Link:
    """The last line's number and hash. Raises as ``tail``."""
    return _link(connection, select(*_LINK).order_by(audit_event.c.seq.desc()).limit(1)) or START


def link_at(connection: Connection, seq: int) -> Link | None:
    """Number and hash of line ``seq``; ``None``: there is no such line. Raises as ``tail``."""
    if seq == START.seq:
        return START
    return _link(connection, select(*_LINK).where(audit_event.c.seq == seq))


def ndjson(lines: Iterable[AuditLine]) -> Iterator[bytes]:
    """One JSON object a line, newline included, keys sorted."""
    for line in lines:
        yield msgspec.json.encode(line, order="sorted") + b"\n"


def _filtered(filters: Filters) -> Select[Any]:
    statement = select(*_COLUMNS)
    if filters.kind is not None:
        below = f"{filters.kind}."
        kind = audit_event.c.kind
        statement = statement.where((kind == filters.kind) | kind.startswith(below, autoescape=True))
    if filters.outcome is not None:
        statement = statement.where(audit_event.c.outcome == filters.outcome.value)
    if filters.who is not None:
        statement = statement.where(audit_event.c.who == filters.who)
    if filters.since is not None:
        statement = statement.where(audit_event.c.time_us >= microseconds(filters.since))
    return statement


def _link(connection: Connection, statement: Select[Any]) -> Link | None:
    try:
        row = connection.execute(statement).one_or_none()
    except DBAPIError as error:
        raise IntegrityBroken(f"the audit trail cannot be read: {error.orig}") from error
    return None if row is None else Link(row.seq, row.hash)


def _lines(connection: Connection, statement: Select[Any]) -> Iterator[AuditLine]:
    try:
        for row in connection.execution_options(yield_per=ROWS_AT_ONCE).execute(statement):
            yield _line(row)
    except DBAPIError as error:
        raise IntegrityBroken(f"the audit trail cannot be read: {error.orig}") from error


def _line(row: Row[Any]) -> AuditLine:
    try:
        return AuditLine(row.seq, from_microseconds(row.time_us), row.node, read_canonical(row.body))
    except (TypeError, OverflowError) as error:  # SQLite lets an editor put anything into any column
        raise IntegrityBroken(f"line {row.seq} of the audit trail is not what was written") from error
