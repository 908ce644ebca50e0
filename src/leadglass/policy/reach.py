"""What a policy lets whom do, over the whole decision space; and what a change of it opens and closes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, product

from leadglass.model.action import Verb
from leadglass.model.decision import Decision
from leadglass.policy.climb import SEARCHES
from leadglass.policy.explain import explain, facts_of
from leadglass.policy.kinds_of_object import STANDS_FOR_OTHERS
from leadglass.policy.policy import Policy
from leadglass.policy.question import FLAGS, QuestionInvalid, parse_question
from leadglass.policy.scope import reaches
from leadglass.policy.space import Cell, Circumstances, Space

_BEST = {"at": "now", "label": "none", "study": "any other", "sender": "any other", "age": "unknown"}
"""What the best case of a key is called."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Something that somebody may do, or could not do before: in how many cells, and in which.

    ``circumstances`` say in words in which, where it is not in all; several lines may tell one verb.
    """

    subject: str
    verb: Verb
    target: str
    circumstances: str
    cells: int

    def __str__(self) -> str:
        return " ".join(word for word in (self.subject, self.verb, self.target, self.circumstances) if word)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a change opens and closes; ``examined`` cells were compared."""

    opened: tuple[Reach, ...]
    closed: tuple[Reach, ...]
    examined: int


def compare(old: Policy, new: Policy, now: datetime) -> Difference:
    """What of the whole space one policy allows as of ``now`` (aware) or later and the other does not."""
    space = Space((old, new), now)
    opened: list[Reach] = []
    closed: list[Reach] = []
    examined = 0
    for subject in space.subjects():
        for cells in _by_verb(space.cells(subject)):
            before = {cell for cell in cells if allows(old, cell, now)}
            after = {cell for cell in cells if allows(new, cell, now)}
            opened += fold(cells, [cell for cell in cells if cell in after - before])
            closed += fold(cells, [cell for cell in cells if cell in before - after])
            examined += len(cells)
    return Difference(tuple(opened), tuple(closed), examined)


def reach(
    policy: Policy, now: datetime, wanted: Callable[[Cell], bool] = lambda _cell: True
) -> Iterator[Reach]:
    """Everything that a policy allows those who come as they should; ``wanted`` picks among the cells."""
    space = Space((policy,), now, every_way=False)
    for subject in space.subjects():
        for cells in _by_verb(cell for cell in space.cells(subject) if wanted(cell)):
            yield from fold(cells, [cell for cell in cells if allows(policy, cell, now)])


def allows(policy: Policy, cell: Cell, now: datetime) -> bool:
    """Whether a policy allows one cell; of a search, whether it reaches such an object."""
    return allowing(policy, cell, now) is not None


def allowing(policy: Policy, cell: Cell, now: datetime) -> Decision | None:
    """The decision that allows one cell; ``None`` where none does."""
    question = parse_question(str(cell))
    try:
        decision = explain(policy, question, now)
    except QuestionInvalid:  # the policy does not know the caller, the zone or the target
        return None
    if not decision.allowed:
        return None
    if cell.verb in SEARCHES and not reaches(decision.scope, facts_of(policy, question, now)):
        return None
    return decision


def fold(space: Sequence[Cell], picked: Sequence[Cell]) -> Iterator[Reach]:
    """Some of the cells of one subject, verb and target, in as few words as tell exactly them."""
    if not picked:
        return
    first = picked[0]
    for circumstances, count in _folded(
        [cell.circumstances for cell in space], [cell.circumstances for cell in picked]
    ):
        yield Reach(first.subject, first.verb, first.target, circumstances, count)


def _folded(space: Sequence[Circumstances], picked: Sequence[Circumstances]) -> list[tuple[str, int]]:
    """A block of values for each key where they are one; else each value of the first key apart."""
    keys = [key for key, _ in picked[0]]
    every = [list(dict.fromkeys(values)) for values in zip(*space, strict=True)]
    found = [list(dict.fromkeys(values)) for values in zip(*picked, strict=True)]
    if set(product(*found)) & set(space) == set(picked):
        words = [
            _words(key, [value for _, value in some], [value for _, value in all_])
            for key, some, all_ in zip(keys, found, every, strict=True)
            if len(some) < len(all_)
        ]
        return [(", ".join(words), len(picked))]
    apart = next(number for number, values in enumerate(found) if len(values) > 1)
    parts: list[tuple[str, int]] = []
    for value in found[apart]:
        inner_space = [each for each in space if each[apart] == value]
        inner = _folded(inner_space, [each for each in picked if each[apart] == value])
        told = _words(value[0], [value[1]], [each for _, each in every[apart]])
        parts += [(", ".join(word for word in (told, words) if word), count) for words, count in inner]
    return parts


def _words(key: str, values: Sequence[str], every: Sequence[str]) -> str:
    """``modality=CT or SR``; times in a row as ``before`` or ``from``."""
    if key in FLAGS:
        return key if values[0] else f"without {key}"
    if key == "at" and len(values) < len(every):
        if values == every[: len(values)]:
            return f"before {every[len(values)]}"
        if values == every[-len(values) :]:
            return f"from {values[0]} on"
    others = every[-1] if key in STANDS_FOR_OTHERS else None
    told = ("any other" if value == others else value or _BEST[key] for value in values)
    return f"{key}={' or '.join(told)}"


def _by_verb(cells: Iterator[Cell]) -> Iterator[list[Cell]]:
    for _, group in groupby(cells, key=lambda cell: (cell.subject, cell.verb, cell.target)):
        yield list(group)
