"""``need = ["mfa", "reason", "approval"]`` of a grant."""

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


@dataclass(frozen=True, slots=True)
class NeedReason:
    """The person said why, in words that the audit keeps."""

    def check(self, asked: Asked) -> ConditionResult:
        """Whether there is a reason."""
        if asked.reason:
            return ConditionResult(ok=True, detail="reason given")
        return ConditionResult(ok=False, detail="needs a reason", fix="say why it is needed")


@dataclass(frozen=True, slots=True)
class NeedApproval:
    """Somebody else approved it."""

    def check(self, asked: Asked) -> ConditionResult:
        """Whether somebody did."""
        if asked.approved:
            return ConditionResult(ok=True, detail="approved by somebody else")
        return ConditionResult(
            ok=False, detail="needs the approval of somebody else", fix="ask a colleague to approve it"
        )


_NOW = datetime(2026, 11, 22, tzinfo=UTC)

TRUTH_TABLE = (
    Case("with a second factor", NeedMfa(), Asked(Verb.VIEW, _NOW, mfa=True), ok=True),
    Case("without one", NeedMfa(), Asked(Verb.VIEW, _NOW), ok=False),
    Case("with a reason", NeedReason(), Asked(Verb.VIEW, _NOW, reason=True), ok=True),
    Case("without a reason", NeedReason(), Asked(Verb.VIEW, _NOW, mfa=True), ok=False),
    Case("approved", NeedApproval(), Asked(Verb.VIEW, _NOW, approved=True), ok=True),
    Case("not approved", NeedApproval(), Asked(Verb.VIEW, _NOW, mfa=True, reason=True), ok=False),
)
