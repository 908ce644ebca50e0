"""kill -9 while scanners store, again and again: what was acknowledged is there, and nothing is half there.

kill -9 keeps what the kernel has: that unsynced writes are lost in a power cut is another test's matter.
"""

from __future__ import annotations

import hashlib
import os
import random
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from leadglass.dataset.synthetic import SyntheticInstance, SyntheticPatient
from leadglass.protocol.status import Status
from leadglass.protocol.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from tests.support.client import Client
from tests.support.hostile_data import CT_IMAGE, large, small
from tests.support.leadglass import leadglass
from tests.support.processes import ChildProcess
from tests.support.raw_peer import DROPPED, RawPeer, client_tls, contexts_for
from tests.support.site import ARCHIVE_AE, Credentials, LiveSite, make_site

KILLS = int(os.environ.get("LEADGLASS_KILLS", "20"))
SCANNERS = 3
LONGEST_S = 0.6
STREAMED_BYTES = 9 << 20
STREAMED_EVERY = 40
NUMBERS_EACH = 100_000


@dataclass
class Journal:
    """What one scanner sent, by SOP Instance UID, and which of it was acknowledged."""

    sent: dict[str, bytes] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Scanner:
    """Sends small objects, and now and then one that streams, until the server is gone."""

    port: int
    tls: ssl.SSLContext
    patient: SyntheticPatient
    first_number: int
    at_work: threading.Event

    def work(self) -> Journal:
        journal = Journal()
        try:
            with RawPeer(self.port, tls=self.tls) as peer:
                peer.open("CT1", contexts_for(CT_IMAGE))
                for count in range(NUMBERS_EACH):
                    self._send(peer, journal, self._object(count))
                    self.at_work.set()
        except DROPPED:
            return journal
        raise AssertionError("the server outlived the test")

    def _object(self, count: int) -> SyntheticInstance:
        number = self.first_number + count
        if count % STREAMED_EVERY == 1:
            return large(number, STREAMED_BYTES, self.patient)
        return small(number, patient=self.patient)

    def _send(self, peer: RawPeer, journal: Journal, instance: SyntheticInstance) -> None:
        journal.sent[instance.sop_instance] = hashlib.sha256(instance.dataset).digest()
        status = peer.store(1, instance)
        assert status == Status.SUCCESS
        journal.acknowledged.add(instance.sop_instance)


def patient_of(kill: int) -> SyntheticPatient:
    return SyntheticPatient("Crash^Test", f"KILL-{kill:04}", "19700101", "O")


def ingest_until_killed(site: LiveSite, server: ChildProcess, tls: ssl.SSLContext, kill: int) -> Journal:
    """Scanners store until the server dies under them, soon and at no certain moment."""
    at_work = threading.Event()
    scanners = [
        Scanner(site.tls_port, tls, patient_of(kill), (kill * SCANNERS + each) * NUMBERS_EACH, at_work)
        for each in range(SCANNERS)
    ]
    with ThreadPoolExecutor(SCANNERS) as pool:
        working = [pool.submit(scanner.work) for scanner in scanners]
        assert at_work.wait(timeout=30)
        time.sleep(random.Random(kill).uniform(0, LONGEST_S))
        server.kill()
    together = Journal()
    for journal in (work.result() for work in working):
        together.sent |= journal.sent
        together.acknowledged |= journal.acknowledged
    return together


def require_whole(site: LiveSite, ws1: Credentials, kill: int, journal: Journal) -> None:
    """A workstation gets all that was acknowledged; what else it gets was sent, and is whole."""
    workstation = Client(site.tls_port, "WS1", ARCHIVE_AE, ws1)
    got = workstation.get_patient(patient_of(kill).patient_id, [(CT_IMAGE, EXPLICIT_VR_LITTLE_ENDIAN)])
    assert got.end.status == Status.SUCCESS
    found = {uid: hashlib.sha256(each.dataset).digest() for uid, each in got.objects.items()}
    assert journal.acknowledged <= found.keys()
    assert found.items() <= journal.sent.items()


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    ct1 = site.add_device("ct1", "modalities", "CT1", makes=("CT",))
    ws1 = site.add_device("ws1", "modalities", "WS1")
    desk = 'desk = { from = ["ws1"], to = "archive", can = ["find", "get"] }'
    site.edit_policy("\n[grants]", f"\n{desk}\n\n[grants]")
    tls = client_tls(ct1)
    journals: list[Journal] = []
    for kill in range(KILLS):
        with site.served() as server:
            if journals:
                require_whole(site, ws1, kill - 1, journals[-1])
            journals.append(ingest_until_killed(site, server, tls, kill))
            assert journals[-1].acknowledged
            assert "Traceback" not in server.text(), server.text()
    killed = leadglass(site.home, "check")
    assert killed.exit_code == 0, killed
    with site.served():
        for kill, journal in enumerate(journals):
            require_whole(site, ws1, kill, journal)
    mended = leadglass(site.home, "check", "--json")
    assert mended.exit_code == 0, mended
    assert mended.json()["objects"] >= sum(len(journal.acknowledged) for journal in journals)
