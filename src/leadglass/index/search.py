"""C-FIND's side of the index: queries to answers."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Engine

from leadglass.dataset import tags
from leadglass.index.attributes import decode_attributes, json_name
from leadglass.index.failures import database_failures
from leadglass.index.plan import Plan, Shape, compile_plan
from leadglass.index.terms import query_terms
from leadglass.index.verbs import MAY_SEARCH, require
from leadglass.model.errors import OutOfResources
from leadglass.model.permit import Permit
from leadglass.model.query import Level, Query, Tag

PLANS_KEPT: Final = 256
ROWS_AT_ONCE: Final = 256

_COMPUTED: Final = frozenset(entry.tag for entry in tags.COMPUTED_TAGS)
_SETS: Final = frozenset({tags.MODALITIES_IN_STUDY, tags.SOP_CLASSES_IN_STUDY})
_Row = tuple[Any, ...]
_Decoded = dict[Level, tuple[str, dict[str, str | list[str]]]]


class Found(NamedTuple):
    """One match: the index's number of the patient, which says nothing of them, and what is told. PHI."""

    patient: int
    attributes: dict[Tag, str]


class Searcher:
    """Runs queries, each on a connection of its own; safe to use from several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._plan = lru_cache(maxsize=PLANS_KEPT)(self._compile)

    def search(self, permit: Permit, query: Query, limit: int) -> Generator[Found]:
        """Each match, as the tags of ``query.returns`` that the index knows at the query's level or above.

        A value that is unknown is empty; several values are joined by backslash. Counts and sets
        cover only what the permit reaches, and what it does not show is empty. In no order; ``close``
        cancels. The connection is given back as soon as the last row is read, before the first is yielded
        when there are few: a slow peer holds none.

        Raises:
            NotPermitted: the permit is not for a search. (At once, like the next.)
            IdentifierMismatch: a key cannot be matched.
            OutOfResources: more than ``limit`` matches, after yielding that many; or the database's.
        """
        require(permit, MAY_SEARCH)
        terms, values = query_terms(query)
        wanted = frozenset(tag for tag in query.returns if tag in _COMPUTED)
        plan = self._plan(Shape(query.level, terms, wanted, permit.scope))
        return self._answers(plan, plan.parameters(values, limit + 1), query, limit)

    @property
    def plans_compiled(self) -> int:
        """How many statements were compiled so far, for whoever wonders about speed."""
        return self._plan.cache_info().misses

    def _compile(self, shape: Shape) -> Plan:
        return compile_plan(shape, self._engine.dialect)

    def _answers(
        self, plan: Plan, parameters: tuple[str | int, ...], query: Query, limit: int
    ) -> Generator[Found]:
        returns = tuple(tag for tag in query.returns if _known_at(tag, query.level))
        decoded: _Decoded = {}
        with closing(self._rows(plan.sql, parameters)) as rows:
            for number, row in enumerate(rows):
                if number == limit:
                    raise OutOfResources(f"more than {limit} matches")
                yield Found(row[plan.patient], _answer(plan, row, returns, decoded))

    def _rows(self, sql: str, parameters: tuple[str | int, ...]) -> Generator[_Row]:
        """Straight from the driver: one SELECT is a snapshot, and needs no transaction around it."""
        with (
            database_failures(),
            closing(self._engine.raw_connection()) as connection,
            closing(connection.cursor()) as cursor,
        ):
            cursor.execute(sql, parameters)
            rows = cursor.fetchmany(ROWS_AT_ONCE)
            while len(rows) == ROWS_AT_ONCE:
                yield from rows
                rows = cursor.fetchmany(ROWS_AT_ONCE)
        yield from rows


def _known_at(tag: Tag, level: Level) -> bool:
    entry = tags.BY_TAG.get(tag)
    return entry is not None and entry.level <= level


def _answer(plan: Plan, row: Sequence[Any], returns: tuple[Tag, ...], decoded: _Decoded) -> dict[Tag, str]:
    answer: dict[Tag, str] = {}
    hidden = _hidden(plan, row, returns)
    for tag in returns:
        if tag in hidden:
            answer[tag] = ""
            continue
        position = plan.columns.get(tag)
        if position is None:
            level = tags.BY_TAG[tag].level
            value = _attributes(row[plan.texts[level]], level, decoded).get(json_name(tag), "")
            answer[tag] = value if isinstance(value, str) else "\\".join(value)
        elif tag in _SETS:
            answer[tag] = _joined_set(row[position])
        else:
            answer[tag] = str(row[position])
    return answer


def _hidden(plan: Plan, row: Sequence[Any], returns: tuple[Tag, ...]) -> Collection[Tag]:
    """What the permit does not show of this row."""
    shown: frozenset[Tag] = frozenset()
    for tags_shown, position in plan.shown:
        if position is None or row[position]:
            if tags_shown is None:
                return ()
            shown |= tags_shown
    return frozenset(returns) - shown


def _attributes(text: str, level: Level, decoded: _Decoded) -> dict[str, str | list[str]]:
    """The row's attributes of a level; rows of one study repeat its text, which is read once."""
    last = decoded.get(level)
    if last is not None and last[0] == text:
        return last[1]
    attributes = decode_attributes(text)
    decoded[level] = (text, attributes)
    return attributes


def _joined_set(text: str) -> str:
    """A JSON list of words, or of lists of words, as one sorted multiple value."""
    words: set[str] = set()
    for each in msgspec.json.decode(text, type=list[str | list[str]]):
        words.update([each] if isinstance(each, str) else each)
    return "\\".join(sorted(word for word in words if word))
