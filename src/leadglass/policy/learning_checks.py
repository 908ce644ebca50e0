"""How lines of ``[learning]`` agree with the rest of a policy, and with the guards no rule can lift."""

from __future__ import annotations

from datetime import date, timedelta

from leadglass.model.caller import Transport
from leadglass.policy.identify import place
from leadglass.policy.model import Learning, Zone
from leadglass.policy.network import Address
from leadglass.policy.policy import Policy
from leadglass.sitefile import quoted, suggest
from leadglass.sitefile.places import KeyPath
from leadglass.sitefile.table import Notes

MAX_DAYS = 31
"""How far ahead the last day of a line may lie: what nobody looks at for longer is forgotten."""


def check_learning(policy: Policy, today: date, notes: Notes) -> None:
    """Note every line of ``[learning]`` that is too wide, too long, or about what a device has already."""
    pinned = {device.ip: device.name for device in policy.devices.values() if device.ip is not None}
    watched: dict[Address, str] = {}
    for learning in policy.learning.values():
        path: KeyPath = ("learning", learning.name)
        _check_name(policy, learning, path, notes)
        _check_until(learning.until.last_day, today, path, notes)
        if learning.ip is None:
            continue
        _check_zone(policy, learning, learning.ip, path, notes)
        rival = pinned.get(learning.ip) or watched.setdefault(learning.ip, learning.name)
        if rival != learning.name:
            notes.error(
                notes.source.value_place((*path, "ip")),
                f"{learning.ip} belongs to {rival} already",
                "watch an address that no device is pinned to, and each only once",
            )


def _check_name(policy: Policy, learning: Learning, path: KeyPath, notes: Notes) -> None:
    if learning.name in policy.devices:
        kind = "a device"
    elif learning.name in policy.groups or learning.name in policy.device_groups:
        kind = "a group"
    else:
        return
    hint = "choose the name of a device that is still to come"
    notes.error(notes.source.key_place(path), f"{quoted(learning.name)} is {kind} already", hint)


def _check_until(last_day: date, today: date, path: KeyPath, notes: Notes) -> None:
    if last_day == date.min:  # missing, or no date: noted where it was read
        return
    spot = notes.source.value_place((*path, "until"))
    latest = today + timedelta(days=MAX_DAYS)
    if last_day > latest:
        notes.error(
            spot, f"until {last_day} is more than {MAX_DAYS} days ahead", f"write until = {latest} or earlier"
        )
    elif last_day < today:
        hint = f"leadglass device learn {path[1]} --propose, or --stop"
        notes.warn(spot, f"{path[1]} is watched no longer: until {last_day} has passed", hint)


def _check_zone(policy: Policy, learning: Learning, address: Address, path: KeyPath, notes: Notes) -> None:
    zone = policy.zones.get(learning.zone)
    if zone is None:
        if "*" not in learning.zone:
            spot = notes.source.value_place((*path, "zone"))
            notes.error(spot, f"unknown zone {quoted(learning.zone)}", suggest(learning.zone, policy.zones))
        return
    if not zone.transports - {Transport.HTTPS}:
        spot = notes.source.value_place((*path, "zone"))
        notes.error(spot, f"zone {zone.name} takes no DICOM", "watch an address of a plain or mtls zone")
        return
    check_inside(policy, address, zone, (*path, "ip"), notes)


def check_inside(policy: Policy, address: Address, zone: Zone, path: KeyPath, notes: Notes) -> None:
    """An address is placed in its zone, whichever of the zone's transports it uses."""
    found = [place(policy, address, transport) for transport in sorted(zone.transports)]
    strays = [other for other in found if other is not zone]
    if strays:
        lies = f"lies in {strays[0].name}" if strays[0] else "lies in no zone of that transport"
        notes.error(
            notes.source.value_place(path),
            f"{address} is not in zone {zone.name}: it {lies}",
            f"set the right zone, or add it to the cidr of {zone.name}",
        )
