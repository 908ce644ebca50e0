"""``expires = 2027-03-31`` of a flow or grant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from leadglass.model.action import Verb
from leadglass.policy.condition import Asked, Case, ConditionResult


@dataclass(frozen=True, slots=True)
class Expires:
    """The rule holds through this day, UTC, and not after. ``where`` is its key, dotted."""

    where: str
    last_day: date

    def check(self, asked: Asked) -> ConditionResult:
        """Whether the day has not passed."""
        if asked.today <= self.last_day:
            return ConditionResult(ok=True, detail=f"until {self.last_day}")
        return ConditionResult(
            ok=False,
            detail=f"expired after {self.last_day}",
            fix=f"set a later date in {self.where} if it is still needed",
        )


_LAST = Expires("flows.send-out.expires", date(2027, 3, 31))

TRUTH_TABLE = (
    Case(
        "on its last day, to the last minute",
        _LAST,
        Asked(Verb.STORE, datetime(2027, 3, 31, 23, 59, tzinfo=UTC)),
        ok=True,
    ),
    Case("the day after", _LAST, Asked(Verb.STORE, datetime(2027, 4, 1, tzinfo=UTC)), ok=False),
)
