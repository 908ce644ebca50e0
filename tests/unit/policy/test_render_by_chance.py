"""Random policies: an address comes through exactly where the gate may admit somebody from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from leadglass.model.caller import Transport
from leadglass.policy import Policy
from leadglass.policy.network import Address
from leadglass.policy.reader import read_policy
from leadglass.policy.render.passages import passages_of
from leadglass.sitefile import Listener, parse_socket_address, read_source
from leadglass.sitefile.table import Notes
from tests.support.admitting import may_be_admitted, may_be_sent_to

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)  # a Sunday
RANGES = (
    *("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.1.1.128/25", "10.1.1.7/32", "10.2.0.0/16"),
    *("::/0", "fd00::/8", "fd00:1::/32", "fd00:1::/64", "fd00:1::7/128"),
)
PINS = ("10.1.1.7", "10.1.1.200", "10.2.3.4", "fd00:1::7", "fd00:1:2::9")
WHENS = (NOW, *(datetime(2026, 11, day, hour, tzinfo=UTC) for day, hour in ((22, 21), (23, 1), (23, 21))))
"""Now, and within the terms below that begin later."""
ZONES = ("alpha", "beta", "gamma")
LISTENERS = [
    Listener(f"{transport}{number}", parse_socket_address(address), transport)
    for transport in Transport
    for number, address in enumerate(("10.1.0.1:2762", "[::]:2762"))
]
TRANSPORTS: tuple[list[str], ...] = (["mtls"], ["mtls", "https"], ["plain", "mtls"], ["plain"], ["https"], [])
TERMS = (
    *[""] * 6,  # mostly open: where nobody comes in, nothing is compared
    *("", "expires = 2026-11-21", "expires = 2026-11-22", "review_by = 2026-11-20"),
    *('hours = "20:00-22:00"', 'weekdays = "mon"', 'weekdays = "mon", expires = 2026-11-22', "hours = []"),
)


def edges() -> list[Address]:
    """Both ends of every range, what lies beside them, and the pinned addresses."""
    numbers: set[Address] = {ip_address(pin) for pin in PINS}
    for cidr in RANGES:
        network = ip_network(cidr)
        for end in (network.network_address, network.broadcast_address):
            for step in (-1, 0, 1):
                if 0 <= int(end) + step < 1 << network.max_prefixlen:
                    numbers.add(end + step)
    return sorted(numbers, key=lambda number: (number.version, int(number)))


EDGES = edges()


def zones_of(chance: Random) -> Iterator[str]:
    """Zones over the ranges, no range in two of them."""
    homes = {cidr: chance.choice((*ZONES, "")) for cidr in RANGES}
    for zone in ZONES:
        cidrs = [cidr for cidr, home in homes.items() if home == zone]
        transports = chance.choice(TRANSPORTS)
        review = chance.choice(("", "", "", "", "review_by = 2026-11-21", "review_by = 2026-11-22"))
        yield table(zone, f"cidr = {cidrs}", f"transport = {transports}", review)


def devices_of(chance: Random, devices: Sequence[str]) -> Iterator[str]:
    """Devices, pinned or not, some of them revoked."""
    for number, device in enumerate(devices):
        ip = chance.choice(("", "", "", *(f'ip = "{pin}"' for pin in PINS)))
        port = chance.choice(("", "0", "104"))
        address = f'address = "10.9.9.{number}:{port}"' if port else ""
        revoked = chance.choice(("", "", "", "", "revoked = 2026-01-01"))
        yield table(
            device, f'zone = "{chance.choice(ZONES)}"', f'ae = ["{device.upper()}"]', ip, address, revoked
        )


def flows_of(chance: Random, devices: Sequence[str]) -> Iterator[str]:
    """Flows either way."""
    parties = [*devices, *(f"zone:{zone}" for zone in ZONES)]
    for number in range(chance.randint(1, 4)):
        there = chance.sample(parties, chance.randint(0, 3))
        ways = (f'from = {there}, to = "archive"', f'from = ["archive"], to = {there}')
        can = chance.choice(('can = ["echo"]', 'can = ["store"]', 'can = ["echo", "store"]', "can = []"))
        yield table(f"flow{number}", chance.choice(ways), can, chance.choice(TERMS))


def grants_of(chance: Random) -> Iterator[str]:
    """Grants to somebody and to nobody."""
    for number in range(chance.randint(1, 2)):
        there = chance.sample(ZONES, chance.randint(0, 2))
        who = chance.choice(('who = "rads"', 'who = "rads"', 'who = "nobody"'))
        can = chance.choice(('can = ["list"]', 'can = ["view"]', 'can = ["list", "view"]', "can = []"))
        yield table(f"grant{number}", who, f"from = {there}", 'on = "any"', can, chance.choice(TERMS))


def table(name: str, *keys: str) -> str:
    return f"{name} = {{ {', '.join(filter(None, keys))} }}"


def any_policy(chance: Random) -> Policy:
    """Any zones, devices, flows and grants; whether they agree is not checked.

    Drawn by chance itself and not by hypothesis, which likes the simple: in a simple policy nobody comes in.
    """
    devices = [f"dev{number}" for number in range(chance.randint(2, 5))]
    lines = [
        "version = 1",
        *("[zones]", *zones_of(chance)),
        *("[devices]", *devices_of(chance, devices)),
        *("[groups]", 'rads = ["role:radiologist"]', "nobody = []"),
        *("[flows]", *flows_of(chance, devices)),
        *("[grants]", *grants_of(chance)),
    ]
    notes = Notes(read_source("\n".join(lines), path="policy.toml"))
    policy = read_policy(notes)
    assert not notes.errors, notes.findings
    return policy


@given(st.integers(0, 1 << 32))
def test_listed_exactly_where_somebody_may_be_admitted(seed: int) -> None:
    chance = Random(seed)
    policy, addresses = any_policy(chance), chance.sample(EDGES, 20)
    passages = passages_of(policy, LISTENERS, NOW)
    for each in LISTENERS:
        open_to = [source for found in passages.inbound if found.listener is each for source in found.sources]
        for address in addresses:
            if address.version == each.address.host.version:
                listed = any(address in source for source in open_to)
                assert listed is may_be_admitted(policy, address, each.transport, WHENS), (address, each)


@given(st.integers(0, 1 << 32))
def test_reached_exactly_where_the_archive_may_send(seed: int) -> None:
    policy = any_policy(Random(seed))
    passages = passages_of(policy, LISTENERS, NOW)
    reached = {(str(each.target.network_address), each.port) for each in passages.outbound}
    for device in policy.devices.values():
        may = may_be_sent_to(policy, device.name, WHENS)
        if device.address is None or not device.address.port:
            continue
        assert ((str(device.address.host), device.address.port) in reached) is may
