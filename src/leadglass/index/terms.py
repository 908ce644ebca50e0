"""From a query's keys to terms: what to compare, how, and with which values.

A ``Term`` is the shape of a comparison without its values, so that one compiled statement serves every
query of that shape (``plan.py``); the values travel beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from leadglass.dataset import tags
from leadglass.dataset.tags import BY_TAG, IndexTag
from leadglass.index.folding import fold_name, fold_value, storable
from leadglass.index.lists import json_list
from leadglass.model.errors import IdentifierMismatch
from leadglass.model.query import (
    DateTimeRange,
    Level,
    Match,
    Query,
    Range,
    SingleValue,
    Tag,
    UidList,
    Wildcard,
)

# Digits sort between these two.
BEFORE_DIGITS: Final = "0"
AFTER_DIGITS: Final = ":"
_AFTER_ALL_TEXT: Final = "\U0010ffff"

_MATCHABLE_COMPUTED: Final = frozenset({tags.MODALITIES_IN_STUDY, tags.SOP_CLASSES_IN_STUDY})


class Op(StrEnum):
    """How a column compares; beside each, the values it takes, in order."""

    EQUAL = "equal"  # the value
    ANY_OF = "any of"  # a JSON list
    GLOB = "glob"  # a GLOB pattern
    PREFIX_GLOB = "prefix glob"  # first and last text with the prefix, and a GLOB pattern
    BETWEEN = "between"  # first and last text
    DATE_TIME = "date time"  # first and last date, first and last date with time


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison.

    ``group`` is the component group of a person name, ``None`` for any of them; ``time_tag`` the time
    that goes with a date under DATE_TIME.
    """

    tag: Tag
    op: Op
    group: int | None = None
    time_tag: Tag | None = None


Values = tuple[str, ...]


def query_terms(query: Query) -> tuple[tuple[Term, ...], tuple[Values, ...]]:
    """Every comparison of the query, and the values of each.

    Raises:
        IdentifierMismatch: a key the index cannot match, or one of a level below the query's.
    """
    terms: list[Term] = []
    values: list[Values] = []
    for tag, match in query.matches:
        entry = _matchable(tag, query.level)
        for term, compared in _terms(entry, match):
            terms.append(term)
            values.append(tuple(storable(text) for text in compared))
    for both in query.combined:
        date, time = (_matchable(tag, query.level) for tag in (both.date_tag, both.time_tag))
        if (date.vr, time.vr) != ("DA", "TM"):
            raise IdentifierMismatch("not a date with its time")
        terms.append(Term(both.date_tag, Op.DATE_TIME, time_tag=both.time_tag))
        values.append(_date_time_values(both))
    return tuple(terms), tuple(values)


def _matchable(tag: Tag, level: Level) -> IndexTag:
    entry = BY_TAG.get(tag)
    computed = entry is not None and entry in tags.COMPUTED_TAGS and tag not in _MATCHABLE_COMPUTED
    if entry is None or computed:
        raise IdentifierMismatch(f"cannot match ({tag >> 16:04X},{tag & 0xFFFF:04X})")
    if entry.level > level:
        raise IdentifierMismatch(f"{entry.keyword} lies below the level of the query")
    return entry


def _terms(entry: IndexTag, match: Match) -> list[tuple[Term, Values]]:
    if entry.vr == "PN":
        return _name_terms(entry.tag, match)
    match match:
        case SingleValue(value):
            return [(Term(entry.tag, Op.EQUAL), (fold_value(entry.vr, value),))]
        case UidList(several):
            return [_any_of(entry.tag, [fold_value(entry.vr, value) for value in several])]
        case Wildcard(pattern):
            return _wildcard(Term(entry.tag, Op.GLOB), pattern)
        case Range(low, high):
            bounds = (BEFORE_DIGITS if low is None else low, AFTER_DIGITS if high is None else high)
            return [(Term(entry.tag, Op.BETWEEN), bounds)]


def _any_of(tag: Tag, values: list[str]) -> tuple[Term, Values]:
    return Term(tag, Op.ANY_OF), (json_list([storable(value) for value in values]),)


def _name_terms(tag: Tag, match: Match) -> list[tuple[Term, Values]]:
    """A name without ``=`` may be met by any component group; with it, each group named must be."""
    match match:
        case SingleValue(name):
            return [(Term(tag, Op.EQUAL, which), (group,)) for which, group in _named_groups(name)]
        case Wildcard(pattern):
            by_group = [
                _wildcard(Term(tag, Op.GLOB, which), group) for which, group in _named_groups(pattern)
            ]
            return [term for terms in by_group for term in terms]
        case UidList(several):
            return [_any_of(tag, [group for name in several for group in fold_name(name) if group])]
        case Range():
            raise IdentifierMismatch("a person name has no range")


def _named_groups(name: str) -> list[tuple[int | None, str]]:
    """The component groups that a key gives, each with its number if the key tells them apart."""
    told_apart = "=" in name
    groups = enumerate(fold_name(name))
    return [(number if told_apart else None, group) for number, group in groups if group]


def _wildcard(term: Term, pattern: str) -> list[tuple[Term, Values]]:
    """DICOM's ``*`` and ``?`` are GLOB's, ``[`` is only GLOB's; ``*`` alone is universal matching."""
    if not pattern.strip("*"):
        return []
    glob = pattern.replace("[", "[[]")
    prefix = re.split(r"[*?]", pattern, maxsplit=1)[0]
    if not prefix:
        return [(term, (glob,))]
    ranged = Term(term.tag, Op.PREFIX_GLOB, term.group)
    return [(ranged, (prefix, prefix + _AFTER_ALL_TEXT, glob))]


def _date_time_values(both: DateTimeRange) -> Values:
    low = BEFORE_DIGITS if both.low is None else both.low
    high = AFTER_DIGITS if both.high is None else both.high
    return low[:8], high[:8], low, high
