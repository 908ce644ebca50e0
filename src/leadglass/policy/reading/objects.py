"""Which objects a rule is about, and what of them it shows: ``only``, ``on``, ages, ``show``."""

from __future__ import annotations

import re
from enum import StrEnum
from types import MappingProxyType
from typing import assert_never
from zoneinfo import ZoneInfo

from leadglass.model.action import Verb
from leadglass.model.errors import PeerError
from leadglass.model.names import Uid, parse_uid
from leadglass.model.storage_classes import BY_KEYWORD
from leadglass.policy.attributes import ALWAYS_SHOWN, ATTRIBUTES
from leadglass.policy.conditions.assigned import Assigned
from leadglass.policy.conditions.deid import BASIC, Deid
from leadglass.policy.conditions.label import Label
from leadglass.policy.conditions.modality import Modality
from leadglass.policy.conditions.newer_than import NewerThan
from leadglass.policy.conditions.older_than import OlderThan
from leadglass.policy.conditions.own import Own
from leadglass.policy.conditions.show import Show
from leadglass.policy.conditions.sop_class import SopClass
from leadglass.policy.conditions.study import Study
from leadglass.policy.model import ANY, Age, Direction, OfObjects
from leadglass.policy.reading.words import dotted, is_label, is_modality
from leadglass.sitefile import quoted, suggest
from leadglass.sitefile.table import Table


class Kind(StrEnum):
    """What a word of ``only`` and ``on`` begins with, and so is about."""

    ASSIGNED = "assigned"
    LABEL = "label:"
    MODALITY = "modality:"
    OWN = "own"
    SOP_CLASS = "sop_class:"
    STUDY = "study:"


_WORDS = frozenset({Kind.ASSIGNED, Kind.OWN})
"""Those that are the whole word."""
_OF_FLOWS = (Kind.LABEL, Kind.MODALITY, Kind.SOP_CLASS, Kind.OWN)
_OF_GRANTS = (Kind.MODALITY, Kind.SOP_CLASS)
_EXAMPLES = MappingProxyType(
    {
        Kind.ASSIGNED: '"assigned"',
        Kind.LABEL: '"label:night"',
        Kind.MODALITY: '"modality:CT"',
        Kind.OWN: '"own"',
        Kind.SOP_CLASS: '"sop_class:CTImageStorage"',
        Kind.STUDY: '"study:1.2.840..."',
    }
)
MAX_AGE_DAYS = 36_500

_LET_OUT = frozenset({Verb.FIND, Verb.GET, Verb.MOVE})
_GIVEN_WHOLE = frozenset({Verb.GET, Verb.MOVE, Verb.VIEW})
_AGE = re.compile(r"([1-9][0-9]{0,3})([dwy])")
_DAYS = {"d": 1, "w": 7, "y": 365}
_UID = re.compile(r"[0-9.]+")


def read_flow_objects(table: Table, time_zone: ZoneInfo) -> tuple[OfObjects, ...]:
    """``only``, ``newer_than`` and ``older_than`` of a flow."""
    return _kinds(table, "only", _OF_FLOWS) + _ages(table, time_zone)


def read_grant_objects(table: Table, time_zone: ZoneInfo) -> tuple[OfObjects, ...]:
    """``on``, ``only`` and the ages of a grant."""
    table.require("on", 'write on = "any", "assigned", "label:NAME" or "study:UID"')
    words = table.words("on")
    on: tuple[OfObjects, ...] = ()
    if words is not None and words != (ANY,):
        on = _kinds(table, "on", (Kind.ASSIGNED, Kind.LABEL, Kind.STUDY) if ANY not in words else ())
        if len(on) > 1:
            hint = "make several grants of it: what one of them reaches is reached"
            table.notes.error(table.place_of("on"), '"on" says things of different kinds', hint)
    return on + _kinds(table, "only", _OF_GRANTS) + _ages(table, time_zone)


def read_show(table: Table, can: frozenset[Verb]) -> Show | None:
    """``show``: attributes by DICOM keyword. It hides nothing of objects that the rule gives whole."""
    words = table.words("show")
    if words is None:
        return None
    whole = sorted(can & _GIVEN_WHOLE)
    if whole:
        message = f'"show" bounds what queries answer; what {" and ".join(whole)} brings is whole'
        table.notes.warn(table.place_of("show"), message, f"take {whole[0]} out if that is not meant")
    shown = frozenset(
        word for number, word in enumerate(words) if table.one_of("show", word, ATTRIBUTES, number)
    )
    return Show(f"{dotted(table)}.show", shown - ALWAYS_SHOWN)


