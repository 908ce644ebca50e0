"""What a host of an abuse rig does: it scans, or keeps associations idle, drips, half opens or aborts.

As a program (``python -m tests.support.abusers``) it takes the orders of ``net_namespaces``. Whoever abuses
goes on, in a thread, until it is told to fall silent; then it keeps open what it has.
"""

from __future__ import annotations

import json
import os
import resource
import select
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol

from leadglass.dataset.synthetic import PATIENTS, Modality, synthetic_study
from leadglass.protocol.pdu import AssociateAccept
from leadglass.protocol.services import VERIFICATION
from leadglass.protocol.status import Status
from tests.support.hostile_data import CT_IMAGE
from tests.support.net_namespaces import HERE
from tests.support.ports import LOOPBACK
from tests.support.raw_peer import (
    DROPPED,
    RawPeer,
    associate_request,
    client_tls,
    contexts_for,
    store_message,
)
from tests.support.site import Credentials

LEAST_POLITE = 10  # they stand for other machines, whose processor time is not the archive's
CONNECT_S = 2.0
CATCH_UP_S = 0.02
Connected = socket.socket  # by another name within a class that has a field of that name
REQUEST = associate_request("CT1", contexts_for(CT_IMAGE))
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Target:
    """The archive, and the addresses to call it from, in turn."""

    host: str
    tls_port: int
    plain_port: int
    addresses: Sequence[str]


class Abuse(Protocol):
    """One kind of abuse."""

    def go_on(self, silent: threading.Event) -> None:
        """Do it until told to be silent."""

    def counts(self) -> dict[str, int]:
        """How much of it there is."""

    def end(self) -> None:
        """Let go of everything."""


def client_hello() -> bytes:
    """The first message of a TLS client."""
    outgoing = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    half = context.wrap_bio(ssl.MemoryBIO(), outgoing)
    try:
        half.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake with nobody")


def paced(per_second: float, silent: threading.Event) -> Iterator[None]:
    """So many turns a second; what is late by more than a moment is not made up for."""
    due_s = time.monotonic()
    while not silent.is_set():
        now_s = time.monotonic()
        if now_s < due_s:
            silent.wait(due_s - now_s)
            continue
        due_s = max(due_s + 1 / per_second, now_s - CATCH_UP_S)
        yield


