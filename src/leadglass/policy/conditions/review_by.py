"""``review_by = 2027-01-31`` of a zone, flow or grant; a plaintext zone must have one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from leadglass.model.action import Verb
from leadglass.policy.condition import Asked, Case, ConditionResult


@dataclass(frozen=True, slots=True)
class ReviewBy:
    """Somebody looks at it again by this day, UTC; after it, it is closed until they did.

    ``where`` is its key, dotted.
    """

    where: str
    last_day: date

    def check(self, asked: Asked) -> ConditionResult:
        """Whether the review is not overdue."""
        if asked.today <= self.last_day:
            return ConditionResult(ok=True, detail=f"review by {self.last_day}")
        return ConditionResult(
            ok=False,
            detail=f"its review was due by {self.last_day}",
            fix=f"review it, then set the next date in {self.where}",
        )


_DUE = ReviewBy("zones.legacy.review_by", date(2027, 1, 31))

TRUTH_TABLE = (
    Case("on the day itself", _DUE, Asked(Verb.ECHO, datetime(2027, 1, 31, 23, 59, tzinfo=UTC)), ok=True),
    Case("overdue", _DUE, Asked(Verb.ECHO, datetime(2027, 2, 1, tzinfo=UTC)), ok=False),
)
