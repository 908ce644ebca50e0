"""A trail in an encrypted database, with a clock that moves when told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from leadglass.audit.signing import Signer
from leadglass.audit.trail import AuditTrail
from leadglass.audit.verify import VerifyResult, verify
from leadglass.index.engine import reading
from leadglass.model.event import AuditEvent, Outcome


@dataclass
class FakeClock:
    """Stands still until told."""

    time: datetime = field(default_factory=lambda: datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC))
    elapsed_s: float = 0.0

    def now(self) -> datetime:
        return self.time

    def monotonic_s(self) -> float:
        return self.elapsed_s

    def pass_s(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.elapsed_s += seconds


@dataclass
class Rig:
    """A trail with all around it."""

    engine: Engine
    clock: FakeClock
    signer: Signer
    checkpoints: Path
    trail: AuditTrail

    def append(self, *events: AuditEvent) -> None:
        with self.engine.begin() as connection:
            self.trail.append(connection, events)

    def checkpoint(self) -> None:
        with self.engine.begin() as connection:
            self.trail.checkpoint(connection)

    def tamper(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def verify(self, told: list[int] | None = None) -> VerifyResult:
        progress = [] if told is None else told
        with reading(self.engine).connect() as connection:
            return verify(connection, self.checkpoints, self.signer.public_key, progress.append)


def event(kind: str = "server.started", who: str = "ct1") -> AuditEvent:
    return AuditEvent(kind, Outcome.DONE, who)
