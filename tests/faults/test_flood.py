"""Floods of silent connections: a scanner at work does not notice them, and the server stays small."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from leadglass.app import Home
from leadglass.cli.running import read_running
from leadglass.model.decision import Step
from leadglass.model.event import AuditEvent, Outcome
from leadglass.protocol.services import VERIFICATION
from leadglass.protocol.status import Status
from tests.support.dcmtk import Dcmtk
from tests.support.hostile_data import CT_IMAGE, small, write_file
from tests.support.raw_peer import RawPeer, associate_request, contexts_for
from tests.support.site import ARCHIVE_AE, Credentials, LiveSite, make_site
from tests.support.watched_site import WatchedSite, failed_rung, set_limits, watched

PATIENCE_S = 8
STRANGERS = [f"127.70.0.{number}" for number in range(1, 9)]
SCANNER_ADDRESS = "127.0.0.1"
FROM_EACH_STRANGER = 20
FROM_THE_SCANNER = 40
LOG_LINES = 100  # of 2,000 refused
FLOOD = len(STRANGERS) * FROM_EACH_STRANGER + FROM_THE_SCANNER
OBJECTS = 50
OBJECTS_AT_ONCE = 10
MEMORY_KIB = 32 * 1024
SLOTS = 256
SLOTS_PER_ADDRESS = 32
WAIT_S = 20.0
HALF_A_REQUEST = associate_request("CT1", contexts_for(CT_IMAGE))[:100]


@pytest.fixture
def site_and_ct1(tmp_path: Path) -> tuple[LiveSite, Credentials]:
    site = make_site(tmp_path)
    set_limits(site, {"associate_rq_s": PATIENCE_S})
    ct1 = site.add_device("ct1", "modalities", "CT1", makes=("CT", "SR"))
    site.add_device("us1", "legacy", "US1", makes=("US",))
    return site, ct1


@pytest.fixture
def silent() -> Iterator[ExitStack]:
    """Holds the connections of a flood, and closes them at the end."""
    with ExitStack() as connections:
        yield connections


def open_silently(silent: ExitStack, site: WatchedSite, address: str, number: int) -> RawPeer:
    """One connection that will say no more: before TLS, inside TLS or in plaintext, by turns."""
    match number % 3:
        case 0:
            peer = RawPeer(site.site.tls_port, source=address)
        case 1:
            peer = RawPeer(site.site.tls_port, source=address, tls=site.ct1_tls)
            peer.send(HALF_A_REQUEST)
        case _:
            peer = RawPeer(site.site.plain_port, source=address)
            peer.send(HALF_A_REQUEST)
    return silent.enter_context(peer)


def waiting(site: WatchedSite) -> int:
    """Connections that are not yet an association, as ``leadglass status`` shows them."""
    running = read_running(Home(site.site.home))
    assert running is not None
    return running.waiting


def until_told_of(site: WatchedSite) -> None:
    """The server writes once a second what ``status`` shows."""
    deadline = time.monotonic() + WAIT_S
    while not waiting(site):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def refusals(site: LiveSite, addresses: list[str]) -> list[AuditEvent]:
    """Every audit line of a connection refused to one of the addresses."""
    events = [line.event for line in site.audit("connection.refused")]
    return [event for event in events if event.address in addresses]


def test_two_hundred_silent_connections_do_not_disturb_a_scanner(
    site_and_ct1: tuple[LiveSite, Credentials], silent: ExitStack, tmp_path: Path
) -> None:
    site, ct1 = site_and_ct1
    files = [write_file(small(number), tmp_path / "scan") for number in range(OBJECTS)]
    with watched(site, ct1) as served:
        served.scan()
        before = served.resident_kib()
        scanner = Dcmtk(site.tls_port, "CT1", ARCHIVE_AE, ct1)
        for number in range(FROM_THE_SCANNER):
            open_silently(silent, served, SCANNER_ADDRESS, number)
        for number in range(FROM_EACH_STRANGER):
            for address in STRANGERS:
                open_silently(silent, served, address, number)
        until_told_of(served)
        for start in range(0, OBJECTS, OBJECTS_AT_ONCE):
            sent = files[start : start + OBJECTS_AT_ONCE]
            statuses = scanner.store(sent).require().statuses()
            assert statuses == [Status.SUCCESS] * len(sent)
            assert served.resident_kib() - before < MEMORY_KIB
        assert len(served.instances()) == OBJECTS + 1
        deadline = time.monotonic() + WAIT_S
        while waiting(served):
            assert time.monotonic() < deadline, waiting(served)
            time.sleep(0.1)
        assert served.resident_kib() - before < MEMORY_KIB
        served.require_unharmed()
    events = refusals(site, [*STRANGERS, SCANNER_ADDRESS])
    assert sum(event.count for event in events) == FLOOD
    assert {event.outcome for event in events} == {Outcome.DENIED}
    ends = {(failed_rung(event).step, event.reason) for event in events}
    assert ends == {
        (Step.TRANSPORT, "TLS handshake not finished in time"),
        (Step.TRANSPORT, "no A-ASSOCIATE-RQ in time"),
        (Step.TCP, "its place was needed: too many of its address wait"),
    }
    crowded = [event for event in events if failed_rung(event).step is Step.TCP]
    assert {event.address for event in crowded} == {SCANNER_ADDRESS}


def test_a_flood_that_takes_every_slot_leaves_other_zones_theirs(
    site_and_ct1: tuple[LiveSite, Credentials], silent: ExitStack
) -> None:
    site, ct1 = site_and_ct1
    addresses = [f"127.71.0.{number}" for number in range(1, 11)]
    with watched(site, ct1) as served:
        opened = [
            silent.enter_context(RawPeer(site.tls_port, source=address, timeout_s=WAIT_S))
            for _ in range(SLOTS_PER_ADDRESS)
            for address in addresses
        ]
        assert len(opened) > SLOTS
        assert opened[0].is_dropped()  # its place went to one of those who came later
        with RawPeer(site.plain_port) as ultrasound:
            ultrasound.open("US1", contexts_for(VERIFICATION))
            assert ultrasound.echo(1) == Status.SUCCESS
            ultrasound.release()
        for peer in opened:
            assert peer.is_dropped()
        served.require_unharmed()
    events = refusals(site, addresses)
    assert sum(event.count for event in events) == len(opened)
    full = sum(event.count for event in events if failed_rung(event).step is Step.TCP)
    assert len(opened) - SLOTS <= full < len(opened)


def test_a_flood_of_connections_that_close_at_once_leaves_nothing_behind(
    site_and_ct1: tuple[LiveSite, Credentials],
) -> None:
    site, ct1 = site_and_ct1
    with watched(site, ct1) as served:
        served.scan()
        before = served.resident_kib()
        for number in range(2000):
            port = (site.tls_port, site.plain_port)[number % 2]
            with socket.create_connection((SCANNER_ADDRESS, port)) as caller:
                caller.sendall(HALF_A_REQUEST[: number % len(HALF_A_REQUEST)])
        served.require_unharmed()
        deadline = time.monotonic() + WAIT_S
        while waiting(served):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert served.resident_kib() - before < MEMORY_KIB
        assert served.server.text().count("connection refused") < LOG_LINES
