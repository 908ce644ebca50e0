"""``per_hour``: of a flow, of a grant, and at the top of the file for all reading."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from leadglass.policy.conditions.per_hour import BYTES, HARVEST, OBJECTS, PATIENTS, PerHour
from leadglass.policy.reading.words import dotted
from leadglass.sitefile import quoted
from leadglass.sitefile.table import Table

MAX_OBJECTS: Final = 10_000_000
MAX_PATIENTS: Final = 1_000_000  # their numbers are held in memory, a hundred bytes each

_KEY: Final = "per_hour"
_SIZE: Final = re.compile(r"([1-9][0-9]{0,5}) ?(MB|GB|TB)")
_UNITS: Final = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


def read_harvest(root: Table) -> PerHour:
    """The budget of all reading, at the top of the file; what it leaves out is as built in."""
    return _over(HARVEST, _table(root, _KEY))


def read_flow_budgets(table: Table, harvest: PerHour) -> tuple[PerHour | None, PerHour]:
    """What a flow says of stores, and of reading; for the latter ``harvest`` holds where it says nothing.

    A number alone counts stores.
    """
    where = f"{dotted(table)}.{_KEY}"
    harvest = replace(harvest, where=where)
    value = table.notes.source.value_at((*table.path, _KEY))
    if not isinstance(value, dict):
        objects = table.whole(_KEY, 1, MAX_OBJECTS)
        return (None if objects is None else PerHour(where, objects=objects)), harvest
    stated = _table(table, where)
    return stated, _over(harvest, stated)


def read_grant_harvest(table: Table, harvest: PerHour) -> PerHour:
    """What a grant says of reading; ``harvest`` holds where it says nothing."""
    where = f"{dotted(table)}.{_KEY}"
    return _over(replace(harvest, where=where), _table(table, where))


def _over(harvest: PerHour, stated: PerHour) -> PerHour:
    return PerHour(
        harvest.where,
        harvest.objects if stated.objects is None else stated.objects,
        harvest.size_bytes if stated.size_bytes is None else stated.size_bytes,
        harvest.patients if stated.patients is None else stated.patients,
    )


def _table(table: Table, where: str) -> PerHour:
    given = table.table(_KEY)
    objects = given.whole(OBJECTS, 1, MAX_OBJECTS)
    patients = given.whole(PATIENTS, 1, MAX_PATIENTS)
    budget = PerHour(where, objects, _size_bytes(given), patients)
    given.refuse_others()
    return budget


def _size_bytes(given: Table) -> int | None:
    text = given.text(BYTES)
    if text is None:
        return None
    found = _SIZE.fullmatch(text)
    if found is None:
        hint = 'write it like "20 GB", in MB, GB or TB'
        given.notes.error(given.place_of(BYTES), f"{quoted(text)} is no amount of bytes", hint)
        return None
    return int(found[1]) * _UNITS[found[2]]
