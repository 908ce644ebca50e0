"""``on = "study:1.2.840..."`` of a grant: one study, by its Study Instance UID (0020,000D)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from leadglass.model.action import Facts, Verb
from leadglass.model.names import Uid
from leadglass.policy.condition import Asked, Case, ConditionResult


@dataclass(frozen=True, slots=True)
class Study:
    """The object is of one of these studies. ``where`` is the key that says so, dotted."""

    where: str
    uids: frozenset[Uid]

    def check(self, asked: Asked) -> ConditionResult:
        """Whether it is of one of them."""
        if asked.facts.study is not None and asked.facts.study in self.uids:
            return ConditionResult(ok=True, detail="of a study that is named")
        return ConditionResult(
            ok=False, detail=f"{self.where} names other studies", fix=f"name the study in {self.where}"
        )


_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_ONE = Study("grants.opinion.on", frozenset({Uid("1.2.3")}))

TRUTH_TABLE = (
    Case("the study is named", _ONE, Asked(Verb.VIEW, _NOW, Facts(study=Uid("1.2.3"))), ok=True),
    Case("another study", _ONE, Asked(Verb.VIEW, _NOW, Facts(study=Uid("1.2.4"))), ok=False),
    Case("the study is unknown", _ONE, Asked(Verb.VIEW, _NOW), ok=False),
)
