"""``on = "assigned"`` of a grant: studies assigned to the person, by the label ``assigned.NAME``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from leadglass.model.action import Facts, Verb
from leadglass.policy.condition import Asked, Case, ConditionResult

ASSIGNED_PREFIX = "assigned."


@dataclass(frozen=True, slots=True)
class Assigned:
    """The study bears the label that assigns it to who asks. ``where`` is the key that says so, dotted."""

    where: str

    def label_of(self, who: str) -> str:
        """The label that assigns a study to somebody."""
        return ASSIGNED_PREFIX + who

    def check(self, asked: Asked) -> ConditionResult:
        """Whether it bears it."""
        label = self.label_of(asked.who)
        if asked.who and label in asked.facts.labels:
            return ConditionResult(ok=True, detail=f"assigned to {asked.who}")
        return ConditionResult(
            ok=False,
            detail=f"the study is not assigned to {asked.who or 'nobody in particular'}",
            fix=f"label the study {label}" if asked.who else "",
        )


_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_MINE = Assigned("grants.reading.on")
_ALICES = Facts(labels=frozenset({"assigned.alice", "night"}))

TRUTH_TABLE = (
    Case("assigned to who asks", _MINE, Asked(Verb.VIEW, _NOW, _ALICES, who="alice"), ok=True),
    Case("assigned to somebody else", _MINE, Asked(Verb.VIEW, _NOW, _ALICES, who="bob"), ok=False),
    Case("assigned to nobody", _MINE, Asked(Verb.VIEW, _NOW, who="alice"), ok=False),
    Case("asked by nobody in particular", _MINE, Asked(Verb.VIEW, _NOW, _ALICES), ok=False),
)
