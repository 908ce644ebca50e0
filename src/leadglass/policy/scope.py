"""Whether a scope reaches an object of which the facts are known: what ``index.scope`` says in SQL."""

from __future__ import annotations

from datetime import date

from leadglass.model.action import Facts
from leadglass.model.names import Uid
from leadglass.model.permit import Release, Scope, ScopeFilter
from leadglass.policy.attributes import ALWAYS_SHOWN


def reaches(scope: Scope, facts: Facts) -> bool:
    """Whether one of its alternatives reaches the object, and shows the attributes asked about."""
    return any(_meets(each, facts) for each in scope.alternatives)


def release_of(scope: Scope, facts: Facts) -> Release:
    """How an object goes out that a scope reaches: whole where an alternative that lets it out whole does."""
    whole = (each for each in scope.alternatives if each.release is Release.WHOLE)
    return Release.WHOLE if any(_meets(each, facts) for each in whole) else Release.DEIDENTIFIED


def _meets(each: ScopeFilter, facts: Facts) -> bool:
    return (
        (each.labels is None or not each.labels.isdisjoint(facts.labels))
        and _is_among(facts.modality, each.modalities)
        and _is_among(facts.sop_class, each.sop_classes)
        and _is_among(facts.sender, each.senders)
        and _is_among(facts.study, each.studies)
        and _is_between(each, facts)
        and not (facts.identity and each.release is not Release.WHOLE)
        and (each.shows is None or facts.attributes <= each.shows | ALWAYS_SHOWN)
    )


def _is_among(fact: str | None, wanted: frozenset[str] | frozenset[Uid] | None) -> bool:
    return wanted is None or fact in wanted


def _is_between(each: ScopeFilter, facts: Facts) -> bool:
    if each.studied_from is None and each.studied_to is None:
        return True
    if facts.study_date is None:
        return False
    first, last = each.studied_from or date.min, each.studied_to or date.max
    return first <= facts.study_date <= last
