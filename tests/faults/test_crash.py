"""kill -9 while scanners store, again and again: what was acknowledged is there, and nothing is half there.

kill -9 keeps what the kernel has: that unsynced writes are lost in a power cut is another test's matter.
300 kills; ``make torture`` makes 10,000. A failure names its kill, and LEADGLASS_KILL_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from leadglass.dataset.synthetic import SyntheticInstance, SyntheticPatient
from leadglass.protocol.status import Status
from tests.support.fault_journal import SCANNER_AE, FaultJournal, add_scanner_and_desk, require_recorded
from tests.support.fork_server import ForkServer, fork_server
from tests.support.hostile_data import CT_IMAGE, large, small
from tests.support.leadglass import leadglass
from tests.support.processes import ChildProcess, ProcessFailedError
from tests.support.raw_peer import DROPPED, RawPeer, contexts_for
from tests.support.site import LiveSite, make_site

KILLS = int(os.environ.get("LEADGLASS_KILLS", "300"))
SEED = int(os.environ.get("LEADGLASS_KILL_SEED", "1"))
SCANNERS = 3
LONGEST_S = 0.15
CHECK_EVERY = 100
KILL_AT_START_EVERY = 5
STREAMED_BYTES = 9 << 20
STREAMED_EVERY = 40
NUMBERS_EACH = 100_000

pytestmark = pytest.mark.timeout(120 + 3 * KILLS)


@dataclass(frozen=True, slots=True)
class Scanner:
    """Sends small objects, and now and then one that streams, until the server is gone."""

    port: int
    journal: FaultJournal
    first_number: int
    at_work: threading.Event

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
        if count % STREAMED_EVERY == 1:
            return large(number, STREAMED_BYTES, self.journal.patient)
        return small(number, patient=self.journal.patient)


def journal_of(kill: int, folder: Path) -> FaultJournal:
    patient = SyntheticPatient("Crash^Test", f"KILL-{kill:05}", "19700101", "O")
    return FaultJournal(folder / f"{kill:05}.journal", patient)


def ingest_until_killed(
    site: LiveSite, server: ChildProcess, kill: int, journal: FaultJournal, chance: random.Random
) -> None:
    """Scanners store until the server dies under them, soon and at no certain moment."""
    at_work = threading.Event()
    scanners = [
        Scanner(site.plain_port, journal, (kill * SCANNERS + each) * NUMBERS_EACH, at_work)
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


def kill_while_it_starts(site: LiveSite, forks: ForkServer, chance: random.Random) -> None:
    """Recovery itself may be killed: it is run again."""
    with site.forked(forks) as server:
        time.sleep(chance.uniform(0, LONGEST_S))
        server.kill()


def require_sound(site: LiveSite) -> None:
    checked = leadglass(site.home, "check")
    assert checked.exit_code == 0, checked


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    site = make_site(tmp_path)
    add_scanner_and_desk(site)
    journals: list[FaultJournal] = []
    with fork_server() as forks:
        for kill in range(KILLS):
            if kill % KILL_AT_START_EVERY == 1:
                kill_while_it_starts(site, forks, chance)
            with site.forked(forks) as server:
                server.wait_for(r"^ready ", timeout_s=30)
                if journals:
                    journals[-1].require(site)
                journals.append(journal_of(kill, tmp_path))
                ingest_until_killed(site, server, kill, journals[-1], chance)
                assert "Traceback" not in server.text(), server.text()
            if kill % CHECK_EVERY == CHECK_EVERY - 1:
                require_sound(site)
                print(f"seed {SEED}: {kill + 1} of {KILLS} kills")
        with site.forked(forks) as server:
            server.wait_for(r"^ready ", timeout_s=30)
            for journal in {journals[-1].path: journals[-1], **sample(journals, chance)}.values():
                assert journal.require(site)
    require_recorded(site, journals)
    require_sound(site)


def sample(journals: list[FaultJournal], chance: random.Random) -> dict[Path, FaultJournal]:
    """Some of many: ``check`` reads every object, and each was asked for after its own kill."""
    return {journal.path: journal for journal in chance.sample(journals, min(20, len(journals)))}


def test_a_child_of_the_fork_server_is_a_leadglass_like_any_other(tmp_path: Path) -> None:
    with fork_server() as forks:
        with forks.start(["--version"], tmp_path / "log") as child:
            assert child.wait(timeout_s=20) == 0
            assert child.text().startswith("leadglass ")
        with forks.start(["--home", str(tmp_path / "none"), "serve"], tmp_path / "log") as child:
            assert child.wait(timeout_s=20) == 1
            with pytest.raises(ProcessFailedError, match="ended with 1"):
                child.wait_for("ready")
