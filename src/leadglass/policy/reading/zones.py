"""``[zones]``."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from leadglass.model.caller import Transport
from leadglass.policy.conditions.review_by import ReviewBy
from leadglass.policy.model import Zone
from leadglass.policy.network import Network
from leadglass.policy.reading.words import dotted, refuse_reserved
from leadglass.sitefile import quoted
from leadglass.sitefile.table import Table

_PREFIX = re.compile(r"/[0-9]{1,3}$")


def read_zone(name: str, table: Table) -> Zone:
    """One zone; what is wrong in it is noted and left out."""
    refuse_reserved(name, table.notes, table.place)
    table.require("cidr", 'say where it is: cidr = ["10.20.1.0/24"]; an empty list is nowhere')
    table.require("transport", 'transport = "mtls", "https" or "plain"')
    networks = [_network(table, number, word) for number, word in enumerate(table.words("cidr") or ())]
    words = table.words("transport") or ()
    transports = frozenset(
        Transport(word)
        for number, word in enumerate(words)
        if table.one_of("transport", word, tuple(Transport), number)
    )
    review_by = table.day("review_by")
    note = table.text("note") or ""
    table.refuse_others()
    review = ReviewBy(f"{dotted(table)}.review_by", review_by) if review_by else None
    return Zone(name, tuple(network for network in networks if network), transports, review, note)


def _network(table: Table, number: int, word: str) -> Network | None:
    place = table.place_of("cidr", number)
    try:
        meant = ip_network(word, strict=False)
    except ValueError:
        meant = None
    if meant is None or not _PREFIX.search(word):
        hint = "write it like 10.20.1.0/24; one address is /32, in IPv6 /128"
        table.notes.error(place, f"{quoted(word)} is not a range", hint)
        return None
    if meant.network_address != ip_address(word.partition("/")[0]):
        hint = f'write "{meant}", or one address as /{meant.max_prefixlen}'
        table.notes.error(place, f"{quoted(word)} is an address inside a range, not a range", hint)
        return None
    return meant
