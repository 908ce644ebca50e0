"""IP addresses and ranges, as integers where speed counts."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Ranges nobody can be reached in from the internet: RFC 1918, 6598, 3927, 1122, 4193, 4291.
_INSIDE = tuple(
    ip_network(cidr)
    for cidr in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "127.0.0.0/8",
        "fc00::/7",
        "fe80::/10",
        "::1/128",
    )
)


def parse_address(text: str) -> Address:
    """An address as a policy knows it: IPv4 mapped into IPv6 is IPv4 again, a scope (``%eth0``) is dropped.

    Raises:
        ValueError: not an IP address.
    """
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def contains(outer: Network, inner: Network) -> bool:
    """Whether all of ``inner`` lies in ``outer``."""
    if outer.version != inner.version or outer.prefixlen > inner.prefixlen:
        return False
    return inner.network_address in outer


def is_public(network: Network) -> bool:
    """Whether part of it may be reached from the internet."""
    return not any(contains(inside, network) for inside in _INSIDE)


def is_public_address(address: Address) -> bool:
    """Whether the address belongs to the internet."""
    return is_public(ip_network(address))
