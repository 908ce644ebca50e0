"""``only = "sop_class:CTImageStorage"`` of a flow or grant, by name or by UID."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from leadglass.model.action import Facts, Verb
from leadglass.model.names import Uid
from leadglass.policy.condition import Asked, Case, ConditionResult


@dataclass(frozen=True, slots=True)
class SopClass:
    """The object is of one of these SOP classes. ``where`` is the key that says so, dotted."""

    where: str
    uids: frozenset[Uid]

    def check(self, asked: Asked) -> ConditionResult:
        """Whether it is of one of them."""
        found = asked.facts.sop_class
        if found is not None and found in self.uids:
            return ConditionResult(ok=True, detail=f"SOP class {found}")
        listed = " or ".join(sorted(self.uids))
        said = "an object of unknown SOP class" if found is None else f"SOP class {found}"
        return ConditionResult(
            ok=False,
            detail=f"{self.where} wants {listed}, not {said}",
            fix="" if found is None else f'add "sop_class:{found}" to {self.where} if that is really meant',
        )


_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_CT, _MR = Uid("1.2.840.10008.5.1.4.1.1.2"), Uid("1.2.840.10008.5.1.4.1.1.4")
_ONLY_CT = SopClass("flows.send-out.only", frozenset({_CT}))

TRUTH_TABLE = (
    Case("of that class", _ONLY_CT, Asked(Verb.STORE, _NOW, Facts(sop_class=_CT)), ok=True),
    Case("of another", _ONLY_CT, Asked(Verb.STORE, _NOW, Facts(sop_class=_MR)), ok=False),
    Case("of an unknown one", _ONLY_CT, Asked(Verb.STORE, _NOW), ok=False),
)
