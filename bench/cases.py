"""What is measured: each case gives one number for one server."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench import leadglass, peers, sender
from bench.peers import Target
from bench.queries import idle_associations
from bench.sender import Instance
from tests.support.peers import Peer, peer_path

STORESCU_TIMEOUT_S = 300
IDLE_ASSOCIATIONS = 1000
IDLE_SECONDS = 20.0
WINDOW = 16

LEADGLASS_PLAIN = "plain"
LEADGLASS_FULL = "all on"
ORTHANC = "Orthanc"
CT, SMALL = "CT", "small"
STORESCP = "storescp"

Start = Callable[[Path], AbstractContextManager[Target]]

SERVERS: Mapping[str, Start] = {
    LEADGLASS_PLAIN: leadglass.plain,
    LEADGLASS_FULL: leadglass.mutual_tls,
    ORTHANC: peers.orthanc,
    STORESCP: peers.storescp,
}


OURS: Mapping[str, Start] = {name: SERVERS[name] for name in (LEADGLASS_PLAIN, LEADGLASS_FULL)}
"""Only Leadglass: the peers let nobody have several operations at once."""

AS_THEY_COME: Mapping[str, Start] = {
    **SERVERS,
    ORTHANC: partial(peers.orthanc, environment=os.environ),
    STORESCP: partial(peers.storescp, environment=os.environ),
}
"""The same, without the setting that keeps DCMTK's servers from waiting."""


@dataclass(frozen=True, slots=True)
class StoreCase:
    """A way to C-STORE files of a kind. ``measure`` gives instances per second."""

    name: str
    kind: str
    measure: Callable[[Target, Sequence[Path]], float]
    servers: Mapping[str, Start] = field(default_factory=lambda: SERVERS)


def store_cases() -> tuple[StoreCase, ...]:
    """CT images by both senders, small ones by our own; one, four and sixteen associations at once."""
    return (
        StoreCase(
            "CT, storescu ×1, all as they come", CT, partial(storescu, processes=1), servers=AS_THEY_COME
        ),
        *(StoreCase(f"CT, storescu ×{count}", CT, partial(storescu, processes=count)) for count in (1, 4)),
        *(
            StoreCase(f"{kind}, own sender ×{count}", kind, partial(own_sender, associations=count))
            for kind in (CT, SMALL)
            for count in (1, 4, 16)
        ),
        StoreCase(
            f"small, own sender ×1, window of {WINDOW}",
            SMALL,
            partial(own_sender, associations=1, window=WINDOW),
            servers=OURS,
        ),
    )


def own_sender(target: Target, files: Sequence[Path], associations: int, window: int = 1) -> float:
    """Instances per second, everything encoded before the clock starts."""
    instances: list[Instance] = [sender.read_instance(file) for file in files]
    return sender.send(target.endpoint, instances, associations, window)


def storescu(target: Target, files: Sequence[Path], processes: int) -> float:
    """Instances per second of DCMTK's storescu with its default settings, start and end of process included.

    Raises:
        RuntimeError: one of them failed, or they did not end in time.
    """
    endpoint = target.endpoint
    tls: tuple[str, ...] = ()
    if endpoint.tls is not None:
        tls = (
            *("+tls", str(endpoint.tls.private_key), str(endpoint.tls.certificate)),
            *("+cf", str(endpoint.tls.trusted)),
        )
    command = (
        *(peer_path(Peer.STORESCU), *tls, "--aetitle", endpoint.calling_ae, "--call", endpoint.called_ae),
        *(endpoint.host, str(endpoint.port)),
    )
    start = time.perf_counter()
    children = [
        subprocess.Popen(
            (*command, *map(str, files[n::processes])), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for n in range(processes)
    ]
    try:
        for child in children:
            said, _ = child.communicate(timeout=STORESCU_TIMEOUT_S)
            if child.returncode != 0:
                raise RuntimeError(f"storescu ended with {child.returncode}: {said.decode()}")
    finally:
        for child in children:
            child.kill()
            child.wait()
    return len(files) / (time.perf_counter() - start)


def idle_cpu_percent(target: Target) -> float:
    """Of one core, that the server burns while so many associations are open and silent."""
    with idle_associations(target.endpoint, IDLE_ASSOCIATIONS):
        before, start = cpu_seconds(target.pid), time.perf_counter()
        time.sleep(IDLE_SECONDS)
        return 100 * (cpu_seconds(target.pid) - before) / (time.perf_counter() - start)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far. Linux, proc(5)."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
    fields = after_name.split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
