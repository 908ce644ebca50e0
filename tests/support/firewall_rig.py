"""An archive's host behind a firewall, and several hosts around it, each a network namespace.

As a program, root in a network namespace of its own, it reads a plan and prints what came through.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.firewall_callers import connects, listen
from tests.support.net_namespaces import (
    AS_ROOT_OF_A_NETWORK,
    ROOT,
    NamespaceHost,
    loopback_up,
    namespace_host,
)

TIMEOUT_S = 240
CALLERS = "tests.support.firewall_callers"


@dataclass(frozen=True, slots=True)
class Call:
    """From an address of a host, by its network's number, to a port of the archive."""

    network: int
    source: str
    port: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """From the archive to a port of a host."""

    network: int
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The command that loads the firewall, the archive's ports, and what is tried."""

    load: tuple[str, ...]
    ports: tuple[int, ...]
    calls: tuple[Call, ...]
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class CameThrough:
    """What came through."""

    calls: frozenset[Call]
    deliveries: frozenset[Delivery]


def v6(network: int, last: int) -> str:
    """An IPv6 address of a host's network; the archive is 1, the host 2."""
    return f"fd91:{network}::{last}"


def what_comes_through(plan: Plan, folder: Path) -> CameThrough:
    """Carry a plan out in namespaces of its own.

    Raises:
        RuntimeError: it did not work; carries what was said.
    """
    path = folder / "plan.json"
    path.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    command = [*AS_ROOT_OF_A_NETWORK, sys.executable, "-m", "tests.support.firewall_rig", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT_S, check=False)
    if ended.returncode:
        raise RuntimeError(ended.stdout + ended.stderr)
    found = json.loads(ended.stdout.splitlines()[-1])
    return CameThrough(
        frozenset(Call(**each) for each in found["calls"]),
        frozenset(Delivery(**each) for each in found["deliveries"]),
    )


def main() -> None:
    """Lay the cables, load the firewall, try everything."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    networks = sorted({each["network"] for each in (*plan["calls"], *plan["deliveries"])})
    loopback_up()
    with ExitStack() as stack:
        hosts = {number: stack.enter_context(namespace_host(CALLERS, number)) for number in networks}
        for number, host in hosts.items():
            add_v6(host, number)
        for port in plan["ports"]:
            stack.enter_context(listen("0.0.0.0", port))  # noqa: S104  in a namespace of its own
            stack.enter_context(listen("::", port))
        for each in plan["deliveries"]:
            hosts[each["network"]].order("listen", address=each["address"], port=each["port"])
        for command in plan["load"]:
            subprocess.run(command, shell=True, check=True)  # noqa: S602  the test's own words
        calls = [each for each in plan["calls"] if hosts[each["network"]].order("call", **call_of(each))]
        deliveries = [each for each in plan["deliveries"] if connects(each["address"], each["port"])]
    print(json.dumps({"calls": calls, "deliveries": deliveries}))


def call_of(each: dict[str, object]) -> dict[str, object]:
    """The order that makes a call."""
    network, source = each["network"], str(each["source"])
    archive = v6(int(str(network)), 1) if ":" in source else f"10.91.{network}.1"
    return {"address": archive, "port": each["port"], "source": source}


def add_v6(host: NamespaceHost, number: int) -> None:
    """Give both ends of the cable an IPv6 address as well."""
    ours = ("ip", "address", "add", f"{v6(number, 1)}/64", "dev", f"veth{number}", "nodad")
    subprocess.run(ours, check=True)
    theirs = ("ip", "address", "add", f"{v6(number, 2)}/64", "dev", "eth0", "nodad")
    subprocess.run((*host.inside, *theirs), check=True)


if __name__ == "__main__":
    main()
