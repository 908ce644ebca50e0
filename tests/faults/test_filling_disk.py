"""A small ext4 that fills and is freed, again and again, while scanners go on storing.

All of the site on it, only the segments, or all but the segments (index and audit trail).
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import pytest

from leadglass.dataset.synthetic import SyntheticInstance, SyntheticPatient
from leadglass.protocol.pdu import AssociateAccept
from leadglass.protocol.status import Status
from tests.support.fault_journal import SCANNER_AE, FaultJournal, add_scanner_and_desk, require_recorded
from tests.support.hostile_data import CT_IMAGE, large, small
from tests.support.leadglass import leadglass
from tests.support.processes import ChildProcess
from tests.support.raw_peer import DROPPED, RawPeer, contexts_for
from tests.support.site import LiveSite, make_site
from tests.support.small_disk import fill, make_room, small_ext4

SCANNERS, CYCLES = 2, 3
DISK_MIB = 192
LEFT_BYTES = 200_000
LARGE_BYTES, LARGE_EVERY = 300_000, 10
NUMBERS_EACH = 100_000
PAUSE_S = 0.02
SOON_S = 30.0

pytestmark = pytest.mark.timeout(300)


class Full(StrEnum):
    """What lies on the disk that fills."""

    SITE = "site"
    SEGMENTS = "segments"
    INDEX = "index and audit trail"


@dataclass
class Scanner:
    """Stores until it is told to stop, and associates again when it is dropped."""

    port: int
    journal: FaultJournal
    first_number: int
    stopped: threading.Event
    taken: int = 0
    refused: int = 0
    others: list[int] = field(default_factory=list)
    _numbers: int = 0

    def work(self) -> None:
        while not self.stopped.is_set():
            try:
                with RawPeer(self.port) as peer:
                    if isinstance(peer.associate(SCANNER_AE, contexts_for(CT_IMAGE)), AssociateAccept):
                        self._store(peer)
            except DROPPED:
                pass
            self.stopped.wait(PAUSE_S)

    def _store(self, peer: RawPeer) -> None:
        while not self.stopped.wait(PAUSE_S):
            instance = self._object()
            self.journal.sending(instance)
            status = peer.store(1, instance)
            if status == Status.SUCCESS:
                self.journal.acknowledge(instance)
                self.taken += 1
            elif status == Status.OUT_OF_RESOURCES:
                self.refused += 1
            else:
                self.others.append(status)

    def _object(self) -> SyntheticInstance:
        self._numbers += 1
        number = self.first_number + self._numbers
        if self._numbers % LARGE_EVERY == 0:
            return large(number, LARGE_BYTES, self.journal.patient)
        return small(number, patient=self.journal.patient)


def site_with(full: Full, disk: Path, folder: Path) -> LiveSite:
    site = make_site(folder)
    add_scanner_and_desk(site)
    segments = disk / "segments" if full is Full.SEGMENTS else folder / "segments"
    if full is not Full.SITE:
        segments.mkdir(mode=0o700)
        settings = site.home / "leadglass.toml"
        text = settings.read_text(encoding="utf-8")
        assert 'segments = "segments"' in text
        settings.write_text(text.replace('segments = "segments"', f'segments = "{segments}"'))
    if full is Full.SEGMENTS:
        return site
    shutil.copytree(site.home, disk / "site")
    return replace(site, home=disk / "site")


@contextmanager
def at_work(site: LiveSite, journal: FaultJournal) -> Iterator[list[Scanner]]:
    """Scanners that store until the block ends."""
    stopped = threading.Event()
    scanners = [Scanner(site.plain_port, journal, each * NUMBERS_EACH, stopped) for each in range(SCANNERS)]
    with ThreadPoolExecutor(SCANNERS) as pool:
        working = [pool.submit(scanner.work) for scanner in scanners]
        try:
            yield scanners
        finally:
            stopped.set()
    for work in working:
        work.result()


def wait_for_more(
    server: ChildProcess, scanners: list[Scanner], count: Callable[[Scanner], int], what: str
) -> None:
    """Each scanner is told so three times more."""
    before = [count(scanner) for scanner in scanners]
    deadline = time.monotonic() + SOON_S
    while any(count(scanner) < then + 3 for scanner, then in zip(scanners, before, strict=True)):
        assert time.monotonic() < deadline, f"none {what} in {SOON_S} s: {server.text()}"
        assert server.exit_code is None, server.text()
        time.sleep(PAUSE_S)


@pytest.mark.parametrize("full", Full)
def test_a_disk_that_fills_and_is_freed_loses_nothing_and_stores_again(tmp_path: Path, full: Full) -> None:
    patient = SyntheticPatient("Full^Test", "FULL-1", "19700101", "O")
    journal = FaultJournal(tmp_path / "journal", patient)
    with small_ext4(tmp_path / "disk", DISK_MIB) as disk:
        site = site_with(full, disk, tmp_path)
        with site.served() as server:
            with at_work(site, journal) as scanners:
                for _ in range(CYCLES):
                    wait_for_more(server, scanners, lambda scanner: scanner.taken, "taken")
                    fill(disk, but_bytes=LEFT_BYTES)
                    wait_for_more(server, scanners, lambda scanner: scanner.refused, "refused")
                    make_room(disk)
                wait_for_more(server, scanners, lambda scanner: scanner.taken, "taken again")
            assert not [status for scanner in scanners for status in scanner.others]
            assert journal.require(site) == sum(scanner.taken for scanner in scanners)
            assert server.stop() == 0
            assert "Traceback" not in server.text(), server.text()
        require_recorded(site, [journal])
        checked = leadglass(site.home, "check")
        assert checked.exit_code == 0, checked
