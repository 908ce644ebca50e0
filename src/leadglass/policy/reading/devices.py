"""``[devices]``."""

from __future__ import annotations

import re

from leadglass.model.errors import PeerError
from leadglass.model.names import AETitle, parse_ae_title
from leadglass.policy.conditions.modality import Modality
from leadglass.policy.model import Device, Inventory
from leadglass.policy.network import Address, parse_address
from leadglass.policy.reading.words import dotted, is_modality, refuse_reserved
from leadglass.sitefile import quoted
from leadglass.sitefile.settings import read_socket_address
from leadglass.sitefile.table import Table

_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_device(name: str, table: Table) -> Device:
    """One device; what is wrong in it is noted and left out."""
    refuse_reserved(name, table.notes, table.place)
    table.require("zone", "say where it connects from: a name out of [zones]")
    table.require("ae", "name its AE titles, the first being the one it is called by")
    device = Device(
        name=name,
        zone=table.text("zone") or "",
        ae=_ae_titles(table),
        makes=_makes(table),
        ip=read_ip(table),
        address=read_socket_address(table, "address"),
        fingerprints=_fingerprints(table),
        site=table.text("site") or "",
        revoked=table.day("revoked"),
        inventory=_inventory(table),
    )
    table.refuse_others()
    return device


def _ae_titles(table: Table) -> tuple[AETitle, ...]:
    words = table.words("ae")
    if words == ():
        table.notes.error(table.place_of("ae"), "a device needs an AE title", "name at least one")
    titles = []
    for number, word in enumerate(words or ()):
        if "*" in word:
            continue  # a wildcard is refused as what it is, once
        try:
            titles.append(parse_ae_title(word))
        except PeerError as error:
            table.notes.error(table.place_of("ae", number), f"{quoted(word)}: {error}")
    return tuple(titles)


def _makes(table: Table) -> Modality | None:
    words = table.words("makes")
    if words is None:
        return None
    modalities = frozenset(
        word
        for number, word in enumerate(words)
        if "*" not in word and is_modality(table, "makes", number, word)
    )
    return Modality(f"{dotted(table)}.makes", modalities)


def read_ip(table: Table) -> Address | None:
    """``ip``: one address, noted when it is none."""
    text = table.text("ip")
    if text is None:
        return None
    try:
        return parse_address(text)
    except ValueError:
        table.notes.error(
            table.place_of("ip"), f"{quoted(text)} is not an IP address", "like 10.20.9.5, no port"
        )
        return None


def _fingerprints(table: Table) -> frozenset[str]:
    read = set()
    for number, word in enumerate(table.words("fingerprint") or ()):
        plain = word.replace(":", "").lower()
        if _SHA256.fullmatch(plain):
            read.add(plain)
        else:
            hint = "write the 64 hex digits that `openssl x509 -fingerprint -sha256` prints"
            table.notes.error(table.place_of("fingerprint", number), f"{quoted(word)} is not a SHA-256", hint)
    return frozenset(read)


def _inventory(table: Table) -> Inventory:
    return Inventory(
        owner=table.text("owner") or "",
        location=table.text("location") or "",
        vendor=table.text("vendor") or "",
        model=table.text("model") or "",
        serial=table.text("serial") or "",
        software=table.text("software") or "",
        note=table.text("note") or "",
        end_of_support=table.day("end_of_support"),
    )
