"""Retention: what goes to the bin by itself, by the rules of ``leadglass.toml``. No rule, nothing goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from leadglass.archive.deletion import Deleter, Subject
from leadglass.index.aging import Aged, Aging, Reach
from leadglass.model.clock import Clock
from leadglass.model.errors import HeldBack, NotFound
from leadglass.model.names import Uid
from leadglass.model.permit import Permit
from leadglass.model.query import Level
from leadglass.sitefile.retention import RetentionRule


@dataclass(frozen=True, slots=True)
class Due:
    """A study that goes, by which rule."""

    rule: str
    study: Aged


class Retention:
    """The rules of a site, and their execution."""

    def __init__(self, rules: Sequence[RetentionRule], aging: Aging, deleter: Deleter, clock: Clock) -> None:
        self._rules = rules
        self._aging = aging
        self._deleter = deleter
        self._clock = clock

    def due(self, permit: Permit) -> list[Due]:
        """What would go now; a study that several rules reach goes by the first of them.

        Raises:
            NotPermitted: the permit is not for a deletion.
        """
        found: dict[str, Due] = {}
        for rule in self._rules:
            before = self._clock.now() - timedelta(days=rule.older_than_days)
            reach = Reach(before, rule.modalities, rule.labels, rule.not_labels)
            for each in self._aging.reached(permit, reach):
                found.setdefault(each.study_uid, Due(rule.name, each))
        return list(found.values())

    def apply(self, permit: Permit, due: Sequence[Due], go_on: Callable[[int], bool]) -> int:
        """Move them to the bin, each with the rule's name as its reason; how many studies went.

        ``go_on`` is told how many are done, and may stop it. One that is due no more, because it grew, was
        held or deleted meanwhile, stays as it is.

        Raises:
            NotPermitted: as ``due``.
        """
        gone = 0
        still = {each.study.study_uid for each in self.due(permit)}
        for number, each in enumerate(due):
            if not go_on(number):
                break
            if each.study.study_uid not in still:
                continue
            subject = Subject(Level.STUDY, Uid(each.study.study_uid))
            try:
                self._deleter.delete(permit, subject, f"retention rule {each.rule}")
            except (HeldBack, NotFound):
                continue
            gone += 1
        return gone
