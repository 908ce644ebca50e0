"""The servers that Leadglass is measured against, as Debian ships them, everything off and open.

In their favour: TCP_NODELAY=1, which DCMTK reads from the environment and does not set by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.wire import Endpoint
from tests.support.orthanc import RemoteModality, running_orthanc
from tests.support.peers import Peer, peer_path
from tests.support.ports import LOOPBACK, free_port, wait_until_accepting
from tests.support.processes import ChildProcess

CALLING_AE, SINK_AE = "BENCH", "SINK"


@dataclass(frozen=True, slots=True)
class Target:
    """A running server: its process, and where it listens."""

    endpoint: Endpoint
    pid: int


def advantage() -> dict[str, str]:
    """Our environment, and what keeps a DCMTK server from waiting 40 ms for the kernel at each instance."""
    return os.environ | {"TCP_NODELAY": "1"}


@contextmanager
def orthanc(
    folder: Path, environment: Mapping[str, str] | None = None, sink_port: int | None = None
) -> Iterator[Target]:
    """Orthanc with its default configuration: any caller, clear text on the wire and on disk."""
    known = {"bench": RemoteModality(CALLING_AE, 104)}  # by default only known titles may C-GET
    if sink_port is not None:
        known["sink"] = RemoteModality(SINK_AE, sink_port)
    with running_orthanc(folder, ae="ORTHANC", modalities=known, env=environment or advantage()) as server:
        yield Target(Endpoint(LOOPBACK, server.dicom_port, server.ae, CALLING_AE), server.process.pid)


@contextmanager
def storescp(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Target]:
    """DCMTK's storescp, a process for each association. It has no index and never syncs its files."""
    received = folder / "received"
    received.mkdir(parents=True)
    port = free_port()
    command = (peer_path(Peer.STORESCP), "--fork", "--output-directory", str(received), str(port))
    with ChildProcess(command, folder / "storescp.log", env=environment or advantage()) as process:
        wait_until_accepting(port, timeout_s=20)
        yield Target(Endpoint(LOOPBACK, port, "STORESCP", CALLING_AE), process.pid)


@contextmanager
def sink(folder: Path) -> Iterator[int]:
    """A destination of moves that takes what comes and keeps nothing: DCMTK's storescp. Its port."""
    folder.mkdir(parents=True)
    port = free_port()
    command = (peer_path(Peer.STORESCP), "--fork", "--ignore", str(port))
    with ChildProcess(command, folder / "sink.log", env=advantage()):
        wait_until_accepting(port, timeout_s=20)
        yield port
