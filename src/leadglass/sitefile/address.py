"""Network addresses as the site's files write them: ``10.20.3.11:11112``, ``[::1]:2762``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

_SHAPE = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15})):([0-9]{1,5})")

MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """An IP address and a port. Prints as the files write it."""

    host: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.host.version == 6 else f"{self.host}:{self.port}"


def parse_socket_address(text: str) -> SocketAddress:
    """Read ``ADDRESS:PORT``; IPv6 in brackets. Names are refused: a policy must not hang on DNS.

    Raises:
        ValueError: neither; its text says what is wrong.
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise ValueError("not an IP address and port")
    port = int(shape[3])
    if port > MAX_PORT:
        raise ValueError(f"port {port} is above {MAX_PORT}")
    host = ip_address(shape[1] or shape[2])
    if (host.version == 6) is not bool(shape[1]):
        raise ValueError("brackets are for IPv6 addresses, and IPv6 addresses need them")
    return SocketAddress(host, port)
