"""The policy's answer, with its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from leadglass.model.permit import NOTHING, Keeping, Release, Scope


class Step(StrEnum):
    """The rungs of the ladder, in the order they are climbed."""

    TCP = "tcp"
    ZONE = "zone"
    TRANSPORT = "transport"
    DEVICE = "device"
    VERB = "verb"
    SCOPE = "scope"
    CONDITIONS = "conditions"
    BUDGET = "budget"


class RungState(StrEnum):
    """How far the caller came."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True)
class Rung:
    """One step and what was found there. ``detail`` is for the administrator; no PHI."""

    step: Step
    state: RungState
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed or not, by which rule, and why.

    ``rule`` names the flow, grant or guard that decided; ``None`` when nothing matched.
    ``fix`` is the narrowest change that would permit it, in words; empty when allowed or when
    no change should (a guard). ``scope`` is what an allowed search or retrieval may touch,
    ``keeping`` what becomes of an object whose store is allowed, ``release`` how one goes out that the
    archive may store elsewhere.
    """

    allowed: bool
    who: str
    rule: str | None
    ladder: tuple[Rung, ...]
    fix: str = ""
    device: str | None = None
    zone: str | None = None
    site: str = ""
    scope: Scope = NOTHING
    keeping: Keeping = Keeping.SERVED
    release: Release = Release.WHOLE

    @property
    def failed(self) -> Rung | None:
        """The rung that stopped the caller."""
        return next((rung for rung in self.ladder if rung.state is RungState.FAILED), None)
