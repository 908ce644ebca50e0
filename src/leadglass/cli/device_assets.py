"""``device list --risk`` and ``device show``: what is known of the machines, and what should worry."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import Progress

from leadglass.admin.assets import Asset, assets
from leadglass.app import Home, local_site, standing_policy
from leadglass.cli.files import home_of
from leadglass.cli.output import (
    JsonOption,
    message_console,
    print_fields,
    print_json,
    print_rows,
    say,
    visible,
)
from leadglass.model.action import Verb
from leadglass.model.errors import ConfigurationInvalid
from leadglass.use_cases import desk_of

_MB = 1e6


def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The device's name in the policy.")],
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """What is known of one device: what its owner wrote down, what it did, and what should worry."""
    found = {asset.row.name: asset for asset in _assets(home_of(context))}
    asset = found.get(name)
    if asset is None:
        raise ConfigurationInvalid(f"no device {name!r} in the policy: 'leadglass device list' has them all")
    if as_json:
        print_json(asset)
        return
    print_fields(_fields(asset))
    for worry in asset.worries:
        say(f"{worry.severity.name.lower()}: {worry.what}; {worry.todo}")


def show_risk(home: Home, *, as_json: bool) -> None:
    """Print every device with what should worry, the worst first."""
    found = _assets(home)
    if as_json:
        print_json(found)
        return
    rows = []
    for asset in found:
        last = f"{asset.last_seen:%Y-%m-%d}" if asset.last_seen else "never"
        first = (asset.row.name, asset.row.zone, asset.inventory.owner or "-", last)
        if not asset.worries:
            rows.append((*first, "-", "nothing", ""))
        rows += [(*first, each.severity.name.lower(), each.what, each.todo) for each in asset.worries]
    print_rows(("name", "zone", "owner", "last seen", "risk", "what", "what to do"), rows)


def _assets(home: Home) -> list[Asset]:
    with local_site(home) as site:
        permit = site.permit(Verb.STATUS)
        policy = standing_policy(home, site.clock)[0]
        with Progress(console=message_console(), transient=True) as progress:
            task = progress.add_task("reading the audit trail", total=None)
            return assets(
                permit,
                desk_of(site),
                site.engine,
                policy,
                lambda done, total: progress.update(task, completed=done, total=total),
            )


def _fields(asset: Asset) -> dict[str, str]:
    row, inventory = asset.row, asset.inventory
    fields = {
        "name": row.name,
        "zone": f"{row.zone} ({', '.join(row.transports)})",
        "state": row.state.value,
        "ae": ", ".join(row.ae),
        "ip": row.ip or "",
        "makes": "anything" if row.makes is None else ", ".join(row.makes) or "nothing",
        "owner": inventory.owner,
        "location": inventory.location,
        "vendor": inventory.vendor,
        "model": inventory.model,
        "serial": inventory.serial,
        "software": inventory.software,
        "end of support": str(inventory.end_of_support or ""),
        "note": inventory.note,
        "last seen": f"{asset.last_seen:%Y-%m-%d %H:%M} UTC" if asset.last_seen else "never",
    }
    for fact, values in asset.facts.items():
        told = [
            f"{value} ({seen.first:%Y-%m-%d} to {seen.last:%Y-%m-%d})"
            for value, seen in reversed(values.items())
        ]
        fields[f"seen: {fact}"] = visible("; ".join(told))
    for verb, volume in asset.volumes.items():
        fields[f"90 days: {verb}"] = f"{volume.count} times, {volume.size_bytes / _MB:.1f} MB"
    return {name: text for name, text in fields.items() if text}
