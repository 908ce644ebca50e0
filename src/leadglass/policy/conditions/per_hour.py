"""``per_hour = 600`` of a flow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from leadglass.model.action import Facts, Verb
from leadglass.policy.condition import Asked, Case, ConditionResult


@dataclass(frozen=True, slots=True)
class PerHour:
    """At most so many stores an hour by one device; other verbs are not counted.

    ``where`` is the key that says so, dotted.
    """

    where: str
    stores: int

    def check(self, asked: Asked) -> ConditionResult:
        """Whether one more store fits."""
        if asked.verb is not Verb.STORE:
            return ConditionResult(ok=True, detail="only stores are counted")
        used = asked.facts.stores_this_hour
        if used < self.stores:
            return ConditionResult(ok=True, detail=f"{used} of {self.stores} stores this hour")
        return ConditionResult(
            ok=False,
            detail=f"all {self.stores} stores of this hour are used",
            fix=f"wait for the next hour, or raise {self.where}",
        )


_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_SIX = PerHour("flows.old-us.per_hour", 6)

TRUTH_TABLE = (
    Case("room for one more", _SIX, Asked(Verb.STORE, _NOW, Facts(stores_this_hour=5)), ok=True),
    Case("all used", _SIX, Asked(Verb.STORE, _NOW, Facts(stores_this_hour=6)), ok=False),
    Case("a verb that is not counted", _SIX, Asked(Verb.ECHO, _NOW, Facts(stores_this_hour=6)), ok=True),
)
