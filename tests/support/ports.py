"""Free TCP ports on this host."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from pathlib import Path

LOOPBACK = "127.0.0.1"
LISTENING = "0A"
GIVEN_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST, ATTEMPTS = 10_000, 100
CHANCE = random.SystemRandom()  # not what a test has seeded


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listened on a moment ago.

    Not one of those that the system gives to connections going out: a site keeps its port while its server
    is killed and started again, and a client somewhere else must not get it in between.
    """
    given_out_from = int(GIVEN_OUT.read_text(encoding="ascii").split()[0])
    for _ in range(ATTEMPTS):
        port = CHANCE.randrange(LOWEST, max(given_out_from, LOWEST + 1))
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise OSError(f"no free port among {ATTEMPTS} between {LOWEST} and {given_out_from}")


def accepts(port: int, host: str = LOOPBACK) -> bool:
    """Whether a TCP connection is taken there now. The connection is closed at once."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def wait_until_accepting(port: int, *, timeout_s: float, host: str = LOOPBACK) -> None:
    """Return once TCP connections are taken there.

    Raises:
        TimeoutError: not within ``timeout_s``.
    """
    deadline = time.monotonic() + timeout_s
    while not accepts(port, host):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing listens on {host}:{port} after {timeout_s} s")
        time.sleep(0.02)


def wait_until_listening(port: int, *, timeout_s: float = 10.0) -> None:
    """Return once somebody listens on a TCP port of this host; asks the kernel, connects to nobody.

    Raises:
        TimeoutError: not within ``timeout_s``.
    """
    deadline = time.monotonic() + timeout_s
    while not _listens(port):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing listens on port {port} after {timeout_s} s")
        time.sleep(0.02)


def _listens(port: int) -> bool:
    """Linux: proc(5), ``/proc/net/tcp``; column 2 is the local address, column 4 the state."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            columns = line.split()
            if columns[1].endswith(f":{port:04X}") and columns[3] == LISTENING:
                return True
    return False
