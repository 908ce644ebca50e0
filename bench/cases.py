"""What is measured: each case gives one number for one server."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench import leadglass, peers, sender
from bench.peers import Target
from bench.queries import idle_associations
from bench.sender import Instance
from tests.support.peers import Peer, peer_path

STORESCU_TIMEOUT_S = 300
IDLE_ASSOCIATIONS = 1000
IDLE_SECONDS = 20.0

LEADGLASS_PLAIN = "plain"
LEADGLASS_FULL = "all on"
ORTHANC = "Orthanc"
STORESCP = "storescp"

Start = Callable[[Path], AbstractContextManager[Target]]

SERVERS: Mapping[str, Start] = {
    LEADGLASS_PLAIN: leadglass.plain,
    LEADGLASS_FULL: leadglass.mutual_tls,
    ORTHANC: peers.orthanc,
    STORESCP: peers.storescp,
}


@dataclass(frozen=True, slots=True)
class StoreCase:
    """A way to C-STORE the files. ``measure`` gives instances per second."""

    name: str
    measure: Callable[[Target, Sequence[Path]], float]


def store_cases() -> tuple[StoreCase, ...]:
    """Both senders, with one association and with four at once."""
    return (
        StoreCase("C-STORE storescu ×1", lambda target, files: storescu(target, files, 1)),
        StoreCase("C-STORE storescu ×4", lambda target, files: storescu(target, files, 4)),
        StoreCase("C-STORE own sender ×1", lambda target, files: own_sender(target, files, 1)),
        StoreCase("C-STORE own sender ×4", lambda target, files: own_sender(target, files, 4)),
    )


def own_sender(target: Target, files: Sequence[Path], associations: int) -> float:
    """Instances per second, everything encoded before the clock starts."""
    instances: list[Instance] = [sender.read_instance(file) for file in files]
    return sender.send(target.endpoint, instances, associations)


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
