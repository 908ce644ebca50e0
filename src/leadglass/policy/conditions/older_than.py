"""``older_than = "2y"`` of a flow or grant: studies from before the last so many days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from leadglass.model.action import Facts, Verb
from leadglass.policy.condition import Asked, Case, ConditionResult


@dataclass(frozen=True, slots=True)
class OlderThan:
    """The study is more than so many days old, by Study Date (0008,0020) and the policy's ``time_zone``.

    What is not older by this is newer by ``newer_than`` of the same days. A study without a date is
    neither. ``where`` is the key, dotted.
    """

    where: str
    days: int
    time_zone: ZoneInfo

    def last_day(self, now: datetime) -> date:
        """The latest date of a study that is old enough."""
        return now.astimezone(self.time_zone).date() - timedelta(days=self.days + 1)

    def check(self, asked: Asked) -> ConditionResult:
        """Whether it is old enough."""
        studied = asked.facts.study_date
        if studied is None:
            return ConditionResult(ok=False, detail=f"{self.where} wants a date, and the study has none")
        if studied <= self.last_day(asked.now):
            return ConditionResult(ok=True, detail=f"studied more than {self.days} days ago")
        return ConditionResult(
            ok=False,
            detail=f"studied in the last {self.days} days",
            fix=f"wait, or lower {self.where} if newer studies are meant",
        )


_NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
_QUARTER = OlderThan("flows.research.older_than", 90, ZoneInfo("UTC"))


TRUTH_TABLE = (
    Case("of today", _QUARTER, Asked(Verb.STORE, _NOW, Facts(study_date=date(2026, 11, 22))), ok=False),
    Case(
        "not yet old enough", _QUARTER, Asked(Verb.STORE, _NOW, Facts(study_date=date(2026, 8, 24))), ok=False
    ),
    Case("the day before", _QUARTER, Asked(Verb.STORE, _NOW, Facts(study_date=date(2026, 8, 23))), ok=True),
    Case("without a date", _QUARTER, Asked(Verb.STORE, _NOW), ok=False),
)
