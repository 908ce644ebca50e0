"""The passages as the rules of an AWS security group, in the shape that its API takes and gives.

A rule there is a port and a far range, and the same rule twice is an error: those that differ in nothing else
are joined.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from leadglass.policy.network import Network
from leadglass.policy.render.passages import Passages
from leadglass.policy.render.words import Archive, short

MAX_DESCRIPTION = 255
_RANGES = (("IpRanges", "CidrIp", 4), ("Ipv6Ranges", "CidrIpv6", 6))


def render_aws(passages: Passages, archive: Archive) -> str:
    """``IpPermissions`` and ``IpPermissionsEgress``, as ``authorize-security-group-ingress`` takes them."""
    beyond = passages.beyond_this_host()
    inbound = [
        (passage.listener.address.port, source, passage.because)
        for passage in beyond.inbound
        for source in passage.sources
    ]
    outbound = [(passage.port, passage.target, passage.because) for passage in beyond.outbound]
    group = {
        "Description": short(f"Leadglass: {archive.source}", MAX_DESCRIPTION),
        "IpPermissions": _permissions(inbound),
        "IpPermissionsEgress": _permissions(outbound),
    }
    return json.dumps(group, indent=2) + "\n"


def _permissions(ways: Iterable[tuple[int, Network, str]]) -> list[dict[str, Any]]:
    joined: dict[int, dict[Network, list[str]]] = {}
    for port, network, because in ways:
        joined.setdefault(port, {}).setdefault(network, []).append(because)
    return [_permission(port, networks) for port, networks in joined.items()]


def _permission(port: int, networks: dict[Network, list[str]]) -> dict[str, Any]:
    permission: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
    for key, name, version in _RANGES:
        ranges = [
            {name: str(network), "Description": short("; ".join(because), MAX_DESCRIPTION)}
            for network, because in networks.items()
            if network.version == version
        ]
        if ranges:
            permission[key] = ranges
    return permission