@dataclass
class Caller:
    """One who sends a message, a piece each turn, and calls again as often as it is dropped."""

    address: tuple[str, int]
    source: str
    message: bytes
    piece_bytes: int
    socket: socket.socket | None = None
    sent: int = 0
    dropped: int = 0

    def turn(self) -> None:
        """Send the next piece; or call, where there is no connection. Never waits."""
        if self.socket is None:
            self._call()
            return
        try:
            if self._is_closed(self.socket):
                self._lose()
                self._call()
                return
            piece = self.message[self.sent : self.sent + self.piece_bytes]
            if piece:
                self.sent += self.socket.send(piece)
        except BlockingIOError:
            return
        except OSError:
            self._lose()

    def _call(self) -> None:
        caller = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        caller.setblocking(False)
        caller.bind((self.source, 0))
        caller.connect_ex(self.address)
        self.socket, self.sent = caller, 0

    def _lose(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket = None
        self.dropped += 1

    @staticmethod
    def _is_closed(connection: Connected) -> bool:
        try:
            while connection.recv(65_536):
                pass
        except BlockingIOError:
            return False
        return True


@dataclass
class Callers:
    """Many of those, each with one turn a second."""

    all: list[Caller]

    def go_on(self, silent: threading.Event) -> None:
        turns = cycle(self.all)
        for _ in paced(len(self.all), silent):
            next(turns).turn()

    def counts(self) -> dict[str, int]:
        connected = sum(caller.socket is not None for caller in self.all)
        return {"connected": connected, "dropped": sum(caller.dropped for caller in self.all)}

    def end(self) -> None:
        for caller in self.all:
            if caller.socket is not None:
                caller.socket.close()


def drippers(target: Target, count: int) -> Callers:
    """A byte a second of an A-ASSOCIATE-RQ, or of a ClientHello, by turns."""
    hello = client_hello()
    addresses = cycle(target.addresses)
    ports = ((target.plain_port, REQUEST), (target.tls_port, hello))
    return Callers(
        [
            Caller((target.host, port), next(addresses), message, 1)
            for port, message in (ports[number % 2] for number in range(count))
        ]
    )


def half_openers(target: Target, count: int) -> Callers:
    """A whole ClientHello, and never a word to what the archive answers."""
    hello = client_hello()
    addresses = cycle(target.addresses)
    address = (target.host, target.tls_port)
    return Callers([Caller(address, next(addresses), hello, len(hello)) for _ in range(count)])


@dataclass
class Aborter:
    """Connects, says part of a request, and resets the connection."""

    target: Target
    per_second: int
    done: int = 0
    failed: int = 0

    def go_on(self, silent: threading.Event) -> None:
        addresses = cycle(self.target.addresses)
        ports = cycle((self.target.tls_port, self.target.plain_port))
        for _ in paced(self.per_second, silent):
            try:
                self._once(next(addresses), next(ports))
                self.done += 1
            except OSError:
                self.failed += 1

    def _once(self, source: str, port: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as caller:
            caller.settimeout(CONNECT_S)
            caller.bind((source, 0))
            caller.connect((self.target.host, port))
            caller.sendall(REQUEST[: self.done % len(REQUEST)])
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)

    def counts(self) -> dict[str, int]:
        return {"done": self.done, "failed": self.failed}

    def end(self) -> None:
        """Keeps nothing."""


@dataclass
class Idlers:
    """Associations that nothing is asked on: ``devices`` are AE titles with the folders of their files."""

    target: Target
    devices: Sequence[tuple[str, str]]
    count: int
    open: list[RawPeer] = field(default_factory=list)
    refused: int = 0

    def go_on(self, silent: threading.Event) -> None:
        devices = cycle((title, client_tls(Credentials(Path(folder)))) for title, folder in self.devices)
        addresses = cycle(self.target.addresses)
        while len(self.open) < self.count and not silent.is_set():
            title, tls = next(devices)
            try:
                self._associate(title, tls, next(addresses))
            except DROPPED:
                self.refused += 1

    def _associate(self, title: str, tls: ssl.SSLContext, source: str) -> None:
        peer = RawPeer(self.target.tls_port, host=self.target.host, source=source, tls=tls)
        if isinstance(peer.associate(title, contexts_for(VERIFICATION)), AssociateAccept):
            self.open.append(peer)
        else:
            peer.hang_up()
            self.refused += 1

    def counts(self) -> dict[str, int]:
        watched = select.poll()  # nothing is due to them but the end
        for peer in self.open:
            watched.register(peer.socket, select.POLLIN)
        return {"idle": len(self.open) - len(watched.poll(0)), "refused": self.refused}

    def end(self) -> None:
        for peer in self.open:
            peer.hang_up()


@dataclass(frozen=True, slots=True)
class Scan:
    """A scanner's work: objects of 512 KiB, one every ``every_s``, so many in each association."""

    target: Target
    folder: str
    first: int
    count: int
    each: int
    every_s: float

    def run(self) -> dict[str, list[float] | int]:
        """How many were stored, and the milliseconds of each store and of each opening."""
        tls = client_tls(Credentials(Path(self.folder)))
        storing: list[float] = []
        opening: list[float] = []
        stored = 0
        for start in range(self.first, self.first + self.count, self.each):
            messages = self._messages(start)
            began = time.perf_counter()
            with RawPeer(
                self.target.tls_port, host=self.target.host, tls=tls, source=self.target.addresses[0]
            ) as peer:
                peer.open("CT1", contexts_for(CT_IMAGE))
                opening.append(_milliseconds(began))
                for message in messages:
                    time.sleep(self.every_s)
                    began = time.perf_counter()
                    peer.send(message)
                    stored += peer.status() == Status.SUCCESS
                    storing.append(_milliseconds(began))
                peer.release()
        return {"stored": stored, "storing_ms": storing, "opening_ms": opening}

    def _messages(self, start: int) -> list[bytes]:
        study = synthetic_study(start, Modality.CT, PATIENTS[0], instances=self.each)
        return [store_message(1, instance, number + 1) for number, instance in enumerate(study)]


def _milliseconds(began_s: float) -> float:
    return (time.perf_counter() - began_s) * 1000


def echo(target: Target, title: str, folder: str) -> bool:
    """Whether a new caller gets an association and an answer."""
    tls = client_tls(Credentials(Path(folder)))
    try:
        with RawPeer(target.tls_port, host=target.host, source=target.addresses[0], tls=tls) as peer:
            if not isinstance(peer.associate(title, contexts_for(VERIFICATION)), AssociateAccept):
                return False
            return peer.echo(1) == Status.SUCCESS
    except (TimeoutError, *DROPPED):
        return False


class Host:
    """Carries out orders."""

    def __init__(self) -> None:
        self._silent = threading.Event()
        self._abuse: Abuse | None = None
        self._thread: threading.Thread | None = None

    def obey(self, order: Mapping[str, Any]) -> object:
        """One order; its answer."""
        target = Target(**order["target"]) if "target" in order else Target(LOOPBACK, 0, 0, ())
        match order["what"]:
            case "idle":
                self._begin(Idlers(target, order["devices"], order["count"]))
            case "drip":
                self._begin(drippers(target, order["count"]))
            case "half open":
                self._begin(half_openers(target, order["count"]))
            case "abort":
                self._begin(Aborter(target, order["per_second"]))
            case "scan":
                how = {name: order[name] for name in ("folder", "first", "count", "each", "every_s")}
                return Scan(target, **how).run()
            case "echo":
                return echo(target, order["title"], order["folder"])
            case "count":
                return self._abuse.counts() if self._abuse else {}
            case "fall silent":
                self._fall_silent()
            case "end":
                self._fall_silent()
                if self._abuse is not None:
                    self._abuse.end()
            case what:
                raise ValueError(what)
        return None

    def _begin(self, abuse: Abuse) -> None:
        os.nice(LEAST_POLITE)
        self._abuse = abuse
        self._thread = threading.Thread(target=abuse.go_on, args=(self._silent,), daemon=True)
        self._thread.start()

    def _fall_silent(self) -> None:
        self._silent.set()
        if self._thread is not None:
            self._thread.join()


def main() -> None:
    """Obey until the orders end."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.stdout.write(HERE)
    sys.stdout.flush()
    host = Host()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(host.obey(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