def read_deid(table: Table, can: frozenset[Verb], direction: Direction) -> Deid | None:
    """``deid`` of a flow: it is about what goes out, and stands beside nothing else but an echo."""
    word = table.text("deid")
    if word is None:
        return None
    place = table.place_of("deid")
    if word != BASIC:
        table.notes.error(place, f"{quoted(word)} is no way to de-identify", suggest(word, (BASIC,)))
    outgoing = direction is Direction.FROM_ARCHIVE
    lets_out = frozenset({Verb.STORE}) if outgoing else _LET_OUT
    others = sorted(can - lets_out - {Verb.ECHO})
    if others and not outgoing:
        hint = f"give {' and '.join(others)} in a flow of its own, without deid"
        table.notes.error(place, f'"deid" is about what goes out, and {others[0]} lets nothing out', hint)
    elif not can & lets_out:
        hint = f"add {' or '.join(sorted(lets_out))}, or remove deid"
        table.notes.error(place, '"deid" is about what goes out, and this flow lets nothing out', hint)
    return Deid(f"{dotted(table)}.deid")


def _kinds(table: Table, key: str, kinds: tuple[Kind, ...]) -> tuple[OfObjects, ...]:
    """Words by their kind: of one kind any will do, and each kind must be met."""
    words = table.words(key)
    if words == ():
        hint = f"name what is meant, or leave {key} out" if key == "only" else 'write "any" for everything'
        table.notes.error(table.place_of(key), f"{quoted(key)} is empty", hint)
    found: dict[Kind, set[str]] = {}
    for number, word in enumerate(words or ()):
        kind = _kind(word, kinds)
        if kind is None:
            examples = [*(['"any" alone'] if key == "on" else []), *(_EXAMPLES[each] for each in kinds)]
            hint = f"write {' or '.join(examples)}"
            table.notes.error(table.place_of(key, number), f"{quoted(word)} is not understood", hint)
            continue
        value = _value(table, key, number, kind, word.removeprefix(kind))
        if value is not None:
            found.setdefault(kind, set()).add(value)
    where = f"{dotted(table)}.{key}"
    return tuple(_condition(kind, where, frozenset(values)) for kind, values in sorted(found.items()))


def _kind(word: str, kinds: tuple[Kind, ...]) -> Kind | None:
    kind = next((kind for kind in kinds if word.startswith(kind)), None)
    return None if kind in _WORDS and word != kind else kind


def _condition(kind: Kind, where: str, values: frozenset[str]) -> OfObjects:
    match kind:
        case Kind.ASSIGNED:
            return Assigned(where)
        case Kind.LABEL:
            return Label(where, values)
        case Kind.MODALITY:
            return Modality(where, values)
        case Kind.SOP_CLASS:
            return SopClass(where, frozenset(map(Uid, values)))
        case Kind.STUDY:
            return Study(where, frozenset(map(Uid, values)))
        case Kind.OWN:
            return Own(where)
        case _:
            assert_never(kind)


def _value(table: Table, key: str, number: int, kind: Kind, word: str) -> str | None:
    """What stands behind the colon, as it will be compared; noted when it is wrong."""
    match kind:
        case Kind.LABEL:
            return word if is_label(table, key, number, word) else None
        case Kind.MODALITY:
            return word if is_modality(table, key, number, word) else None
        case Kind.SOP_CLASS:
            return _sop_class(table, key, number, word)
        case Kind.STUDY:
            return _uid(table, key, number, word)
        case Kind.ASSIGNED | Kind.OWN:
            return word
        case _:
            assert_never(kind)


def _sop_class(table: Table, key: str, number: int, word: str) -> str | None:
    if word in BY_KEYWORD:
        return BY_KEYWORD[word]
    if _UID.fullmatch(word):
        return _uid(table, key, number, word)
    if "*" not in word:  # a wildcard is refused as what it is, once
        spot = table.place_of(key, number)
        table.notes.error(spot, f"unknown SOP class {quoted(word)}", suggest(word, BY_KEYWORD))
    return None


def _uid(table: Table, key: str, number: int, word: str) -> str | None:
    try:
        return parse_uid(word)
    except PeerError:
        if "*" not in word:
            table.notes.error(table.place_of(key, number), f"{quoted(word)} is no UID", "copy it whole")
        return None


def _ages(table: Table, time_zone: ZoneInfo) -> tuple[Age, ...]:
    newer, older = _days(table, "newer_than"), _days(table, "older_than")
    where = dotted(table)
    ages: tuple[Age, ...] = ()
    if newer is not None:
        ages += (NewerThan(f"{where}.newer_than", newer, time_zone),)
    if older is not None:
        ages += (OlderThan(f"{where}.older_than", older, time_zone),)
    if newer is not None and older is not None and older >= newer:
        hint = "older_than must be the smaller of the two"
        table.notes.error(table.place_of("older_than"), "no study is both", hint)
    return ages


def _days(table: Table, key: str) -> int | None:
    text = table.text(key)
    if text is None:
        return None
    found = _AGE.fullmatch(text)
    days = int(found[1]) * _DAYS[found[2]] if found else 0
    if 0 < days <= MAX_AGE_DAYS:
        return days
    hint = 'write "90d", "12w" or "2y", up to 100 years'
    table.notes.error(table.place_of(key), f"{quoted(text)} is no age", hint)
    return None
