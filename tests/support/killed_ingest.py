"""Scanners that store until their server is killed under them."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from leadglass.dataset.synthetic import SyntheticInstance, SyntheticPatient
from leadglass.protocol.status import Status
from tests.support.fault_journal import SCANNER_AE, FaultJournal
from tests.support.hostile_data import CT_IMAGE, large, small
from tests.support.processes import ChildProcess
from tests.support.raw_peer import DROPPED, RawPeer, contexts_for
from tests.support.site import LiveSite

SCANNERS = 3
LONGEST_S = 0.15
STREAMED_BYTES = 9 << 20
STREAMED_EVERY = 40
NUMBERS_EACH = 100_000


@dataclass(frozen=True, slots=True)
class Scanner:
    """Sends small objects, and now and then one that streams, until the server is gone."""

    port: int
    journal: FaultJournal
    first_number: int
    at_work: threading.Event
    streamed_every: int

    def work(self) -> None:
        try:
            with RawPeer(self.port) as peer:
                peer.open(SCANNER_AE, contexts_for(CT_IMAGE))
                for count in range(NUMBERS_EACH):
                    instance = self._object(count)
                    self.journal.sending(instance)
                    assert peer.store(1, instance) == Status.SUCCESS
                    self.journal.acknowledge(instance)
                    self.at_work.set()
        except DROPPED:
            return
        raise AssertionError("the server outlived the test")

    def _object(self, count: int) -> SyntheticInstance:
        number = self.first_number + count
        if count % self.streamed_every == 1:
            return large(number, STREAMED_BYTES, self.journal.patient)
        return small(number, patient=self.journal.patient)


def journal_of(kill: int, folder: Path) -> FaultJournal:
    patient = SyntheticPatient("Crash^Test", f"KILL-{kill:05}", "19700101", "O")
    return FaultJournal(folder / f"{kill:05}.journal", patient)


def ingest_until_killed(
    site: LiveSite,
    server: ChildProcess,
    kill: int,
    journal: FaultJournal,
    chance: random.Random,
    streamed_every: int = STREAMED_EVERY,
) -> None:
    """Scanners store until the server dies under them, soon and at no certain moment."""
    at_work = threading.Event()
    scanners = [
        Scanner(site.plain_port, journal, (kill * SCANNERS + each) * NUMBERS_EACH, at_work, streamed_every)
        for each in range(SCANNERS)
    ]
    with ThreadPoolExecutor(SCANNERS) as pool:
        working = [pool.submit(scanner.work) for scanner in scanners]
        assert at_work.wait(timeout=30)
        time.sleep(chance.uniform(0, LONGEST_S))
        server.kill()
    for work in working:
        work.result()
    journal.close()
