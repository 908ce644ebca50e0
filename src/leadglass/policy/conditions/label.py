"""``only = "label:night"`` of a flow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from leadglass.model.action import Facts, Verb
from leadglass.policy.condition import Asked, Case, ConditionResult


@dataclass(frozen=True, slots=True)
class Label:
    """The study bears one of these labels. ``where`` is the key that says so, dotted."""

    where: str
    labels: frozenset[str]

    def check(self, asked: Asked) -> ConditionResult:
        """Whether the study bears one of them."""
        borne = sorted(self.labels & asked.facts.labels)
        if borne:
            return ConditionResult(ok=True, detail=f"label {borne[0]}")
        wanted = " or ".join(sorted(self.labels))
        return ConditionResult(
            ok=False, detail=f"{self.where} wants the label {wanted}", fix=f"label the study {wanted}"
        )


_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_NIGHT = Label("flows.send-out.only", frozenset({"night"}))

TRUTH_TABLE = (
    Case(
        "the study bears the label",
        _NIGHT,
        Asked(Verb.STORE, _NOW, Facts(labels=frozenset({"night", "teaching"}))),
        ok=True,
    ),
    Case("it bears another", _NIGHT, Asked(Verb.STORE, _NOW, Facts(labels=frozenset({"day"}))), ok=False),
    Case("it bears none", _NIGHT, Asked(Verb.STORE, _NOW), ok=False),
)
