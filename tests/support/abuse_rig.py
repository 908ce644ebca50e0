"""A scanner at work, undisturbed and then beside four kinds of abuse from hosts of their own.

As a program (``python -m tests.support.abuse_rig FOLDER ABUSE``, as root of a network namespace, which
``measure_abuse`` sees to) it prints what happened as one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from threading import Event, Thread
from typing import Any

from leadglass.app import Home
from leadglass.cli.running import Running, read_running
from tests.support.compiling import cannot
from tests.support.net_namespaces import (
    AS_ROOT_OF_A_NETWORK,
    ROOT,
    NamespaceHost,
    loopback_up,
    namespace_host,
)
from tests.support.site import Credentials, LiveSite, make_site
from tests.support.watched_site import WatchedSite, watched

ABUSERS = "tests.support.abusers"
SCANNER, IDLE, DRIP, HALF_OPEN, ABORT = 1, 2, 3, 4, 100  # networks; the last is in no zone
ZONES = '["127.0.0.0/8", "10.91.0.0/18"]'
EACH_DEVICE = 64  # limits.associations_per_device
IN_AN_ASSOCIATION = 10
WARM_UP = 20
SETTLE_S = 3.0
BEGIN_S = 120.0
COME_BACK_S = 60.0
SAMPLE_S = 0.2


@dataclass(frozen=True, slots=True)
class AbusePlan:
    """How much of everything."""

    idle: int
    dripping: int
    half_open: int
    aborts_per_s: int
    objects: int
    every_s: float


@dataclass(frozen=True, slots=True)
class AbuseFound:
    """What happened. Times of the scanner in milliseconds; ``back_s`` counts from the end of the abuse."""

    undisturbed: dict[str, Any]
    disturbed: dict[str, Any]
    abuse: dict[str, dict[str, int]]
    idle_kib: int
    memory_kib: list[int]
    slots_back_s: float
    associations_back_s: float
    admitted: dict[str, bool]
    instances: int


def measure_abuse(folder: Path, plan: AbusePlan, *, timeout_s: float) -> AbuseFound:
    """Run the rig in a network of its own.

    Where that is not allowed the test fails in CI and skips elsewhere, with the reason.
    """
    able = [*AS_ROOT_OF_A_NETWORK, "ip", "link", "set", "lo", "up"]
    tried = subprocess.run(able, check=False, capture_output=True, text=True)
    if tried.returncode:
        cannot(f"a test of abuse needs network namespaces and iproute2: {tried.stderr.strip()}")
    rig = [sys.executable, "-m", "tests.support.abuse_rig", str(folder), json.dumps(asdict(plan))]
    ran = subprocess.run(
        [*AS_ROOT_OF_A_NETWORK, *rig],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        timeout=timeout_s,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ran.returncode == 0, ran.stdout
    return AbuseFound(**json.loads(ran.stdout))


@dataclass(frozen=True, slots=True)
class Abused:
    """The site, its hosts by what they do, and the devices of the idle ones."""

    served: WatchedSite
    scanner: NamespaceHost
    abusers: dict[str, NamespaceHost]
    devices: Sequence[tuple[str, Credentials]]
    plan: AbusePlan

    def target(self, host: NamespaceHost) -> dict[str, object]:
        """The archive as that host reaches it."""
        site = self.served.site
        return {
            "host": host.archive,
            "tls_port": site.tls_port,
            "plain_port": site.plain_port,
            "addresses": host.addresses,
        }

    def scan(self, first: int, count: int) -> dict[str, Any]:
        """So many objects, from a number on."""
        found: dict[str, Any] = self.scanner.order(
            "scan",
            target=self.target(self.scanner),
            folder=str(self.served.ct1.folder),
            first=first,
            count=count,
            each=IN_AN_ASSOCIATION,
            every_s=self.plan.every_s,
        )
        return found

    def begin_idling(self) -> None:
        """Open every idle association."""
        idle = self.abusers["idle"]
        devices = [(title, str(credentials.folder)) for title, credentials in self.devices]
        idle.order("idle", target=self.target(idle), devices=devices, count=self.plan.idle)
        until(lambda: idle.order("count")["idle"] == self.plan.idle, BEGIN_S)

    def begin_the_rest(self) -> None:
        """All the other abuse, and let it get going."""
        for what, amount in (
            ("drip", {"count": self.plan.dripping}),
            ("half open", {"count": self.plan.half_open}),
            ("abort", {"per_second": self.plan.aborts_per_s}),
        ):
            host = self.abusers[what]
            host.order(what, target=self.target(host), **amount)
        time.sleep(SETTLE_S)

    def running(self) -> Running:
        """What ``leadglass status`` shows."""
        running = read_running(Home(self.served.site.home))
        assert running is not None
        return running

    def is_admitted(self, what: str) -> bool:
        """Whether a new caller from an address of that abuse is."""
        host = self.abusers[what]
        title, credentials = self.devices[0]
        return bool(host.order("echo", target=self.target(host), title=title, folder=str(credentials.folder)))


def until(condition: Callable[[], bool], patience_s: float) -> float:
    """Seconds until something holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < patience_s, "not in time"
        time.sleep(SAMPLE_S)
    return time.monotonic() - began


