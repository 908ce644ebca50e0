"""Hosts of their own: processes in network namespaces, each linked to this one by a virtual cable.

For a process that is root in a network namespace (``unshare --user --map-root-user --net``), so that it
can lay cables and change nothing of the machine's own network. Linux: network_namespaces(7), veth(4).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
AS_ROOT_OF_A_NETWORK = ("unshare", "--user", "--map-root-user", "--net")
HERE = "here\n"
FIRST_OF_MANY = 129
LAST_OF_MANY = 254


class NamespaceHost:
    """One such host. ``network`` numbers its cable: 10.91.<network>.0/24."""

    def __init__(self, process: subprocess.Popen[str], network: int) -> None:
        self._process = process
        self.network = network

    @property
    def archive(self) -> str:
        """Where this process is, as the host sees it."""
        return f"10.91.{self.network}.1"

    @property
    def inside(self) -> tuple[str, ...]:
        """What to put before a command to run it in the host's network."""
        return ("nsenter", "--target", str(self._process.pid), "--net", "--")

    @property
    def addresses(self) -> list[str]:
        """The many addresses that the host may call from."""
        return [f"10.91.{self.network}.{last}" for last in range(FIRST_OF_MANY, LAST_OF_MANY + 1)]

    def order(self, what: str, **details: object) -> Any:
        """Give one order, and take its answer when it has been carried out.

        Raises:
            RuntimeError: the host has died.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a host without pipes")
        self._process.stdin.write(json.dumps({"what": what, **details}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the host of network {self.network} has died")
        return json.loads(answer)

    def until_here(self) -> None:
        """Wait until the process is in its namespace."""
        if self._process.stdout is None or self._process.stdout.readline() != HERE:
            raise RuntimeError(f"the host of network {self.network} did not start")

    def lay_cable(self) -> None:
        """Link it to this namespace. A local route gives it the upper half of the network's addresses."""
        ours, theirs, cidr = f"veth{self.network}", "eth0", f"10.91.{self.network}"
        _ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", str(self._process.pid))
        _ip("address", "add", f"{cidr}.1/24", "dev", ours)
        _ip("link", "set", ours, "up")
        inside = self.inside
        _ip("link", "set", "lo", "up", inside=inside)
        _ip("address", "add", f"{cidr}.2/24", "dev", theirs, inside=inside)
        _ip("link", "set", theirs, "up", inside=inside)
        _ip("route", "add", "local", f"{cidr}.128/25", "dev", "lo", inside=inside)


@contextmanager
def namespace_host(module: str, network: int) -> Iterator[NamespaceHost]:
    """A host that runs a module, which says ``here`` and then answers each order, until the block ends."""
    process = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with process:
        host = NamespaceHost(process, network)
        try:
            host.until_here()
            host.lay_cable()
            yield host
        finally:
            if process.stdin is not None:
                process.stdin.close()


def loopback_up() -> None:
    """Let this namespace talk to itself."""
    _ip("link", "set", "lo", "up")


def _ip(*arguments: str, inside: tuple[str, ...] = ()) -> None:
    subprocess.run([*inside, "ip", *arguments], check=True)
