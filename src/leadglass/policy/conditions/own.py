"""``only = "own"`` of a flow: what the device itself sent, or another device of its ``site``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from leadglass.model.action import Facts, Verb
from leadglass.policy.condition import Asked, Case, ConditionResult


@dataclass(frozen=True, slots=True)
class Own:
    """The object came from one of these devices. ``where`` is the key that says so, dotted.

    It is each instance that counts, not the study: whoever adds an image to somebody else's study sees that
    image, and no more of it.
    """

    where: str
    senders: frozenset[str] = frozenset()

    def check(self, asked: Asked) -> ConditionResult:
        """Whether it came from one of them."""
        sender = asked.facts.sender
        if sender is not None and sender in self.senders:
            return ConditionResult(ok=True, detail=f"sent by {sender}")
        found = "its sender is unknown" if sender is None else f"it was sent by {sender}"
        return ConditionResult(
            ok=False,
            detail=f"{self.where} wants its own, and {found}",
            fix=f"give both devices one site, or take own out of {self.where}, if that is really meant",
        )


_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_NORTH = Own("flows.branch.only", frozenset({"ct-north", "us-north"}))

TRUTH_TABLE = (
    Case("sent by the device", _NORTH, Asked(Verb.STORE, _NOW, Facts(sender="us-north")), ok=True),
    Case("sent by another of its site", _NORTH, Asked(Verb.STORE, _NOW, Facts(sender="ct-north")), ok=True),
    Case("sent by somebody else", _NORTH, Asked(Verb.STORE, _NOW, Facts(sender="ct-south")), ok=False),
    Case("of an unknown sender", _NORTH, Asked(Verb.STORE, _NOW), ok=False),
)
