"""Append to the trail, and sign its end now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from sqlalchemy import Connection, Dialect, insert, select
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from leadglass.audit.chain import START, Link, canonical, chain_hash, microseconds, storable
from leadglass.audit.checkpoints import append_checkpoint, sign_checkpoint
from leadglass.audit.signing import Signer
from leadglass.audit.tables import audit_checkpoint, audit_event
from leadglass.model.clock import Clock
from leadglass.model.errors import AuditFailed, LocalError
from leadglass.model.event import AuditEvent

CHECKPOINT_EVENTS: Final = 1_000
CHECKPOINT_S: Final = 60.0

_HEAD: Final = select(audit_event.c.seq, audit_event.c.hash).order_by(audit_event.c.seq.desc()).limit(1)
_LAST_SIGNED: Final = (
    select(audit_checkpoint.c.seq, audit_checkpoint.c.hash).order_by(audit_checkpoint.c.id.desc()).limit(1)
)


class Line(NamedTuple):
    """An event and the bytes that are stored of it, which cost more to make than to hash."""

    event: AuditEvent
    body: bytes

    @classmethod
    def of(cls, event: AuditEvent) -> Self:
        """Raises LocalError: an event that ``chain.canonical`` refuses."""
        return cls(event, canonical(event))


class AuditTrail:
    """One process's pen.

    The chain's end is read from the database each time (5 µs), in the caller's transaction, so that several
    processes may write one trail.
    """

    def __init__(self, node: str, clock: Clock, signer: Signer, checkpoints_path: Path) -> None:
        self._node = node
        self._clock = clock
        self._signer = signer
        self._checkpoints_path = checkpoints_path
        self._appended = 0
        self._signed_at_s = clock.monotonic_s()
        self._written = START

    @property
    def written(self) -> Link:
        """The last line that ``append`` wrote; it counts when its transaction has committed."""
        return self._written

    def append(self, connection: Connection, events: Sequence[AuditEvent]) -> None:
        """Write the events, in order, into the caller's transaction, which began IMMEDIATE.

        Called once in a transaction. Every CHECKPOINT_EVENTS lines or CHECKPOINT_S seconds the end as it
        was before these events, which is durable, is signed first.

        Raises:
            AuditFailed: the database or the checkpoint file cannot take them; nothing may happen.
            LocalError: an event that ``chain.canonical`` refuses.
        """
        self.append_lines(connection, [Line.of(event) for event in events])

    def append_lines(self, connection: Connection, lines: Sequence[Line]) -> None:
        """As ``append``, of events whose bytes are made already."""
        if not lines:
            return
        with _audit_failures(connection):
            end = _end(connection)
            if self._is_due():
                self._sign(connection, end)
            time_us = microseconds(self._clock.now())
            rows: list[dict[str, int | str | bytearray]] = []
            for event, body in lines:
                seq = end.seq + 1
                end = Link(seq, chain_hash(end.hash, seq, time_us, self._node, body))
                rows.append(
                    {
                        "seq": seq,
                        "time_us": time_us,
                        "node": self._node,
                        "kind": event.kind,
                        "outcome": event.outcome.value,
                        "who": storable(event.who),
                        "body": bytearray(body),  # the driver would look for an adapter of bytes, for 3 µs
                        "hash": bytearray(end.hash),
                    }
                )
            hot = _hot(connection.dialect)
            _cursor(connection).executemany(hot.insert, [hot.parameters(row) for row in rows])
        self._written = end
        self._appended += len(lines)

    def checkpoint(self, connection: Connection) -> None:
        """Sign the chain's end, if it grew since it was last signed.

        In a transaction of its own, so that what is signed is durable already: the file is written
        before the database, and must never know a line that a crash could take back.

        Raises:
            AuditFailed: the database or the file cannot be written.
        """
        with _audit_failures(connection):
            self._sign(connection, _end(connection))

    def _is_due(self) -> bool:
        waited_s = self._clock.monotonic_s() - self._signed_at_s
        return self._appended >= CHECKPOINT_EVENTS or (self._appended > 0 and waited_s >= CHECKPOINT_S)

    def _sign(self, connection: Connection, end: Link) -> None:
        last = connection.execute(_LAST_SIGNED).one_or_none()
        if end != START and (last is None or last.hash != end.hash):
            time_us = microseconds(self._clock.now())
            signed = sign_checkpoint(self._signer, end.seq, time_us, self._node, end.hash)
            append_checkpoint(self._checkpoints_path, signed)
            connection.execute(
                insert(audit_checkpoint),
                {
                    "seq": signed.seq,
                    "time_us": signed.time_us,
                    "node": signed.node,
                    "hash": signed.hash,
                    "signature": signed.signature,
                },
            )
        self._appended = 0
        self._signed_at_s = self._clock.monotonic_s()


@contextmanager
def _audit_failures(connection: Connection) -> Iterator[None]:
    """The driver's own words may be told: they hold no values, as SQLAlchemy's may."""
    driver = connection.dialect.loaded_dbapi
    try:
        yield
    except DBAPIError as error:
        raise AuditFailed(f"the audit trail cannot be written: {error.orig}") from error
    except driver.Error as error:
        raise AuditFailed(f"the audit trail cannot be written: {error}") from error
    except SQLAlchemyError as error:
        raise AuditFailed(f"the audit trail cannot be written: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class _Hot:
    """What runs for every store, as the driver takes it: SQLAlchemy needs ten times as long as SQLite."""

    head: str
    insert: str
    parameters: Callable[[Mapping[str, int | str | bytearray]], Any]


@lru_cache(maxsize=8)
def _hot(dialect: Dialect) -> _Hot:
    head = _HEAD.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    line = insert(audit_event).compile(dialect=dialect)
    return _Hot(str(head), str(line), itemgetter(*line.positiontup) if line.positiontup else dict)


def _cursor(connection: Connection) -> DBAPICursor:
    if not connection.in_transaction():
        raise LocalError("an audit line outside of any transaction: two might get one number")
    return connection.connection.cursor()


def _end(connection: Connection) -> Link:
    cursor = _cursor(connection)
    cursor.execute(_hot(connection.dialect).head)
    row = cursor.fetchone()
    cursor.close()
    return START if row is None else Link(*row)
