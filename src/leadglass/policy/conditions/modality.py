"""``makes = ["US"]`` of a device, and ``only = "modality:CT"`` of a flow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from leadglass.model.action import Facts, Verb
from leadglass.policy.condition import Asked, Case, ConditionResult


@dataclass(frozen=True, slots=True)
class Modality:
    """The object's Modality (0008,0060) is one of these. None of them: nothing; unknown: no.

    ``where`` is the key that says so, dotted.
    """

    where: str
    modalities: frozenset[str]

    def check(self, asked: Asked) -> ConditionResult:
        """Whether the object's modality is among them."""
        modality = asked.facts.modality
        if modality is not None and modality in self.modalities:
            return ConditionResult(ok=True, detail=f"modality {modality}")
        listed = ", ".join(sorted(self.modalities)) or "nothing"
        found = "an object of unknown modality" if modality is None else f"modality {modality}"
        return ConditionResult(
            ok=False,
            detail=f"{self.where} allows {listed}, not {found}",
            fix="" if modality is None else f'add "{modality}" to {self.where} if that is really meant',
        )


_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_US = Modality("devices.us1.makes", frozenset({"US"}))

TRUTH_TABLE = (
    Case("the modality is listed", _US, Asked(Verb.STORE, _NOW, Facts(modality="US")), ok=True),
    Case("another modality", _US, Asked(Verb.STORE, _NOW, Facts(modality="CT")), ok=False),
    Case("the modality is unknown", _US, Asked(Verb.STORE, _NOW), ok=False),
    Case(
        "an empty list allows nothing",
        Modality("devices.us1.makes", frozenset()),
        Asked(Verb.STORE, _NOW, Facts(modality="US")),
        ok=False,
    ),
)
