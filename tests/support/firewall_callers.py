"""A host that calls: whether a connection comes about, from which address and to which port.

As a program it takes the orders of ``net_namespaces``.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from tests.support.net_namespaces import HERE

PATIENCE_S = 0.5


def connects(address: str, port: int, source: str = "") -> bool:
    """Whether somebody answers there in time."""
    try:
        with socket.create_connection((address, port), PATIENCE_S, (source, 0) if source else None):
            return True
    except OSError:
        return False


def listen(address: str, port: int) -> socket.socket:
    """Take connections, and do nothing with them."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family is socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind((address, port))
    listener.listen(128)
    return listener


def obey(order: Mapping[str, Any], listeners: ExitStack) -> object:
    """One order; its answer."""
    match order["what"]:
        case "call":
            return connects(order["address"], order["port"], order["source"])
        case "listen":
            listeners.enter_context(listen(order["address"], order["port"]))
            return True
        case what:
            raise ValueError(f"no such order: {what}")


def main() -> None:
    """Obey until the orders end."""
    sys.stdout.write(HERE)
    sys.stdout.flush()
    with ExitStack() as listeners:
        for line in sys.stdin:
            sys.stdout.write(json.dumps(obey(json.loads(line), listeners)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
