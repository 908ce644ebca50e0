"""What the audit trail tells of devices, summed up: facts with their history, and volumes by day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or

from leadglass.index.engine import reading
from leadglass.index.entries import from_microseconds, microseconds
from leadglass.index.failures import database_failures
from leadglass.index.schema import asset_day, asset_fact, progress
from leadglass.index.verbs import MAY_COUNT, require
from leadglass.model.permit import Permit

KEPT_VALUES: Final = 20
"""Of each fact of a device, those seen last."""
KEPT_DAYS: Final = 400
_NAME: Final = "assets"
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Seen:
    """A value of a fact, and when it was seen first and last."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Volume:
    """How often on one day, and how many bytes of data sets."""

    count: int = 0
    size_bytes: int = 0


@dataclass(slots=True)
class Sums:
    """What some lines of the trail add to the register.

    ``facts`` by device, fact and value; ``volumes`` by device, day and verb. ``seq`` is the last line's.
    """

    seq: int
    facts: dict[tuple[str, str, str], Seen] = field(default_factory=dict)
    volumes: dict[tuple[str, date, str], Volume] = field(default_factory=dict)


class Bookmark(msgspec.Struct, frozen=True):
    """The last line of the trail that was summed up."""

    seq: int = 0


class Assets:
    """The register's side of one index database.

    Every method takes a permit to see the site's state or to operate it.

    Raises:
        NotPermitted: the permit is for something else.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def bookmark(self, permit: Permit) -> Bookmark:
        """How far the trail was summed up."""
        require(permit, MAY_COUNT)
        with database_failures(), reading(self._engine).connect() as connection:
            return _bookmark(connection)

    def add(self, permit: Permit, since: Bookmark, sums: Sums, now: datetime) -> bool:
        """Add sums of the lines after ``since``; ``False``: somebody else did so meanwhile, nothing is added.

        In one transaction with the bookmark, so that no line counts twice or not at all.
        """
        require(permit, MAY_COUNT)
        with database_failures(), self._engine.begin() as connection:
            if _bookmark(connection) != since:
                return False
            _add_facts(connection, sums.facts)
            _add_volumes(connection, sums.volumes)
            oldest = (now.date() - _EPOCH).days - KEPT_DAYS
            connection.execute(delete(asset_day).where(asset_day.c.day < oldest))
            _keep(connection, Bookmark(sums.seq), now)
        return True

    def facts(self, permit: Permit) -> dict[str, dict[str, dict[str, Seen]]]:
        """By device, fact and value; values in the order in which they were last seen."""
        require(permit, MAY_COUNT)
        wanted = select(asset_fact).order_by(asset_fact.c.last_us, asset_fact.c.value)
        found: dict[str, dict[str, dict[str, Seen]]] = {}
        with database_failures(), reading(self._engine).connect() as connection:
            for row in connection.execute(wanted):
                values = found.setdefault(row.device, {}).setdefault(row.fact, {})
                values[row.value] = Seen(from_microseconds(row.first_us), from_microseconds(row.last_us))
        return found

    def volumes(self, permit: Permit, since: date) -> dict[str, dict[date, dict[str, Volume]]]:
        """By device, day and verb, from that day on; days in order."""
        require(permit, MAY_COUNT)
        first = (since - _EPOCH).days
        columns = asset_day.c
        wanted = (
            select(columns.device, columns.day, columns.verb, columns.size_bytes)
            .add_columns(columns["count"].label("times"))
            .where(columns.day >= first)
            .order_by(columns.day)
        )
        found: dict[str, dict[date, dict[str, Volume]]] = {}
        with database_failures(), reading(self._engine).connect() as connection:
            for row in connection.execute(wanted):
                day = _EPOCH + timedelta(days=row.day)
                verbs = found.setdefault(row.device, {}).setdefault(day, {})
                verbs[row.verb] = Volume(row.times, row.size_bytes)
        return found


def _bookmark(connection: Connection) -> Bookmark:
    body = connection.execute(select(progress.c.body).where(progress.c.name == _NAME)).scalar_one_or_none()
    return Bookmark() if body is None else msgspec.json.decode(body, type=Bookmark)


def _keep(connection: Connection, bookmark: Bookmark, now: datetime) -> None:
    row = {"body": msgspec.json.encode(bookmark).decode(), "updated_at_us": microseconds(now)}
    if not connection.execute(update(progress).where(progress.c.name == _NAME).values(row)).rowcount:
        connection.execute(insert(progress), {"name": _NAME, **row})


def _add_facts(connection: Connection, facts: Mapping[tuple[str, str, str], Seen]) -> None:
    rows: list[dict[str, Any]] = [
        {
            "device": device,
            "fact": fact,
            "value": value,
            "first_us": microseconds(seen.first),
            "last_us": microseconds(seen.last),
        }
        for (device, fact, value), seen in facts.items()
    ]
    if not rows:
        return
    added = insert_or(asset_fact)
    later = {"last_us": func.max(asset_fact.c.last_us, added.excluded.last_us)}
    keys = ["device", "fact", "value"]
    connection.execute(added.on_conflict_do_update(index_elements=keys, set_=later), rows)
    for device, fact in {(device, fact) for device, fact, _ in facts}:
        same = (asset_fact.c.device == device) & (asset_fact.c.fact == fact)
        newest = select(asset_fact.c.value).where(same).order_by(asset_fact.c.last_us.desc())
        kept = connection.execute(newest.limit(KEPT_VALUES)).scalars().all()
        connection.execute(delete(asset_fact).where(same, asset_fact.c.value.not_in(kept)))


def _add_volumes(connection: Connection, volumes: Mapping[tuple[str, date, str], Volume]) -> None:
    rows: list[dict[str, Any]] = [
        {
            "device": device,
            "day": (day - _EPOCH).days,
            "verb": verb,
            "count": volume.count,
            "size_bytes": volume.size_bytes,
        }
        for (device, day, verb), volume in volumes.items()
    ]
    if not rows:
        return
    added = insert_or(asset_day)
    more = {
        "count": asset_day.c.count + added.excluded["count"],
        "size_bytes": asset_day.c.size_bytes + added.excluded.size_bytes,
    }
    keys = ["device", "day", "verb"]
    connection.execute(added.on_conflict_do_update(index_elements=keys, set_=more), rows)
