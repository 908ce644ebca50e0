"""``hours = "07:00-19:00"`` of a flow or grant, in the policy's ``time_zone``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from leadglass.model.action import Verb
from leadglass.policy.condition import Asked, Case, ConditionResult

DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Span:
    """From one minute of the day up to another, which is not in it; over midnight where it ends earlier."""

    start: int
    end: int

    def holds(self, minute: int) -> bool:
        """Whether it is then."""
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def __str__(self) -> str:
        return f"{self.start // 60:02}:{self.start % 60:02}-{self.end // 60:02}:{self.end % 60:02}"


@dataclass(frozen=True, slots=True)
class Hours:
    """The clock on the wall shows one of these spans, summer time or not. ``where`` is the key, dotted."""

    where: str
    spans: tuple[Span, ...]
    time_zone: ZoneInfo

    def check(self, asked: Asked) -> ConditionResult:
        """Whether it is then."""
        local = asked.now.astimezone(self.time_zone)
        minute = 60 * local.hour + local.minute
        for span in self.spans:
            if span.holds(minute):
                return ConditionResult(ok=True, detail=f"within {span} {self.time_zone.key}")
        listed = ", ".join(map(str, self.spans)) or "never"
        return ConditionResult(
            ok=False,
            detail=f"it is {local:%H:%M} in {self.time_zone.key}, and {self.where} is {listed}",
            fix=f"wait for those hours, or widen {self.where}",
        )


_BERLIN = ZoneInfo("Europe/Berlin")
_DAY = Hours("flows.read.hours", (Span(7 * 60, 19 * 60),), _BERLIN)
_NIGHT = Hours("flows.night.hours", (Span(22 * 60, 6 * 60),), _BERLIN)

TRUTH_TABLE = (
    Case("the first minute", _DAY, Asked(Verb.FIND, datetime(2026, 1, 5, 6, 0, tzinfo=UTC)), ok=True),
    Case("half an hour later", _DAY, Asked(Verb.FIND, datetime(2026, 1, 5, 6, 30, tzinfo=UTC)), ok=True),
    Case("the minute before", _DAY, Asked(Verb.FIND, datetime(2026, 1, 5, 5, 59, tzinfo=UTC)), ok=False),
    Case("the last minute", _DAY, Asked(Verb.FIND, datetime(2026, 1, 5, 17, 59, tzinfo=UTC)), ok=True),
    Case("its end is outside", _DAY, Asked(Verb.FIND, datetime(2026, 1, 5, 18, 0, tzinfo=UTC)), ok=False),
    Case(
        "in summer the same wall clock is an hour earlier in UTC",
        _DAY,
        Asked(Verb.FIND, datetime(2026, 7, 6, 5, 0, tzinfo=UTC)),
        ok=True,
    ),
    Case("over midnight, before it", _NIGHT, Asked(Verb.FIND, datetime(2026, 1, 5, 22, tzinfo=UTC)), ok=True),
    Case("over midnight, after it", _NIGHT, Asked(Verb.FIND, datetime(2026, 1, 6, 4, tzinfo=UTC)), ok=True),
    Case(
        "over midnight, its first minute",
        _NIGHT,
        Asked(Verb.FIND, datetime(2026, 1, 5, 21, tzinfo=UTC)),
        ok=True,
    ),
    Case("over midnight, its end", _NIGHT, Asked(Verb.FIND, datetime(2026, 1, 6, 5, tzinfo=UTC)), ok=False),
    Case("over midnight, at noon", _NIGHT, Asked(Verb.FIND, datetime(2026, 1, 6, 11, tzinfo=UTC)), ok=False),
    Case(
        "an empty list is never",
        Hours("flows.read.hours", (), _BERLIN),
        Asked(Verb.FIND, datetime(2026, 1, 5, 11, tzinfo=UTC)),
        ok=False,
    ),
)
