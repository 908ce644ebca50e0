"""How the lines of a policy agree with one another, and with the guards no rule can lift."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from leadglass.model.action import Verb
from leadglass.model.caller import Transport
from leadglass.model.names import DEVICE_NAME
from leadglass.policy.conditions.expires import Expires
from leadglass.policy.conditions.modality import Modality
from leadglass.policy.conditions.review_by import ReviewBy
from leadglass.policy.learning_checks import check_inside, check_learning
from leadglass.policy.modalities import MODALITIES
from leadglass.policy.model import (
    GROUP_PREFIX,
    OUTGOING_VERBS,
    ZONE_PREFIX,
    Device,
    Direction,
    Flow,
    Grant,
    Zone,
)
from leadglass.policy.network import Network, is_public
from leadglass.policy.policy import Policy
from leadglass.sitefile import quoted, suggest
from leadglass.sitefile.places import KeyPath
from leadglass.sitefile.table import Notes

SOON = timedelta(days=30)


def check_agreement(policy: Policy, today: date, notes: Notes) -> None:
    """Note everything in ``policy`` that contradicts itself, a guard, or the calendar."""
    _check_ranges(policy.zones.values(), notes)
    for zone in policy.zones.values():
        _check_zone(zone, today, notes)
    _check_claims(policy, notes)
    for device in policy.devices.values():
        _check_device(policy, device, notes)
    check_learning(policy, today, notes)
    outside = frozenset(zone.name for zone in policy.zones.values() if zone.is_public)
    for flow in policy.flows.values():
        _check_flow(policy, flow, outside, today, notes)
    for grant in policy.grants.values():
        _check_grant(policy, grant, today, notes)


def _check_ranges(zones: Iterable[Zone], notes: Notes) -> None:
    """One transport and one prefix belong to one zone."""
    taken: dict[tuple[Network, Transport], str] = {}
    for zone in zones:
        for network in zone.networks:
            for transport in sorted(zone.transports):
                rival = taken.setdefault((network, transport), zone.name)
                if rival != zone.name:
                    notes.error(
                        notes.source.value_place(("zones", zone.name, "cidr")),
                        f"zones {rival} and {zone.name} both take {network} over {transport}",
                        "give each its own range, or join them",
                    )


def _check_zone(zone: Zone, today: date, notes: Notes) -> None:
    path: KeyPath = ("zones", zone.name)
    if Transport.PLAIN in zone.transports:
        for network in filter(is_public, zone.networks):
            notes.error(
                notes.source.value_place((*path, "cidr")),
                f"zone {zone.name} takes plaintext from {network}, a public range",
                "plaintext is for private ranges only; use mtls",
            )
        if zone.review is None:
            hint = f"add review_by = {today + 3 * SOON}, the day somebody looks whether it is still needed"
            notes.error(
                notes.source.key_place(path), f"zone {zone.name} takes plaintext and has no review_by", hint
            )
    if zone.review is not None:
        _check_date(zone.review, today, (*path, "review_by"), notes)
    for key, hint in (("cidr", "fill in its ranges"), ("transport", "say how they come")):
        if notes.source.value_at((*path, key)) == []:
            message = f"{quoted(key)} is empty, so nobody comes from zone {zone.name}"
            notes.warn(notes.source.value_place((*path, key)), message, f"{hint}, or remove the zone")


def _check_date(bound: Expires | ReviewBy, today: date, path: KeyPath, notes: Notes) -> None:
    spot = notes.source.value_place(path)
    ends = "expires" if isinstance(bound, Expires) else "must be reviewed"
    if bound.last_day < today:
        notes.warn(
            spot, f"{bound.where} has passed: it permits nothing any more", "set a later date, or remove it"
        )
    elif bound.last_day <= today + SOON:
        notes.warn(spot, f"{path[1]} {ends} in {(bound.last_day - today).days} days")


def _check_claims(policy: Policy, notes: Notes) -> None:
    """A name, an AE title and a certificate each mean one thing."""
    titles: dict[str, str] = {}
    pinned: dict[str, str] = {}
    for device in policy.devices.values():
        path: KeyPath = ("devices", device.name)
        if device.name in policy.groups or device.name in policy.device_groups:
            spot = notes.source.key_place(path)
            notes.error(spot, f"{quoted(device.name)} is a device and a group", "rename one of them")
        for title in device.ae:
            rival = titles.setdefault(title, device.name)
            if rival != device.name:
                spot = notes.source.value_place((*path, "ae"))
                notes.error(spot, f"AE title {quoted(title)} belongs to {rival} already", "each has its own")
        for sha256 in sorted(device.fingerprints):
            rival = pinned.setdefault(sha256, device.name)
            if rival != device.name:
                spot = notes.source.value_place((*path, "fingerprint"))
                notes.error(
                    spot, f"fingerprint {sha256[:16]}… belongs to {rival} already", "each has its own"
                )


def _check_device(policy: Policy, device: Device, notes: Notes) -> None:
    path: KeyPath = ("devices", device.name)
    zone = policy.zones.get(device.zone)
    if zone is None:
        if device.zone and "*" not in device.zone:
            spot = notes.source.value_place((*path, "zone"))
            notes.error(spot, f"unknown zone {quoted(device.zone)}", suggest(device.zone, policy.zones))
        return
    if notes.source.value_at((*path, "ip")) is None and zone.transports == {Transport.PLAIN}:
        notes.error(
            notes.source.key_place(path),
            f"{device.name} is in plaintext zone {zone.name} and has no ip",
            'pin its address: ip = "10.20.9.5"',
        )
    if device.ip is not None:
        check_inside(policy, device.ip, zone, (*path, "ip"), notes)
    if device.address is not None:
        check_inside(policy, device.address.host, zone, (*path, "address"), notes)
    if zone.takes_no_dicom:
        spot = notes.source.value_place((*path, "zone"))
        message = (
            f"zone {zone.name} takes https alone and devices speak DICOM: {device.name} can never connect"
        )
        notes.warn(spot, message, f'add "mtls" to {zone.name}, or name another zone')
    _check_modalities((*path, "makes"), device.makes, notes)
    if (
        Transport.MTLS in zone.transports
        and not device.fingerprints
        and not DEVICE_NAME.fullmatch(device.name)
    ):
        hint = "call it with 1 to 32 of a-z, 0-9 and -, or give the fingerprint of its own certificate"
        notes.warn(notes.source.key_place(path), f"no certificate of ours can name {device.name}", hint)


def _check_modalities(path: KeyPath, condition: Modality | None, notes: Notes) -> None:
    for modality in sorted((condition.modalities if condition else frozenset()) - MODALITIES):
        spot = notes.source.value_place(path)
        notes.warn(spot, f"{quoted(modality)} is no modality of the standard", suggest(modality, MODALITIES))


def _check_flow(policy: Policy, flow: Flow, outside: frozenset[str], today: date, notes: Notes) -> None:
    path: KeyPath = ("flows", flow.name)
    _check_rule(path, ("from", "to", "can"), flow, today, notes)
    _check_per_hour(flow, path, notes)
    partners = sorted(_zones_of(policy, flow) & outside)
    if partners and not any(isinstance(bound, Expires) for bound in flow.term):
        notes.error(
            notes.source.key_place(path),
            f"flow {flow.name} joins the archive to {partners[0]}, outside, and has no expires",
            f"add expires = {today + SOON}",
        )
    _check_dicom(policy, flow, notes)
    if flow.direction is Direction.TO_ARCHIVE:
        return
    for verb in sorted(flow.can - OUTGOING_VERBS):
        spot = notes.source.value_place((*path, "can"))
        notes.error(spot, f"the archive itself cannot {verb}", "from the archive, can is echo and store")
    for name in sorted(_devices_of(policy, flow)):
        if policy.devices[name].address is None:
            spot = notes.source.value_place((*path, "to"))
            notes.warn(spot, f"{name} has no address to send to", f"add devices.{name}.address")


def _check_dicom(policy: Policy, flow: Flow, notes: Notes) -> None:
    """A zone of browsers alone, where a device can neither call nor be called."""
    for name in sorted(_zones_of(policy, flow)):
        if policy.zones[name].takes_no_dicom:
            spot = notes.source.value_place(("flows", flow.name, flow.direction.far_key))
            message = f"zone {name} takes https alone, so flows.{flow.name} gives its devices nothing"
            notes.warn(spot, message, f'add "mtls" to {name}, or leave them out')


def _check_per_hour(flow: Flow, path: KeyPath, notes: Notes) -> None:
    """A number alone counts stores: where there are none, something else was meant."""
    stated = notes.source.value_at((*path, "per_hour"))
    if isinstance(stated, int) and Verb.STORE not in flow.can:
        notes.warn(
            notes.source.value_place((*path, "per_hour")),
            f"a number alone counts stores, and flow {flow.name} gives none",
            f"write per_hour = {{ objects = {stated} }}",
        )


def _zones_of(policy: Policy, flow: Flow) -> set[str]:
    named = {party.removeprefix(ZONE_PREFIX) for party in flow.parties if party.startswith(ZONE_PREFIX)}
    homes = {policy.devices[name].zone for name in _devices_of(policy, flow)}
    return (named | homes) & policy.zones.keys()


def _devices_of(policy: Policy, flow: Flow) -> set[str]:
    """The devices that a flow names, alone or in a group."""
    groups = (
        policy.device_groups.get(party.removeprefix(GROUP_PREFIX), ())
        for party in flow.parties
        if party.startswith(GROUP_PREFIX)
    )
    return {party for party in flow.parties if party in policy.devices}.union(*groups)


def _check_grant(policy: Policy, grant: Grant, today: date, notes: Notes) -> None:
    path: KeyPath = ("grants", grant.name)
    _check_rule(path, ("who", "from", "can"), grant, today, notes)
    for name in sorted(grant.zones & policy.zones.keys()):
        if Transport.HTTPS not in policy.zones[name].transports:
            spot = notes.source.value_place((*path, "from"))
            notes.warn(spot, f"zone {name} takes no https, so nobody comes from there", 'add "https" to it')


def _check_rule(path: KeyPath, keys: Iterable[str], rule: Flow | Grant, today: date, notes: Notes) -> None:
    """What flows and grants have in common: somebody is meant, objects there are, and it is not over."""
    for key in (*keys, "hours", "weekdays"):
        if notes.source.value_at((*path, key)) == []:
            spot = notes.source.value_place((*path, key))
            message = f"{quoted(key)} is empty, so {'.'.join(map(str, path))} permits nothing"
            notes.warn(spot, message, "fill it in, or remove the rule")
    for condition in rule.only:
        if isinstance(condition, Modality):
            _check_modalities((*path, "only"), condition, notes)
    for bound in rule.term:
        if isinstance(bound, Expires | ReviewBy):
            key = "expires" if isinstance(bound, Expires) else "review_by"
            _check_date(bound, today, (*path, key), notes)
