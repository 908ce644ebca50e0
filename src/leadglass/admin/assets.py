"""Devices with all that is known of them: the policy, the register made of the trail, what should worry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import Engine

from leadglass.admin.asset_register import Progress, bring_up_to_date
from leadglass.admin.asset_worries import LOOKED_AT, Known, Worry, by_worry, worries
from leadglass.admin.desk import Desk, require
from leadglass.admin.devices import DeviceRow, list_devices
from leadglass.audit.use import begun
from leadglass.index.assets import Assets, Seen, Volume
from leadglass.index.engine import reading
from leadglass.model.action import Verb
from leadglass.model.permit import Permit
from leadglass.policy.model import Inventory
from leadglass.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class Asset:
    """One device.

    ``facts`` by name and value, the value seen last at the end; ``volumes`` of 90 days by verb; ``since`` is
    when the trail begins: what came before is not known.
    """

    row: DeviceRow
    inventory: Inventory
    facts: dict[str, dict[str, Seen]]
    volumes: dict[str, Volume]
    last_seen: datetime | None
    since: date | None
    worries: tuple[Worry, ...]


def assets(permit: Permit, desk: Desk, engine: Engine, policy: Policy, progress: Progress) -> list[Asset]:
    """Every device, the most worrying first; first the register takes in what the trail has since.

    Raises:
        NotPermitted: ``permit`` is not for STATUS.
        IntegrityBroken: the trail cannot be read.
        OutOfResources: the index cannot be written now.
    """
    require(permit, Verb.STATUS)
    now = desk.authority.clock.now()
    bring_up_to_date(permit, engine, policy.devices.keys(), now, progress)
    register = Assets(engine)
    today = now.astimezone(UTC).date()  # as a review is judged
    facts, volumes = register.facts(permit), register.volumes(permit, today - LOOKED_AT)
    with reading(engine).connect() as connection:
        first = begun(connection)
    since = first.date() if first else None
    found: dict[str, Asset] = {}
    for row in list_devices(permit, desk, policy):
        device = policy.devices[row.name]
        days = volumes.get(row.name, {})
        until = row.not_after.date() if row.not_after else None
        known = Known(facts.get(row.name, {}), days, since, until)
        seen = [each.last for values in known.facts.values() for each in values.values()]
        found[row.name] = Asset(
            row=row,
            inventory=device.inventory,
            facts=facts.get(row.name, {}),
            volumes=_summed(days),
            last_seen=max(seen, default=None),
            since=since,
            worries=worries(policy, device, known, today),
        )
    return [found[name] for name in by_worry((name, asset.worries) for name, asset in found.items())]


def _summed(days: dict[date, dict[str, Volume]]) -> dict[str, Volume]:
    total: dict[str, Volume] = {}
    for verbs in days.values():
        for verb, volume in verbs.items():
            before = total.get(verb, Volume())
            total[verb] = Volume(before.count + volume.count, before.size_bytes + volume.size_bytes)
    return total
