"""``[groups]``, ``[flows]``, ``[grants]`` and ``[tests]``."""

from __future__ import annotations

import re
from collections.abc import Collection

from leadglass.model.action import ARCHIVE, MACHINE_VERBS, PERSON_VERBS
from leadglass.policy.conditions.label import Label
from leadglass.policy.conditions.modality import Modality
from leadglass.policy.conditions.need import NeedMfa
from leadglass.policy.conditions.per_hour import PerHour
from leadglass.policy.model import (
    ANY,
    ZONE_PREFIX,
    Direction,
    Expectation,
    Flow,
    Grant,
    PolicyTest,
)
from leadglass.policy.reading.words import (
    dotted,
    is_label,
    is_modality,
    read_references,
    read_term,
    read_verbs,
    refuse_reserved,
)
from leadglass.sitefile import quoted
from leadglass.sitefile.table import Table

MAX_PER_HOUR = 10_000_000

_CLAIM = re.compile(r"(role|oidc):[!-)+-~]{1,128}")  # printable, without space and without *
_LABEL, _MODALITY = "label:", "modality:"


def read_group(name: str, table: Table) -> frozenset[str]:
    """``name = ["role:radiologist", "oidc:radiologists"]``; ``table`` is ``[groups]``."""
    refuse_reserved(name, table.notes, table.key_place(name))
    claims = []
    for number, word in enumerate(table.words(name) or ()):
        if _CLAIM.fullmatch(word):
            claims.append(word)
        elif "*" not in word:
            hint = 'write "role:NAME" for a local role, "oidc:NAME" for a claim'
            table.notes.error(table.place_of(name, number), f"{quoted(word)} is not a claim", hint)
    return frozenset(claims)


def read_flow(name: str, table: Table, zones: Collection[str], devices: Collection[str]) -> Flow:
    """One flow; what is wrong in it is noted and left out."""
    table.require("from", 'name devices, "zone:NAME" or "archive"; an empty list is nobody')
    table.require("to", 'name "archive", or devices and "zone:NAME"')
    known = (ARCHIVE, *devices, *(ZONE_PREFIX + zone for zone in zones))
    sources = read_references(table, "from", known)
    targets = read_references(table, "to", known)
    direction, parties = _direction(table, sources, targets)
    flow = Flow(
        name=name,
        direction=direction,
        parties=parties,
        can=read_verbs(table, MACHINE_VERBS),
        only=_only(table),
        term=read_term(table),
        budget=_budget(table),
        note=table.text("note") or "",
    )
    table.refuse_others()
    return flow


def _direction(
    table: Table, sources: tuple[str, ...], targets: tuple[str, ...]
) -> tuple[Direction, tuple[str, ...]]:
    if ARCHIVE not in sources and targets == (ARCHIVE,):
        return Direction.TO_ARCHIVE, sources
    if sources == (ARCHIVE,) and ARCHIVE not in targets:
        return Direction.FROM_ARCHIVE, targets
    if sources and targets:
        table.notes.error(
            table.place,
            "a flow joins the archive to others, one way",
            'write to = "archive", or from = ["archive"]; for both ways write two flows',
        )
    return Direction.TO_ARCHIVE, ()


def _only(table: Table) -> tuple[Label | Modality, ...]:
    words = table.words("only")
    if words == ():
        table.notes.error(
            table.place_of("only"), '"only" is empty', "name a label or modality, or leave it out"
        )
    labels, modalities = set(), set()
    for number, word in enumerate(words or ()):
        if word.startswith(_LABEL) and is_label(table, "only", number, word.removeprefix(_LABEL)):
            labels.add(word.removeprefix(_LABEL))
        elif word.startswith(_MODALITY) and is_modality(table, "only", number, word.removeprefix(_MODALITY)):
            modalities.add(word.removeprefix(_MODALITY))
        elif not word.startswith((_LABEL, _MODALITY)):
            hint = 'write "label:night" or "modality:CT"'
            table.notes.error(table.place_of("only", number), f"{quoted(word)} is not understood", hint)
    where = f"{dotted(table)}.only"
    read: tuple[Label | Modality, ...] = ()
    if labels:
        read += (Label(where, frozenset(labels)),)
    if modalities:
        read += (Modality(where, frozenset(modalities)),)
    return read


def _budget(table: Table) -> PerHour | None:
    per_hour = table.whole("per_hour", 1, MAX_PER_HOUR)
    return None if per_hour is None else PerHour(f"{dotted(table)}.per_hour", per_hour)


def read_grant(name: str, table: Table, zones: Collection[str], groups: Collection[str]) -> Grant:
    """One grant; what is wrong in it is noted and left out."""
    table.require("who", "name groups; an empty list is nobody")
    table.require("from", "name zones; an empty list is nowhere")
    table.require("on", 'write on = "any"')
    on = table.text("on")
    if on is not None:
        table.one_of("on", on, (ANY,))
    need = tuple(
        NeedMfa()
        for number, word in enumerate(table.words("need") or ())
        if table.one_of("need", word, ("mfa",), number)
    )
    grant = Grant(
        name=name,
        groups=frozenset(read_references(table, "who", groups)),
        zones=frozenset(read_references(table, "from", zones)),
        can=read_verbs(table, PERSON_VERBS),
        need=need,
        term=read_term(table),
        note=table.text("note") or "",
    )
    table.refuse_others()
    return grant


def read_tests(table: Table) -> tuple[PolicyTest, ...]:
    """``allow`` and ``deny``: questions with their expected answers."""
    read = tuple(
        PolicyTest(text, expectation, table.place_of(expectation.value, number))
        for expectation in Expectation
        for number, text in enumerate(table.words(expectation.value) or ())
    )
    table.refuse_others()
    return read
