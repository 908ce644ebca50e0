"""``weekdays = ["mon-fri"]`` of a flow or grant, in the policy's ``time_zone``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from leadglass.model.action import Verb
from leadglass.policy.condition import Asked, Case, ConditionResult

NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Weekdays:
    """It is one of these days there, 0 being Monday. ``where`` is the key that says so, dotted."""

    where: str
    days: frozenset[int]
    time_zone: ZoneInfo

    def check(self, asked: Asked) -> ConditionResult:
        """Whether it is such a day."""
        today = asked.now.astimezone(self.time_zone).weekday()
        if today in self.days:
            return ConditionResult(ok=True, detail=f"on {NAMES[today]}")
        listed = ", ".join(NAMES[day] for day in sorted(self.days)) or "no day"
        return ConditionResult(
            ok=False,
            detail=f"it is {NAMES[today]} in {self.time_zone.key}, and {self.where} is {listed}",
            fix=f"wait for such a day, or add {NAMES[today]} to {self.where}",
        )


_WORK = Weekdays("flows.read.weekdays", frozenset(range(5)), ZoneInfo("Europe/Berlin"))

TRUTH_TABLE = (
    Case("a Friday", _WORK, Asked(Verb.FIND, datetime(2026, 1, 9, 12, tzinfo=UTC)), ok=True),
    Case("a Saturday", _WORK, Asked(Verb.FIND, datetime(2026, 1, 10, 12, tzinfo=UTC)), ok=False),
    Case(
        "Friday in UTC, and Saturday there already",
        _WORK,
        Asked(Verb.FIND, datetime(2026, 1, 9, 23, 30, tzinfo=UTC)),
        ok=False,
    ),
    Case(
        "an empty list is no day",
        Weekdays("flows.read.weekdays", frozenset(), ZoneInfo("Europe/Berlin")),
        Asked(Verb.FIND, datetime(2026, 1, 9, 12, tzinfo=UTC)),
        ok=False,
    ),
)
