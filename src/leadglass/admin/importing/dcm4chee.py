"""dcm4chee-arc: an LDIF export of its LDAP configuration. Facts as of dcm4chee-arc 5.

An AE may do what it says it does (its transfer capabilities as SCU) and the archive offers it (as SCP, at an
AE that lets it in). What the archive offers beyond that was open to it, and is closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from leadglass.admin.importing.dcm4chee_archive import Door, deliveries, doors
from leadglass.admin.importing.dcm4chee_tree import (
    AE,
    ARCHIVE_DEVICE,
    CAPABILITY,
    CONNECTION,
    DEVICE,
    EXPORT_RULE,
    EXPORTER,
    Tree,
    is_installed,
    storage_among,
    verb_of,
)
from leadglass.admin.importing.found import Delivery, Found, FoundDevice, Outcome, Remark
from leadglass.admin.importing.ldif import Entry, parse_ldif
from leadglass.admin.importing.reading import read_text
from leadglass.model.action import Verb
from leadglass.model.errors import ConfigurationInvalid
from leadglass.model.names import Uid
from leadglass.sitefile import quoted

MAX_FILE_BYTES = 32 << 20

_KNOWN = frozenset(
    {DEVICE, AE, CONNECTION, CAPABILITY, ARCHIVE_DEVICE, EXPORTER, EXPORT_RULE}
    | {"dicomuniqueaetitle", "dicomuniqueaetitlesregistryroot", "dicomdevicesroot", "dicomconfigurationroot"}
    | {"dcobject", "organization"}
)
_MAX_LISTED = 12
_INVENTORY = (
    ("vendor", "dicomManufacturer"),
    ("model", "dicomManufacturerModelName"),
    ("serial", "dicomDeviceSerialNumber"),
    ("software", "dicomSoftwareVersion"),
    ("note", "dicomDescription"),
)

_ACCESS_OF_OTHERS = {
    "hl7application": "HL7 is not served yet, so nobody has it",
    "dcmwebapp": "DICOMweb is not served yet, so nobody has it",
    "dcmkeycloakclient": "people get their own access",
    "dcmuisettings": "people get their own access",
}
_Thing = TypeVar("_Thing")


def read_dcm4chee(path: Path) -> Found:
    """What a dcm4chee archive with this configuration lets machines do.

    Raises:
        SourceInvalid: not LDIF content; with the line.
        ConfigurationInvalid: missing, unreadable, too large, or without any device.
    """
    tree = Tree(parse_ldif(read_text(path, MAX_FILE_BYTES), str(path)))
    if not tree.of_class(DEVICE):
        raise ConfigurationInvalid(
            f"{path} has no dicomDevice: export the tree from 'cn=DICOM Configuration' downwards"
        )
    remarks: list[Remark] = []
    opened = _without_remarks(doors(tree, path.name), remarks)
    sends: dict[str, tuple[Delivery, ...]] = {}
    for title, delivery in _without_remarks(deliveries(tree, path.name), remarks):
        sends[title] = (*sends.get(title, ()), delivery)
    devices = _without_remarks(_devices(tree, path.name, opened, sends), remarks)
    remarks += _unknown_destinations(path.name, devices, sends)
    remarks += _others(tree, path.name)
    return Found("dcm4chee", tuple(devices), tuple(remarks))


def _without_remarks(found: Iterable[_Thing | Remark], remarks: list[Remark]) -> list[_Thing]:
    """What is no remark; those go to the others."""
    things: list[_Thing] = []
    for each in found:
        if isinstance(each, Remark):
            remarks.append(each)
        else:
            things.append(each)
    return things


def _devices(
    tree: Tree, name: str, opened: list[Door], sends: Mapping[str, tuple[Delivery, ...]]
) -> Iterator[FoundDevice | Remark]:
    for device in tree.of_class(DEVICE):
        if ARCHIVE_DEVICE in device.classes:
            continue
        where, what = f"{name}:{device.line}", f"device {quoted(device.first('dicomDeviceName'))}"
        aes = tree.below(device, AE)
        if not aes or not is_installed(device):
            why = "it is out of use there (dicomInstalled)" if aes else "it has no AE, so it speaks no DICOM"
            yield Remark(where, what, Outcome.ELSEWHERE, "-", why)
            continue
        found = [each for ae in aes for each in _ae(tree, device, ae, name, opened, sends)]
        yield from (each for each in found if isinstance(each, Remark))
        yield from _joined([each for each in found if isinstance(each, FoundDevice)])


def _ae(
    tree: Tree,
    device: Entry,
    ae: Entry,
    name: str,
    opened: list[Door],
    sends: Mapping[str, tuple[Delivery, ...]],
) -> Iterator[FoundDevice | Remark]:
    title, where = ae.first("dicomAETitle"), f"{name}:{ae.line}"
    what = f"AE {quoted(title)} of {quoted(device.first('dicomDeviceName'))}"
    endpoints = tree.endpoints(ae)
    if not is_installed(ae):
        yield Remark(where, what, Outcome.ELSEWHERE, "-", "it is out of use there (dicomInstalled)")
        return
    if not endpoints:
        yield Remark(where, what, Outcome.LEFT_OUT, "-", "it has no network connection in use")
        return
    place, *others = endpoints
    for other in others:
        lost = f"its connection to {quoted(other.host)}, {other.transport}"
        outcome = Outcome.NARROWED if other.host == place.host else Outcome.LEFT_OUT
        yield Remark(where, f"{what} {lost}", outcome, str(place.transport), "a device has one, the safest")
    if ae.all("dcmOtherAETitle"):
        yield Remark(
            where, f"{what} dcmOtherAETitle", Outcome.LEFT_OUT, "-", "if it calls by them, add to ae"
        )
    calls = ae.first("dicomAssociationInitiator").upper() != "FALSE"
    wants = _Wants.of(
        tree.capabilities(ae, "SCU"), [door for door in opened if door.lets_in(title) and calls]
    )
    if calls and opened and not any(door.lets_in(title) for door in opened):
        yield Remark(where, what, Outcome.TAKEN, "no flow", "no AE of the archive let it in")
    yield FoundDevice(
        where=where,
        what=what,
        name=device.first("dicomDeviceName"),
        titles=(title,),
        host=place.host,
        port=place.port,
        transport=place.transport,
        granted=wants.granted,
        closed=wants.closed,
        store_classes=wants.store_classes,
        deliveries=sends.get(title, ()),
        inventory=_inventory(device),
    )


@dataclass(frozen=True, slots=True)
class _Wants:
    """What an AE gets of what the archive offers it."""

    granted: frozenset[Verb]
    closed: frozenset[Verb]
    store_classes: frozenset[Uid]

    @classmethod
    def of(cls, declared: frozenset[str], opened: list[Door]) -> _Wants:
        """What it says it does and an AE of the archive offers, without a condition; and echo."""
        granted: set[Verb] = set()
        stores: set[Uid] = set()
        for door in opened:
            common = {uid for uid in declared if door.has(uid)}
            verbs = {verb for uid in common if (verb := verb_of(uid)) is not None} - door.guarded
            granted |= verbs | (door.verbs & {Verb.ECHO} - door.guarded)
            stores |= storage_among(common) if Verb.STORE in verbs else set()
        offered = frozenset(verb for door in opened for verb in door.verbs)
        return cls(frozenset(granted), offered - granted, frozenset(stores))


def _joined(found: list[FoundDevice]) -> Iterator[FoundDevice]:
    """AEs at one place that may do the same are one device of several titles, as query and store often are.

    One that is sent to stays by itself: a device is called by its first title.
    """
    groups: dict[object, FoundDevice] = {}
    for each in found:
        place = (each.host, each.port, each.transport)
        key = (place, each.granted, each.closed, each.store_classes, each.titles if each.deliveries else ())
        first = groups.get(key)
        groups[key] = replace(first, titles=first.titles + each.titles) if first else each
    alone = len(groups) == 1
    for each in groups.values():
        yield each if alone else replace(each, name=f"{each.name}-{each.titles[0]}")


def _unknown_destinations(
    name: str, devices: list[FoundDevice], sends: Mapping[str, tuple[Delivery, ...]]
) -> Iterator[Remark]:
    known = {title for device in devices for title in device.titles}
    for title in sorted(sends.keys() - known):
        for delivery in sends[title]:
            why = f"there is no AE {quoted(title)} in use"
            yield Remark(name, delivery.what, Outcome.LEFT_OUT, "-", why)


def _others(tree: Tree, name: str) -> Iterator[Remark]:
    counts = tuple(tree.other_classes(_KNOWN))
    for what, count in counts:
        if what in _ACCESS_OF_OTHERS:
            yield Remark(name, f"{count} {what}", Outcome.LEFT_OUT, "-", _ACCESS_OF_OTHERS[what])
    rest = [f"{count} {quoted(what)}" for what, count in counts if what not in _ACCESS_OF_OTHERS]
    if rest:
        listed = ", ".join(rest[:_MAX_LISTED]) + (", ..." if len(rest) > _MAX_LISTED else "")
        why = "they do not say which machine may do what"
        yield Remark(name, f"other entries: {listed}", Outcome.ELSEWHERE, "-", why)


def _inventory(device: Entry) -> Mapping[str, str]:
    return MappingProxyType({key: text for key, name in _INVENTORY if (text := device.first(name).strip())})
