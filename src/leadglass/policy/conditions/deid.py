"""``deid = "basic"`` of a flow: what it lets out goes without identity. PS3.15 Annex E, §E.3.9.

The Basic Profile with the Retain UIDs Option. Objects go out de-identified, answers to queries without the
attributes that the profile takes away, and nothing is matched on these. UIDs are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from leadglass.model.action import Facts, Verb
from leadglass.policy.attributes import IDENTIFYING
from leadglass.policy.condition import Asked, Case, ConditionResult

BASIC = "basic"


@dataclass(frozen=True, slots=True)
class Deid:
    """What goes out has no identity. ``where`` is the key that says so, dotted."""

    where: str

    def check(self, asked: Asked) -> ConditionResult:
        """Whether nothing is matched on that tells whose it is, and no identity is asked for."""
        hidden = sorted(asked.facts.attributes & IDENTIFYING)
        if hidden:
            return ConditionResult(
                ok=False,
                detail=f"{self.where} does not tell {', '.join(hidden)}, so nothing is matched on it",
                fix="ask by UID or Modality",
            )
        if asked.facts.identity:
            return ConditionResult(
                ok=False,
                detail=f"{self.where} lets nothing out with its identity",
                fix=f"write a flow without deid for what {asked.verb} needs whole",
            )
        return ConditionResult(ok=True, detail="without identity")


_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_RESEARCH = Deid("flows.research.deid")


TRUTH_TABLE = (
    Case("a query that matches on nothing", _RESEARCH, Asked(Verb.FIND, _NOW), ok=True),
    Case(
        "a query that matches on Modality",
        _RESEARCH,
        Asked(Verb.FIND, _NOW, Facts(attributes=frozenset({"Modality"}))),
        ok=True,
    ),
    Case(
        "a query that matches on a name",
        _RESEARCH,
        Asked(Verb.FIND, _NOW, Facts(attributes=frozenset({"Modality", "PatientName"}))),
        ok=False,
    ),
    Case("a retrieval by UID", _RESEARCH, Asked(Verb.GET, _NOW), ok=True),
    Case(
        "a retrieval by PatientID",
        _RESEARCH,
        Asked(Verb.GET, _NOW, Facts(attributes=frozenset({"PatientID"}))),
        ok=False,
    ),
    Case("an object with its identity", _RESEARCH, Asked(Verb.STORE, _NOW, Facts(identity=True)), ok=False),
)
