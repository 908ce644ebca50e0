"""``no path from zone:remote to verb:store``: small properties, decided over the whole decision space."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from leadglass.model.action import ARCHIVE, MACHINE_VERBS, PERSON_VERBS, Verb
from leadglass.model.decision import Decision
from leadglass.policy.model import ANY, GROUP_PREFIX, INTERNET, ZONE_PREFIX
from leadglass.policy.policy import Policy
from leadglass.policy.question import QuestionInvalid
from leadglass.policy.reach import allowing
from leadglass.policy.space import Cell, Space
from leadglass.sitefile import quoted, suggest

STUDIES = "studies"
VERB_PREFIX, TARGET_PREFIX, DEVICE_PREFIX = "verb:", "target:", "device:"
CLAIM_PREFIXES = ("role:", "oidc:")

_FORM = re.compile(r"no path from (\S+) to (\S+)(?: (\S+))?")
_VERBS = tuple(sorted(MACHINE_VERBS | PERSON_VERBS))


class Origin(StrEnum):
    """What ``from`` names."""

    SUBJECTS = "subjects"
    ZONE = "zone"


@dataclass(frozen=True, slots=True)
class Invariant:
    """Nobody of ``names`` (or of a zone) may do any of ``verbs`` to any of ``targets``; ``None`` is any."""

    text: str
    origin: Origin
    names: frozenset[str] | None
    verbs: frozenset[Verb] | None = None
    targets: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it holds: in how many cells that was looked at, and the first in which it does not."""

    examined: int
    counterexample: Cell | None

    @property
    def holds(self) -> bool:
        """Whether no cell speaks against it."""
        return self.counterexample is None


def parse_invariant(text: str, policy: Policy) -> Invariant:
    """Read ``no path from X to Y [Z]`` with the names of a policy.

    X is ``any``, ``internet``, ``archive``, ``zone:NAME``, ``group:NAME``, ``learning:NAME``, a claim
    (``role:NAME``), or the name of a device or group; Y and Z are a verb and a target, in any order.

    Raises:
        QuestionInvalid: not understood, or a name that the policy does not define.
    """
    found = _FORM.fullmatch(" ".join(text.split()))
    if found is None:
        raise QuestionInvalid(
            f"{quoted(text)} is no invariant; write: no path from zone:remote to verb:store"
        )
    origin, names = _origin(found[1], policy)
    verbs: frozenset[Verb] | None = None
    targets: frozenset[str] | None = None
    for word in filter(None, found.groups()[1:]):
        verb = _verb(word)
        if verb is not None and verbs is None:
            verbs = frozenset({verb})
        elif verb is None and targets is None:
            targets = _targets(word, policy)
        else:
            raise QuestionInvalid(f"{quoted(word)} is the second of its kind; name one verb and one target")
    return Invariant(text, origin, names, verbs, targets)


def prove(policy: Policy, invariant: Invariant, now: datetime) -> Verdict:
    """Look at every cell that an invariant is about, as of ``now`` (aware) and later."""
    space = Space((policy,), now)
    examined = 0
    for subject in space.subjects():
        if invariant.origin is Origin.SUBJECTS and not _is_named(invariant, subject):
            continue
        for cell in space.cells(subject):
            if not _is_about(invariant, cell):
                continue
            examined += 1
            decision = allowing(policy, cell, now)
            if decision is not None and _is_from(invariant, decision):
                return Verdict(examined, cell)
    return Verdict(examined, None)


def _is_named(invariant: Invariant, subject: str) -> bool:
    return invariant.names is None or subject in invariant.names


def _is_about(invariant: Invariant, cell: Cell) -> bool:
    if invariant.verbs is not None and cell.verb not in invariant.verbs:
        return False
    return invariant.targets is None or cell.target in invariant.targets


def _is_from(invariant: Invariant, decision: Decision) -> bool:
    """Whether the caller was in the zone: by address and transport, as everywhere."""
    return invariant.origin is Origin.SUBJECTS or decision.zone in (invariant.names or ())


def _origin(word: str, policy: Policy) -> tuple[Origin, frozenset[str] | None]:
    if word == ANY:
        return Origin.SUBJECTS, None
    if word.startswith(ZONE_PREFIX):
        return Origin.ZONE, frozenset({_known(word.removeprefix(ZONE_PREFIX), policy.zones, "zone")})
    if word.startswith(CLAIM_PREFIXES):
        groups = frozenset(name for name, claims in policy.groups.items() if word in claims)
        if not groups:
            raise QuestionInvalid(f"no group holds {quoted(word)}")
        return Origin.SUBJECTS, groups
    name = word.removeprefix(GROUP_PREFIX).removeprefix(DEVICE_PREFIX)
    if name in policy.device_groups:
        return Origin.SUBJECTS, policy.device_groups[name]
    watched = (each.subject for each in policy.learning.values())
    known = (ARCHIVE, INTERNET, *policy.devices, *policy.groups, *policy.device_groups, *watched)
    return Origin.SUBJECTS, frozenset({_known(name, known, "caller")})


def _verb(word: str) -> Verb | None:
    if not word.startswith(VERB_PREFIX):
        return Verb(word) if word in _VERBS else None
    return Verb(_known(word.removeprefix(VERB_PREFIX), _VERBS, "verb"))


def _targets(word: str, policy: Policy) -> frozenset[str]:
    name = word.removeprefix(TARGET_PREFIX)
    if name == STUDIES:
        return frozenset({ARCHIVE, ANY})
    targets = (ARCHIVE, *policy.devices)
    if name not in targets:
        known = suggest(name, (*_VERBS, STUDIES, *targets))
        raise QuestionInvalid(f"unknown verb or target {quoted(name)}; {known}")
    return frozenset({name})


def _known(name: str, known: Collection[str], kind: str) -> str:
    if name not in known:
        raise QuestionInvalid(f"unknown {kind} {quoted(name)}; {suggest(name, known)}")
    return name