@contextmanager
def memory_watched(served: WatchedSite) -> Iterator[list[int]]:
    """The server's memory in KiB, several times a second."""
    samples = [served.resident_kib()]
    done = Event()

    def watch() -> None:
        while not done.wait(SAMPLE_S):
            samples.append(served.resident_kib())

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield samples
    finally:
        done.set()
        watcher.join()


def make_abused_site(
    folder: Path, devices: int
) -> tuple[LiveSite, Credentials, list[tuple[str, Credentials]]]:
    """A site that listens on every address, its scanner, and the devices that will idle."""
    site = make_site(folder)
    settings = site.home / "leadglass.toml"
    settings.write_text(settings.read_text("utf-8").replace('"127.0.0.1:', '"0.0.0.0:'), encoding="utf-8")
    for zone in ("modalities", "legacy"):
        site.edit_policy(f'{zone} = {{ cidr = ["127.0.0.0/8"]', f"{zone} = {{ cidr = {ZONES}")
    ct1 = site.add_device("ct1", "modalities", "CT1", makes=("CT", "SR"))
    titles = [f"IDLE{number}" for number in range(devices)]
    return site, ct1, [(title, site.add_device(title.lower(), "modalities", title)) for title in titles]


@contextmanager
def abused(folder: Path, plan: AbusePlan) -> Iterator[Abused]:
    """Everything in place, and nobody abusing yet."""
    loopback_up()
    site, ct1, devices = make_abused_site(folder, ceil(plan.idle / EACH_DEVICE))
    networks = {"idle": IDLE, "drip": DRIP, "half open": HALF_OPEN, "abort": ABORT}
    with watched(site, ct1) as served, ExitStack() as hosts:
        scanner = hosts.enter_context(namespace_host(ABUSERS, SCANNER))
        abusers = {
            what: hosts.enter_context(namespace_host(ABUSERS, network)) for what, network in networks.items()
        }
        yield Abused(served, scanner, abusers, devices, plan)


def run(folder: Path, plan: AbusePlan) -> AbuseFound:
    """The story."""
    with abused(folder, plan) as rig:
        served, objects = rig.served, plan.objects
        rig.scan(4_000_000, WARM_UP)
        undisturbed = rig.scan(2_000_000, objects)
        with memory_watched(served) as memory:
            rig.begin_idling()
            idle_kib = served.resident_kib() - memory[0]
            rig.begin_the_rest()
            disturbed = rig.scan(3_000_000, objects)
            abuse = {what: host.order("count") for what, host in rig.abusers.items()}
            for what in ("drip", "half open", "abort"):
                rig.abusers[what].order("fall silent")
            slots_back_s = until(lambda: rig.running().waiting == 0, COME_BACK_S)
            admitted = {what: rig.is_admitted(what) for what in ("drip", "half open")}
            rig.abusers["idle"].order("end")
            associations_back_s = until(lambda: not rig.running().associations, COME_BACK_S)
            admitted["idle"] = rig.is_admitted("idle")
        served.require_unharmed()
        return AbuseFound(
            undisturbed=undisturbed,
            disturbed=disturbed,
            abuse=abuse,
            idle_kib=idle_kib,
            memory_kib=memory,
            slots_back_s=slots_back_s,
            associations_back_s=associations_back_s,
            admitted=admitted,
            instances=len(served.instances()),
        )


if __name__ == "__main__":
    print(json.dumps(asdict(run(Path(sys.argv[1]), AbusePlan(**json.loads(sys.argv[2]))))))
