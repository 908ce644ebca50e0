"""Prove the trail, or say where it is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, Row, select
from sqlalchemy.exc import DBAPIError

from leadglass.audit.chain import START, Link, chain_hash, read_canonical
from leadglass.audit.checkpoints import Checkpoint, read_checkpoints
from leadglass.audit.tables import audit_checkpoint, audit_event
from leadglass.model.errors import IntegrityBroken

PROBLEMS_TOLD: Final = 20
ROWS_AT_ONCE: Final = 1_000

_EVENTS: Final = select(audit_event).order_by(audit_event.c.seq)
_CHECKPOINTS: Final = select(audit_checkpoint).order_by(audit_checkpoint.c.id)

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """``checkpoints`` counts those with a good signature; ``problems`` are the first few, in words."""

    ok: bool
    events: int
    checkpoints: int
    first_broken: int | None
    problems: tuple[str, ...]


@dataclass(slots=True)
class _Findings:
    first_broken: int | None = None
    problems: list[str] = field(default_factory=list)

    def add(self, problem: str, seq: int | None = None) -> None:
        if seq is not None and (self.first_broken is None or seq < self.first_broken):
            self.first_broken = seq
        if len(self.problems) < PROBLEMS_TOLD:
            self.problems.append(problem)


def verify(
    connection: Connection, checkpoints_path: Path, public_key: Ed25519PublicKey, progress: Progress
) -> VerifyResult:
    """Walk the whole chain and compare it with the signed checkpoints.

    An edited, inserted, deleted or reordered line breaks the chain; a rewritten chain contradicts a
    checkpoint; a cut or rolled-back one lacks the line that a checkpoint of the file names. Lines after
    the last checkpoint can be cut unseen. ``connection`` reads one snapshot; memory does not grow
    with the trail but for its checkpoints. ``progress`` is told the lines walked.

    Raises:
        IntegrityBroken: the database or the file cannot be read.
    """
    findings = _Findings()
    try:
        signed = _from_file(checkpoints_path, public_key, findings)
        _compare_with_database(connection, public_key, signed, findings)
        rows: Iterable[Row[Any]] = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(_EVENTS)
        events, end = _walk(rows, signed, findings, progress)
    except DBAPIError as error:
        raise IntegrityBroken(f"the audit trail cannot be read: {error.orig}") from error
    missing = sorted(seq for seq in signed if seq > end.seq)
    if missing:
        findings.add(
            f"the trail ends with line {end.seq}, but line {missing[-1]} was signed: "
            "lines were cut, or the database was rolled back",
            end.seq + 1,
        )
    return VerifyResult(
        not findings.problems,
        events,
        sum(len(hashes) for hashes in signed.values()),
        findings.first_broken,
        tuple(findings.problems),
    )


_Signed = dict[int, set[bytes]]  # line number to the hashes signed for it


def _from_file(path: Path, public_key: Ed25519PublicKey, findings: _Findings) -> _Signed:
    signed: _Signed = {}
    for number, checkpoint in enumerate(read_checkpoints(path), start=1):
        if checkpoint is None:
            findings.add(f"line {number} of the checkpoint file cannot be read")
        elif not checkpoint.verifies(public_key):
            findings.add(f"line {number} of the checkpoint file has a bad signature")
        else:
            signed.setdefault(checkpoint.seq, set()).add(checkpoint.hash)
    return signed


def _compare_with_database(
    connection: Connection, public_key: Ed25519PublicKey, signed: _Signed, findings: _Findings
) -> None:
    """The file is written first, so it holds every checkpoint that the database holds."""
    for row in connection.execute(_CHECKPOINTS):
        if not (_is_typed(row) and isinstance(row.signature, bytes)):
            findings.add(f"checkpoint {row.id} in the database is not what was written")
            continue
        checkpoint = Checkpoint(row.seq, row.time_us, row.node, row.hash, row.signature)
        if not checkpoint.verifies(public_key):
            findings.add(f"the checkpoint of line {checkpoint.seq} in the database has a bad signature")
        elif checkpoint.hash not in signed.get(checkpoint.seq, set()):
            findings.add(f"the checkpoint of line {checkpoint.seq} is missing from the checkpoint file")


def _is_typed(row: Row[Any]) -> bool:
    """SQLite lets whoever edits a row put any kind of value into any column."""
    numbers = isinstance(row.seq, int) and row.seq > 0 and isinstance(row.time_us, int)
    return numbers and isinstance(row.node, str) and isinstance(row.hash, bytes)


def _columns_agree(row: Row[Any]) -> bool:
    """The columns that a reader filters by are no part of the hash, so they must say what the body says."""
    try:
        event = read_canonical(row.body)
    except IntegrityBroken:
        return False
    return (row.kind, row.outcome, row.who) == (event.kind, event.outcome.value, event.who)


def _walk(
    rows: Iterable[Row[Any]], signed: _Signed, findings: _Findings, progress: Progress
) -> tuple[int, Link]:
    end = START
    events = 0
    for row in rows:
        if not (_is_typed(row) and isinstance(row.body, bytes)):
            findings.add(f"line {row.seq} is not what was written", row.seq)
            end = Link(row.seq, b"")
            continue
        if row.seq != end.seq + 1:
            findings.add(f"lines {end.seq + 1} to {row.seq - 1} are missing", end.seq + 1)
        elif row.hash != chain_hash(end.hash, row.seq, row.time_us, row.node, row.body):
            findings.add(f"line {row.seq} is not what was written", row.seq)
        if not _columns_agree(row):
            findings.add(f"line {row.seq} is filed under what it does not say", row.seq)
        if any(row.hash != expected for expected in signed.get(row.seq, set())):
            findings.add(f"line {row.seq} contradicts its signed checkpoint", row.seq)
        end = Link(row.seq, row.hash)
        events += 1
        if events % ROWS_AT_ONCE == 0:
            progress(events)
    progress(events)
    return events, end
