"""Read the audit trail, and prove it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Engine

from leadglass.admin.desk import require
from leadglass.audit.read import NO_FILTERS, AuditLine, Filters, after, tail
from leadglass.audit.verify import Progress, VerifyResult, verify
from leadglass.index.engine import reading
from leadglass.model.action import Verb
from leadglass.model.permit import Permit


@dataclass(frozen=True, slots=True)
class Trail:
    """One site's trail, for reading. Every method takes a permit for AUDIT.

    Raises:
        NotPermitted: the permit is for something else.
        IntegrityBroken: the database or a line cannot be read.
    """

    engine: Engine
    checkpoints: Path
    public_key: Ed25519PublicKey

    def tail(self, permit: Permit, count: int, filters: Filters) -> list[AuditLine]:
        """The last lines that pass, oldest first."""
        require(permit, Verb.AUDIT)
        with reading(self.engine).connect() as connection:
            return tail(connection, count, filters)

    def after(self, permit: Permit, seq: int, filters: Filters) -> list[AuditLine]:
        """The lines after one, oldest first."""
        require(permit, Verb.AUDIT)
        with reading(self.engine).connect() as connection:
            return list(after(connection, seq, filters))

    def line(self, permit: Permit, seq: int) -> AuditLine | None:
        """One line by its number; ``None``: there is no such line."""
        require(permit, Verb.AUDIT)
        with reading(self.engine).connect() as connection:
            found = next(after(connection, seq - 1, NO_FILTERS), None)
        return found if found is not None and found.seq == seq else None

    def verify(self, permit: Permit, progress: Progress) -> VerifyResult:
        """Walk the whole chain and compare it with the signed checkpoints."""
        require(permit, Verb.AUDIT)
        with reading(self.engine).connect() as connection:
            return verify(connection, self.checkpoints, self.public_key, progress)
