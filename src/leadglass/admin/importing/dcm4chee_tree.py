"""The part of dcm4chee's LDAP tree that says who connects. PS3.15 Annex H, and dcm4che's extensions of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from leadglass.admin.importing.ldif import Dn, Entry, parse_dn
from leadglass.model.action import Verb
from leadglass.model.caller import Transport
from leadglass.model.names import Uid
from leadglass.model.storage_classes import STORAGE_CLASSES

DEVICE, AE, CONNECTION, CAPABILITY = (
    "dicomdevice",
    "dicomnetworkae",
    "dicomnetworkconnection",
    "dicomtransfercapability",
)
ARCHIVE_DEVICE, EXPORTER, EXPORT_RULE = "dcmarchivedevice", "dcmexporter", "dcmexportrule"

STORAGE = frozenset(uid for uid, _name in STORAGE_CLASSES)
ANY_CLASS = "*"

_SERVICES = {
    "1.2.840.10008.1.1": Verb.ECHO,
    "1.2.840.10008.1.20.1": Verb.COMMIT,
    "1.2.840.10008.3.1.2.3.3": Verb.MPPS,
    "1.2.840.10008.5.1.4.31": Verb.WORKLIST,
    **{f"1.2.840.10008.5.1.4.1.2.{root}.1": Verb.FIND for root in (1, 2, 3)},
    **{f"1.2.840.10008.5.1.4.1.2.{root}.2": Verb.MOVE for root in (1, 2, 3)},
    **{f"1.2.840.10008.5.1.4.1.2.{root}.3": Verb.GET for root in (1, 2, 3)},
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an AE is: its connection's host and port, encrypted or not."""

    host: str
    port: int | None
    transport: Transport


class Tree:
    """The entries of an export, by what they are and whose."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(entries)
        self._by_dn = {entry.dn: entry for entry in self.entries}
        self._below: dict[Dn, list[Entry]] = {}
        for entry in self.entries:
            self._below.setdefault(entry.parent, []).append(entry)

    def of_class(self, name: str) -> tuple[Entry, ...]:
        """All entries of an object class."""
        return tuple(entry for entry in self.entries if name in entry.classes)

    def below(self, entry: Entry, name: str) -> tuple[Entry, ...]:
        """Its children of an object class."""
        return tuple(child for child in self._below.get(entry.dn, ()) if name in child.classes)

    def device_of(self, entry: Entry) -> Entry | None:
        """The device that an AE or a connection is part of."""
        parent = self._by_dn.get(entry.parent)
        return parent if parent is not None and DEVICE in parent.classes else None

    def capabilities(self, ae: Entry, role: str) -> frozenset[str]:
        """The SOP classes an AE has in this role; its own, or those of the AE it shares them from."""
        owner: Entry | None = ae
        shared = ae.first("dcmShareTransferCapabilitiesFromAETitle")
        device = self.device_of(ae)
        if shared and device is not None:
            siblings = self.below(device, AE)
            owner = next((each for each in siblings if each.first("dicomAETitle") == shared), None)
        return frozenset(
            uid
            for capability in (self.below(owner, CAPABILITY) if owner else ())
            if capability.first("dicomTransferRole").upper() == role
            for uid in capability.all("dicomSOPClass")
        )

    def endpoints(self, ae: Entry) -> tuple[Endpoint, ...]:
        """Where the AE is, the encrypted places first; connections out of use are none."""
        found = []
        for reference in ae.all("dicomNetworkConnectionReference"):
            try:
                connection = self._by_dn.get(parse_dn(reference))
            except ValueError:
                continue
            if connection is not None and CONNECTION in connection.classes and is_installed(connection):
                found.append(_endpoint(connection))
        return tuple(sorted(found, key=lambda each: each.transport is not Transport.MTLS))

    def other_classes(self, known: frozenset[str]) -> Iterator[tuple[str, int]]:
        """How many entries there are of classes that nothing here reads, by the class's name."""
        counts = Counter(
            min(entry.classes - {"top"}, default="") for entry in self.entries if not entry.classes & known
        )
        yield from sorted((name, count) for name, count in counts.items() if name)


def is_installed(entry: Entry) -> bool:
    """Whether it is in use: what does not say is."""
    return entry.first("dicomInstalled").upper() != "FALSE"


def verb_of(uid: str) -> Verb | None:
    """The verb that a SOP class is here."""
    return Verb.STORE if uid in STORAGE else _SERVICES.get(uid)


def storage_among(uids: Iterable[str]) -> frozenset[Uid]:
    """The storage classes among them."""
    return frozenset(Uid(uid) for uid in uids if uid in STORAGE)


def _endpoint(connection: Entry) -> Endpoint:
    port = connection.first("dicomPort")
    is_port = port.isascii() and port.isdigit() and len(port) <= 6
    transport = Transport.MTLS if connection.all("dicomTLSCipherSuite") else Transport.PLAIN
    return Endpoint(connection.first("dicomHostname"), int(port) if is_port else None, transport)
