"""The passages as the rules of an AWS security group, in the shape that its API takes and gives."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from leadglass.policy.network import Network
from leadglass.policy.render.passages import Passages
from leadglass.policy.render.words import Archive, short

MAX_DESCRIPTION = 255
_NOT_DESCRIBED = re.compile(r"[^A-Za-z0-9. _\-:/()#,@\[\]+=&;{}!$*]")


def render_aws(passages: Passages, archive: Archive) -> str:
    """``IpPermissions`` and ``IpPermissionsEgress``, as ``authorize-security-group-ingress`` takes them."""
    inbound = [
        _permission(passage.listener.address.port, passage.sources, passage.because)
        for passage in passages.inbound
    ]
    outbound = [_permission(passage.port, [passage.target], passage.because) for passage in passages.outbound]
    group = {
        "Description": short(_described(f"Leadglass: {archive.source}"), MAX_DESCRIPTION),
        "IpPermissions": inbound,
        "IpPermissionsEgress": outbound,
    }
    return json.dumps(group, indent=2) + "\n"


def _permission(port: int, networks: Sequence[Network], because: str) -> dict[str, Any]:
    description = short(_described(because), MAX_DESCRIPTION)
    permission: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
    for key, name, version in (("IpRanges", "CidrIp", 4), ("Ipv6Ranges", "CidrIpv6", 6)):
        ranges = [
            {name: str(network), "Description": description}
            for network in networks
            if network.version == version
        ]
        if ranges:
            permission[key] = ranges
    return permission


def _described(text: str) -> str:
    return _NOT_DESCRIBED.sub(" ", text)
