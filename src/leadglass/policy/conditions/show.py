"""``show = ["StudyDate", "Modality"]`` of a flow or grant: what an answer to a query may hold.

The minimum that is necessary: the other attributes come back empty, and a query that matches on one of them
is refused. The UIDs of study, series and instance are always shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from leadglass.model.action import Facts, Verb
from leadglass.policy.attributes import ALWAYS_SHOWN
from leadglass.policy.condition import Asked, Case, ConditionResult


@dataclass(frozen=True, slots=True)
class Show:
    """A query matches only on these attributes, by keyword. ``where`` is the key that says so, dotted."""

    where: str
    attributes: frozenset[str]

    def check(self, asked: Asked) -> ConditionResult:
        """Whether all that it matches on are among them; a query that matches on nothing meets it."""
        hidden = sorted(asked.facts.attributes - self.attributes - ALWAYS_SHOWN)
        if not hidden:
            return ConditionResult(ok=True, detail=f"shows {len(self.attributes)} attributes")
        return ConditionResult(
            ok=False,
            detail=f"{self.where} does not show {', '.join(hidden)}, so nothing is matched on it",
            fix=f"add {hidden[0]} to {self.where} if that is really needed",
        )


_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_WHEN = Show("flows.board.show", frozenset({"StudyDate", "Modality"}))


TRUTH_TABLE = (
    Case(
        "on an attribute that is shown",
        _WHEN,
        Asked(Verb.FIND, _NOW, Facts(attributes=frozenset({"StudyDate"}))),
        ok=True,
    ),
    Case(
        "on a UID", _WHEN, Asked(Verb.FIND, _NOW, Facts(attributes=frozenset({"StudyInstanceUID"}))), ok=True
    ),
    Case("on nothing", _WHEN, Asked(Verb.FIND, _NOW), ok=True),
    Case(
        "on one that is shown and one that is not",
        _WHEN,
        Asked(Verb.FIND, _NOW, Facts(attributes=frozenset({"StudyDate", "PatientName"}))),
        ok=False,
    ),
)
