"""``need = ["mfa"]`` of a grant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from leadglass.model.action import Verb
from leadglass.policy.condition import Asked, Case, ConditionResult


@dataclass(frozen=True, slots=True)
class NeedMfa:
    """The person signed in with a second factor."""

    def check(self, asked: Asked) -> ConditionResult:
        """Whether there was one."""
        if asked.mfa:
            return ConditionResult(ok=True, detail="second factor given")
        return ConditionResult(ok=False, detail="needs a second factor", fix="sign in with a second factor")


_NOW = datetime(2026, 11, 22, tzinfo=UTC)

TRUTH_TABLE = (
    Case("with a second factor", NeedMfa(), Asked(Verb.VIEW, _NOW, mfa=True), ok=True),
    Case("without one", NeedMfa(), Asked(Verb.VIEW, _NOW), ok=False),
)
