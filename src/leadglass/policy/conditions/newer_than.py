"""``newer_than = "90d"`` of a flow or grant: studies of the last so many days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from leadglass.model.action import Facts, Verb
from leadglass.policy.condition import Asked, Case, ConditionResult


@dataclass(frozen=True, slots=True)
class NewerThan:
    """The study is at most so many days old, by Study Date (0008,0020) and the policy's ``time_zone``.

    A study without a date is not. ``where`` is the key, dotted.
    """

    where: str
    days: int
    time_zone: ZoneInfo

    def first_day(self, now: datetime) -> date:
        """The earliest date of a study that is not too old."""
        return now.astimezone(self.time_zone).date() - timedelta(days=self.days)

    def check(self, asked: Asked) -> ConditionResult:
        """Whether it is not too old."""
        studied = asked.facts.study_date
        if studied is None:
            return ConditionResult(ok=False, detail=f"{self.where} wants a date, and the study has none")
        if studied >= self.first_day(asked.now):
            return ConditionResult(ok=True, detail=f"studied in the last {self.days} days")
        return ConditionResult(
            ok=False,
            detail=f"studied more than {self.days} days ago",
            fix=f"raise {self.where} if older studies are needed",
        )


_NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
_QUARTER = NewerThan("flows.read.newer_than", 90, ZoneInfo("UTC"))


TRUTH_TABLE = (
    Case("of today", _QUARTER, Asked(Verb.STORE, _NOW, Facts(study_date=date(2026, 11, 22))), ok=True),
    Case("on the last day", _QUARTER, Asked(Verb.STORE, _NOW, Facts(study_date=date(2026, 8, 24))), ok=True),
    Case("the day before", _QUARTER, Asked(Verb.STORE, _NOW, Facts(study_date=date(2026, 8, 23))), ok=False),
    Case(
        "of a clock that runs ahead",
        _QUARTER,
        Asked(Verb.STORE, _NOW, Facts(study_date=date(2027, 1, 1))),
        ok=True,
    ),
    Case("without a date", _QUARTER, Asked(Verb.STORE, _NOW), ok=False),
)
