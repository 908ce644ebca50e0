"""What a condition is asked, and what it answers. Each condition has a file in ``conditions/``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol

from leadglass.model.action import NO_FACTS, Facts, Verb


@dataclass(frozen=True, slots=True)
class Asked:
    """What conditions weigh. ``now`` is aware.

    Of a person: ``who``, the name; ``mfa``, whether there was a second factor; ``reason``, whether one was
    given; ``approved``, whether somebody else approved.
    """

    verb: Verb
    now: datetime
    facts: Facts = NO_FACTS
    mfa: bool = False
    reason: bool = False
    approved: bool = False
    who: str = ""

    @property
    def today(self) -> date:
        """The calendar day in UTC; every date of a policy is one."""
        return self.now.astimezone(UTC).date()


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """Whether it is met, in words for the administrator, and when not, what would meet it."""

    ok: bool
    detail: str
    fix: str = ""


class Condition(Protocol):
    """One condition of a rule. ``check`` is pure; an unknown fact meets no condition."""

    def check(self, asked: Asked) -> ConditionResult:
        """Whether ``asked`` meets it."""


@dataclass(frozen=True, slots=True)
class Case:
    """A row of a condition's truth table: documentation that the tests run."""

    says: str
    condition: Condition
    asked: Asked
    ok: bool
