"""``per_hour = 600``, or ``per_hour = { objects = 600, bytes = "20 GB", patients = 40 }``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from leadglass.model.action import Facts, Verb
from leadglass.model.usage import Usage
from leadglass.policy.condition import Asked, Case, ConditionResult

OBJECTS, BYTES, PATIENTS = "objects", "bytes", "patients"

_UNITS: Final = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("bytes", 1))
_FIELDS: Final = {OBJECTS: "objects", BYTES: "size_bytes", PATIENTS: "patients"}  # here and of Usage
_OF_TRANSFERS: Final = (OBJECTS, BYTES, PATIENTS)
_WEIGHED: Final = {
    Verb.STORE: _OF_TRANSFERS,
    Verb.GET: _OF_TRANSFERS,
    Verb.MOVE: _OF_TRANSFERS,
    Verb.VIEW: _OF_TRANSFERS,
    Verb.FIND: (PATIENTS,),
    Verb.LIST: (PATIENTS,),
}


def weighed(verb: Verb) -> tuple[str, ...]:
    """What a budget counts of a verb: a search moves no objects, an echo nothing at all."""
    return _WEIGHED.get(verb, ())


@dataclass(frozen=True, slots=True)
class PerHour:
    """At most so much an hour, by each caller; ``None`` is not bounded.

    ``where`` is the key that says so, or could, dotted.
    """

    where: str
    objects: int | None = None
    size_bytes: int | None = None
    patients: int | None = None

    def limit(self, what: str) -> int | None:
        """How much of ``objects``, ``bytes`` or ``patients``."""
        limit: int | None = getattr(self, _FIELDS[what])
        return limit

    def check(self, asked: Asked) -> ConditionResult:
        """Whether one more fits."""
        hour = asked.facts.this_hour
        told = []
        for what, limit, amount in _bounds(self, asked.verb):
            used = getattr(hour, _FIELDS[what])
            if used >= limit:
                return ConditionResult(
                    ok=False,
                    detail=f"over {amount} this hour",
                    fix=f"wait until the hour has passed, or raise {what} in {self.where}",
                )
            told.append(f"{used} of {amount}")
        return ConditionResult(ok=True, detail=f"{', '.join(told)} this hour" if told else "not counted")


@lru_cache(maxsize=4096)
def _bounds(budget: PerHour, verb: Verb) -> tuple[tuple[str, int, str], ...]:
    """What a budget bounds of a verb: what, how much, and that in words."""
    limits = ((what, budget.limit(what)) for what in weighed(verb))
    return tuple((what, limit, _amount(what, limit)) for what, limit in limits if limit is not None)


def _amount(what: str, limit: int) -> str:
    if what != BYTES:
        return f"{limit} {what}"
    return next(f"{limit // size} {unit}" for unit, size in _UNITS if limit % size == 0)


HARVEST: Final = PerHour("per_hour", objects=250_000, size_bytes=250 * 10**9, patients=2_500)
"""What holds for reading where the policy says nothing: ten times what a busy workstation does in an hour,
and a quarter more.

Usual is up to 200 patients (the day's list of a department, and the priors of those read), 20,000 objects
(ten CT or MR studies with a prior each, at a thousand slices), and 20 GB (the same, or tomosynthesis).
"""

_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_SIX = PerHour("flows.old-us.per_hour", objects=6)
_SMALL = PerHour("flows.read.per_hour", objects=6, size_bytes=2 * 10**9, patients=4)


def _after(verb: Verb, used: Usage) -> Asked:
    return Asked(verb, _NOW, Facts(this_hour=used))


TRUTH_TABLE = (
    Case("room for one more object", _SIX, _after(Verb.STORE, Usage(objects=5)), ok=True),
    Case("all objects used", _SIX, _after(Verb.STORE, Usage(objects=6)), ok=False),
    Case("a verb that is not counted", _SIX, _after(Verb.ECHO, Usage(objects=6)), ok=True),
    Case("room for one more patient", _SMALL, _after(Verb.FIND, Usage(patients=3)), ok=True),
    Case("all patients used", _SMALL, _after(Verb.FIND, Usage(patients=4)), ok=False),
    Case("a search moves no objects", _SMALL, _after(Verb.FIND, Usage(objects=6)), ok=True),
    Case("all bytes used", _SMALL, _after(Verb.GET, Usage(size_bytes=2 * 10**9)), ok=False),
    Case("what is not bounded", _SIX, _after(Verb.STORE, Usage(patients=10**6)), ok=True),
)
