"""A flow or a grant made ready to be tried: what decisions need of it, worked out at load."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from leadglass.model.action import Verb
from leadglass.model.decision import Rung, Step
from leadglass.model.permit import EVERYTHING, Release, ScopeFilter
from leadglass.policy.attributes import UNIDENTIFYING
from leadglass.policy.condition import Asked, Condition
from leadglass.policy.conditions.assigned import Assigned
from leadglass.policy.conditions.deid import Deid
from leadglass.policy.conditions.label import Label
from leadglass.policy.conditions.modality import Modality
from leadglass.policy.conditions.newer_than import NewerThan
from leadglass.policy.conditions.older_than import OlderThan
from leadglass.policy.conditions.own import Own
from leadglass.policy.conditions.show import Show
from leadglass.policy.conditions.sop_class import SopClass
from leadglass.policy.conditions.study import Study
from leadglass.policy.ladder import passed
from leadglass.policy.model import Flow, Grant, OfObjects

Moving = NewerThan | OlderThan | Assigned
QUERIES = frozenset({Verb.FIND, Verb.LIST})
"""What is answered with attributes, not with objects."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``only`` bounds the objects, ``conditions`` the circumstances, ``budget`` the rate, ``show`` answers.

    ``budget`` is of stores, ``harvest`` of reading. ``name`` is as audit lines give it; ``reach`` is ``only``
    as a search filters by it, but for what ``moves`` with the day or with who asks; ``reach_rung`` the same
    in words. With ``deid`` what it lets out goes without identity.
    """

    name: str
    only: tuple[Condition, ...]
    conditions: tuple[Condition, ...]
    budget: tuple[Condition, ...]
    harvest: tuple[Condition, ...]
    reach: ScopeFilter
    reach_rung: Rung
    moves: tuple[Moving, ...] = ()
    show: Show | None = None
    deid: Deid | None = None

    @property
    def release(self) -> Release:
        """How what it lets out goes."""
        return Release.WHOLE if self.deid is None else Release.DEIDENTIFIED

    def reach_of(self, asked: Asked) -> ScopeFilter:
        """What a search by this rule reaches now, and shows."""
        reach = self.reach
        for each in self.moves:
            match each:
                case NewerThan():
                    reach = replace(reach, studied_from=each.first_day(asked.now))
                case OlderThan():
                    reach = replace(reach, studied_to=each.last_day(asked.now))
                case Assigned():
                    reach = replace(reach, labels=frozenset({each.label_of(asked.who)}))
                case _:
                    assert_never(each)
        if self.deid is not None:
            reach = replace(reach, release=Release.DEIDENTIFIED)
        if asked.verb in QUERIES and (shows := self._shows()) is not None:
            reach = replace(reach, shows=shows)
        return reach

    def _shows(self) -> frozenset[str] | None:
        """What an answer may hold, beside the UIDs; ``None`` is anything."""
        shows = self.show.attributes if self.show is not None else None
        if self.deid is None:
            return shows
        return UNIDENTIFYING if shows is None else shows & UNIDENTIFYING


def rule_of_flow(flow: Flow, senders: frozenset[str]) -> Rule:
    """The rule of a flow for one device; ``senders`` are the devices whose objects are its own."""
    only = tuple(Own(each.where, senders) if isinstance(each, Own) else each for each in flow.only)
    return Rule(
        name=f"flow {flow.name}",
        only=only,
        conditions=flow.term,
        budget=(flow.budget,) if flow.budget else (),
        harvest=(flow.harvest,),
        reach=_reach(only),
        reach_rung=_reach_rung(only),
        moves=_moves(only),
        show=flow.show,
        deid=flow.deid,
    )


def rule_of_grant(grant: Grant) -> Rule:
    """The rule of a grant."""
    return Rule(
        name=f"grant {grant.name}",
        only=grant.only,
        conditions=grant.need + grant.term,
        budget=(),
        harvest=(grant.harvest,),
        reach=_reach(grant.only),
        reach_rung=_reach_rung(grant.only),
        moves=_moves(grant.only),
        show=grant.show,
    )


def _reach(only: tuple[OfObjects, ...]) -> ScopeFilter:
    (reach,) = EVERYTHING.alternatives  # itself where nothing narrows it: found at once among others
    for each in only:
        match each:
            case Label(labels=labels):
                reach = replace(reach, labels=labels)
            case Modality(modalities=modalities):
                reach = replace(reach, modalities=modalities)
            case SopClass(uids=uids):
                reach = replace(reach, sop_classes=uids)
            case Own(senders=senders):
                reach = replace(reach, senders=senders)
            case Study(uids=uids):
                reach = replace(reach, studies=uids)
            case NewerThan() | OlderThan() | Assigned():
                continue
            case _:
                assert_never(each)
    return reach


def _moves(only: tuple[OfObjects, ...]) -> tuple[Moving, ...]:
    return tuple(each for each in only if isinstance(each, NewerThan | OlderThan | Assigned))


def _reach_rung(only: tuple[OfObjects, ...]) -> Rung:
    words = ", ".join(_in_words(each) for each in only)
    return passed(Step.SCOPE, f"only {words}" if words else "everything")


def _in_words(each: OfObjects) -> str:
    match each:
        case Label(labels=words):
            return f"label {' or '.join(sorted(words))}"
        case Modality(modalities=words):
            return f"modality {' or '.join(sorted(words))}"
        case SopClass(uids=words):
            return f"SOP class {' or '.join(sorted(words))}"
        case Study(uids=words):
            return f"study {' or '.join(sorted(words))}"
        case Own():
            return "its own"
        case Assigned():
            return "what is assigned"
        case NewerThan(days=days):
            return f"of the last {days} days"
        case OlderThan(days=days):
            return f"older than {days} days"
        case _:
            assert_never(each)
