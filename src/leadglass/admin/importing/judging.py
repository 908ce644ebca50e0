"""Which of the machines found may stand in a policy, under its name, in its zone; and why not the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from leadglass.admin.importing.found import FoundDevice
from leadglass.admin.importing.naming import policy_names
from leadglass.model.caller import Transport
from leadglass.model.errors import PeerError
from leadglass.model.names import AETitle, parse_ae_title
from leadglass.policy.network import Address, is_public_address, parse_address
from leadglass.sitefile import SocketAddress, quoted
from leadglass.sitefile.address import MAX_PORT

PLAIN_ZONE, MTLS_ZONE, OUTSIDE_ZONE = "imported-plain", "imported-mtls", "imported-outside"


@dataclass(frozen=True, slots=True)
class Kept:
    """A machine that can be a device of the policy."""

    name: str
    found: FoundDevice
    titles: tuple[AETitle, ...]
    ip: Address
    zone: str

    @property
    def address(self) -> SocketAddress | None:
        """Where it listens, if the source says so and it can be."""
        port = self.found.port
        return SocketAddress(self.ip, port) if port is not None and 0 < port <= MAX_PORT else None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A machine that cannot, with what to do about it."""

    name: str
    found: FoundDevice
    zone: str
    why: str


def judge(devices: Iterable[FoundDevice]) -> tuple[tuple[Kept, ...], tuple[LeftOut, ...]]:
    """Keep a machine only if nothing about it has to be guessed. Nothing is resolved or connected to.

    An AE title that several claim is nobody's: which of them is meant cannot be known.
    """
    devices = tuple(devices)
    names = policy_names(device.name for device in devices)
    claims = Counter(title for device in devices for title in {t.strip(" \0") for t in device.titles})
    kept, left_out = [], []
    for name, device in zip(names, devices, strict=True):
        judged = _judge(name, device, claims)
        if isinstance(judged, Kept):
            kept.append(judged)
        else:
            left_out.append(judged)
    return tuple(kept), tuple(left_out)


def _judge(name: str, device: FoundDevice, claims: Counter[str]) -> Kept | LeftOut:
    usual = MTLS_ZONE if device.transport is Transport.MTLS else PLAIN_ZONE
    titles = _titles(device, claims)
    if isinstance(titles, str):
        return LeftOut(name, device, usual, titles)
    try:
        ip = parse_address(device.host)
    except ValueError:
        why = f"{quoted(device.host)} is no IP address, and names are not resolved: look its address up"
        return LeftOut(name, device, usual, why)
    if ip.is_unspecified or ip.is_multicast or ip == IPv4Address("255.255.255.255"):
        return LeftOut(name, device, usual, f"{ip} is the address of no single machine")
    if not is_public_address(ip):
        return Kept(name, device, titles, ip, usual)
    if device.transport is Transport.PLAIN:
        why = f"{ip} is a public address and it speaks plaintext, which no rule can permit: give it TLS"
        return LeftOut(name, device, OUTSIDE_ZONE, why)
    return Kept(name, device, titles, ip, OUTSIDE_ZONE)


def _titles(device: FoundDevice, claims: Counter[str]) -> tuple[AETitle, ...] | str:
    """Its AE titles, or why they cannot be."""
    titles = []
    for text in device.titles:
        if "*" in text:
            return f"AE title {quoted(text)} is a wildcard"
        try:
            title = parse_ae_title(text)
        except PeerError as error:
            return f"{quoted(text)} is {error}"
        if claims[title] > 1:
            return f"AE title {quoted(title)} is claimed by {claims[title]} entries: say whose it is"
        titles.append(title)
    return tuple(dict.fromkeys(titles)) or "it has no AE title"
