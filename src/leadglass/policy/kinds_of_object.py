"""The kinds of object that some rules tell apart: what they mention, and one for all that they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import count
from types import MappingProxyType

from leadglass.model.storage_classes import BY_KEYWORD
from leadglass.policy.attributes import ALWAYS_SHOWN, ATTRIBUTES, IDENTIFYING, UNIDENTIFYING
from leadglass.policy.conditions.assigned import Assigned
from leadglass.policy.conditions.label import Label
from leadglass.policy.conditions.modality import Modality
from leadglass.policy.conditions.newer_than import NewerThan
from leadglass.policy.conditions.older_than import OlderThan
from leadglass.policy.conditions.sop_class import SopClass
from leadglass.policy.conditions.study import Study
from leadglass.policy.modalities import MODALITIES
from leadglass.policy.model import Flow, Grant, OfObjects
from leadglass.policy.question import Identity

STANDS_FOR_OTHERS = frozenset({"modality", "sop_class", "show"})
"""Of these words of a question the last value is for all that no rule mentions."""


def kinds_of_object(
    subject: str, only: Sequence[OfObjects], makes: Sequence[Modality | None], senders: frozenset[str]
) -> Mapping[str, Sequence[str]]:
    """The words of a question, each with its values; an empty value says nothing.

    ``subject`` is who asks, ``makes`` are of the devices, ``senders`` whose objects rules call their own.
    """
    modalities = {code for each in (*only, *makes) if isinstance(each, Modality) for code in each.modalities}
    labels = {label for each in only if isinstance(each, Label) for label in each.labels}
    labels |= {each.label_of(subject) for each in only if isinstance(each, Assigned)}
    classes = {uid for each in only if isinstance(each, SopClass) for uid in each.uids}
    studies = {uid for each in only if isinstance(each, Study) for uid in each.uids}
    days = {each.days for each in only if isinstance(each, NewerThan | OlderThan)}
    told: dict[str, Sequence[str]] = {}
    if any(isinstance(each, Modality) for each in (*only, *makes)):
        told["modality"] = (*sorted(modalities), _another(MODALITIES, modalities, "OTHER"))
    if labels:
        told["label"] = (*sorted(labels), "")
    if classes:
        told["sop_class"] = (*sorted(classes), _another(set(BY_KEYWORD.values()), classes, "2.25."))
    if studies:
        told["study"] = (*sorted(studies), "")
    if senders:
        told["sender"] = (*sorted(senders), "")
    if days:
        told["age"] = (*(f"{day}d" for day in sorted(days | {day + 1 for day in days})), "")
    return MappingProxyType(told)


def _another(known: AbstractSet[str], named: AbstractSet[str], made_up: str) -> str:
    """One that no rule names; where rules name all that are known, one that nobody has defined."""
    numbered = (f"{made_up}{number}" for number in count(1))
    return min(known - named, default="") or next(each for each in numbered if each not in named)


def attributes_told_apart(flows: Sequence[Flow] | Sequence[Grant]) -> Mapping[str, Sequence[str]]:
    """The word that asks for an attribute, with those that rules show; for queries only.

    Beside rules that show some, one without identity tells those apart too that none of them shows.
    """
    shows = [rule.show for rule in flows if rule.show is not None]
    if not shows:
        return MappingProxyType({})
    shown = frozenset().union(*(show.attributes for show in shows))
    others = ATTRIBUTES - ALWAYS_SHOWN - shown
    if releases_told_apart(flows):
        shown |= frozenset(sorted(others & UNIDENTIFYING)[:1])
        others &= IDENTIFYING
    return MappingProxyType({"show": (*sorted(shown), *sorted(others)[:1])})


def releases_told_apart(flows: Sequence[Flow] | Sequence[Grant]) -> Mapping[str, Sequence[str]]:
    """The word that asks whether something goes out with its identity, where a rule takes that away."""
    if not any(isinstance(rule, Flow) and rule.deid is not None for rule in flows):
        return MappingProxyType({})
    return MappingProxyType({"identity": (Identity.KEPT.value, Identity.REMOVED.value)})
