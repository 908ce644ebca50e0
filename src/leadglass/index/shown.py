"""Which attributes of an answer a permit shows: the minimum that the rule behind it calls necessary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from leadglass.dataset import tags
from leadglass.model.permit import Scope, ScopeFilter
from leadglass.model.query import Tag

_ALWAYS: Final = frozenset({tags.STUDY_INSTANCE_UID, tags.SERIES_INSTANCE_UID, tags.SOP_INSTANCE_UID})
_BY_KEYWORD: Final[Mapping[str, Tag]] = MappingProxyType(
    {entry.keyword: entry.tag for entry in tags.BY_TAG.values()}
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What ``scope`` reaches is answered with these ``tags``; ``None`` is all of them."""

    tags: frozenset[Tag] | None
    scope: Scope


def shown_by(scope: Scope) -> tuple[Shown, ...]:
    """The parts of a scope that show different attributes: one part where it makes no difference."""
    parts: dict[frozenset[str] | None, list[ScopeFilter]] = {}
    for each in scope.alternatives:
        parts.setdefault(each.shows, []).append(each)
    return tuple(Shown(_tags(shows), Scope(tuple(filters))) for shows, filters in parts.items())


def _tags(keywords: frozenset[str] | None) -> frozenset[Tag] | None:
    if keywords is None:
        return None
    return _ALWAYS | {_BY_KEYWORD[keyword] for keyword in keywords}
