"""A disk that fills under a running server: every refusal says so, no acknowledgement is false, and when
there is room again the service goes on by itself."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path

from leadglass.dataset.synthetic import PATIENTS, SyntheticInstance
from leadglass.model.event import Outcome
from leadglass.protocol.pdu import AssociateAccept, PduType
from leadglass.protocol.services import VERIFICATION
from leadglass.protocol.status import Status
from leadglass.protocol.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from tests.support.client import Client
from tests.support.hostile_data import CT_IMAGE, large
from tests.support.leadglass import leadglass
from tests.support.raw_peer import RawPeer, Received, contexts_for
from tests.support.site import ARCHIVE_AE, Credentials, LiveSite, make_site
from tests.support.small_disk import MIB, fill, make_room, small_disk
from tests.support.watched_site import WatchedSite, watched

OBJECT_BYTES = 300_000
STREAMED_BYTES = 10 * MIB  # larger than what ingest holds in memory
ROOM_BYTES = 2 * MIB
RESUMED_S = 10.0
CONTEXTS = contexts_for(CT_IMAGE, VERIFICATION)


@dataclass
class Journal:
    """What a scanner was told of each object it sent."""

    numbers: int = 0
    kept: dict[str, bytes] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)

    def send(self, scanner: RawPeer, size_bytes: int = OBJECT_BYTES) -> int:
        """Send another object."""
        self.numbers += 1
        return self.send_again(scanner, large(self.numbers, size_bytes))

    def send_again(self, scanner: RawPeer, instance: SyntheticInstance) -> int:
        """Send this object."""
        status = scanner.store(1, instance, self.numbers)
        self.statuses.append(status)
        if status == Status.SUCCESS:
            self.kept[instance.sop_instance] = hashlib.sha256(instance.dataset).digest()
        return status

    def send_until_full(self, scanner: RawPeer) -> None:
        """Send objects until one is refused, and two more."""
        while self.send(scanner) == Status.SUCCESS:
            assert self.numbers < 1000
        assert self.statuses[-1] == Status.OUT_OF_RESOURCES
        for _ in range(2):
            assert self.send(scanner) == Status.OUT_OF_RESOURCES


def make_clinic(folder: Path) -> tuple[LiveSite, Credentials, Credentials]:
    """A site with ``ct1`` that stores and ``ws1`` that reads."""
    site = make_site(folder)
    ct1 = site.add_device("ct1", "modalities", "CT1", makes=("CT", "SR"))
    ws1 = site.add_device("ws1", "modalities", "WS1")
    desk = 'desk = { from = ["ws1"], to = "archive", can = ["echo", "find", "get"] }'
    site.edit_policy("\n[grants]", f"\n{desk}\n\n[grants]")
    return site, ct1, ws1


def require_all_kept(site: LiveSite, ws1: Credentials, journal: Journal) -> None:
    """A workstation gets every acknowledged object back, equal, and nothing else."""
    workstation = Client(site.tls_port, "WS1", ARCHIVE_AE, ws1)
    got = workstation.get_patient(PATIENTS[0].patient_id, [(CT_IMAGE, EXPLICIT_VR_LITTLE_ENDIAN)])
    assert got.end.status == Status.SUCCESS
    found = {uid: hashlib.sha256(each.dataset).digest() for uid, each in got.objects.items()}
    assert found == journal.kept


def resume(scanner: RawPeer, journal: Journal) -> None:
    """Send until it is taken again, which must be soon."""
    deadline = time.monotonic() + RESUMED_S
    while journal.send(scanner) != Status.SUCCESS:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def associate(site: LiveSite, served: WatchedSite) -> RawPeer:
    """``ct1``, associated."""
    peer = RawPeer(site.tls_port, tls=served.ct1_tls)
    peer.open("CT1", CONTEXTS)
    return peer


def require_sound(site: LiveSite, served: WatchedSite, journal: Journal) -> None:
    """The trail has each refusal, the server no bug, and ``check`` finds no damage."""
    refused = [line.event for line in site.audit("instance.refused", 5000)]
    assert sum(event.count for event in refused) == sum(
        status == Status.OUT_OF_RESOURCES for status in journal.statuses
    )
    assert {event.outcome for event in refused} == {Outcome.FAILED}
    assert all("No space left" in event.reason or "full" in event.reason for event in refused)
    log = served.server.text()
    assert "Traceback" not in log, log
    assert "a callback broke" not in log, log
    checked = leadglass(site.home, "check")
    assert checked.exit_code == 0, checked


def test_full_segments_refuse_lose_nothing_and_resume(tmp_path: Path) -> None:
    site, ct1, ws1 = make_clinic(tmp_path)
    journal = Journal()
    with small_disk(tmp_path / "disk", 16) as disk:
        segments = disk / "segments"
        segments.mkdir(mode=0o700)
        settings = site.home / "leadglass.toml"
        text = settings.read_text(encoding="utf-8")
        assert 'segments = "segments"' in text
        settings.write_text(text.replace('segments = "segments"', f'segments = "{segments}"'))
        with watched(site, ct1) as served, associate(site, served) as scanner:
            for _ in range(5):
                assert journal.send(scanner) == Status.SUCCESS
            fill(disk, but_bytes=ROOM_BYTES)
            journal.send_until_full(scanner)
            assert len(journal.kept) > 5
            assert journal.send(scanner, STREAMED_BYTES) == Status.OUT_OF_RESOURCES
            assert not list(segments.glob("*.part"))
            assert scanner.echo(3, 999) in {Status.SUCCESS, Status.OUT_OF_RESOURCES}
            require_all_kept(site, ws1, journal)
            make_room(disk)
            resume(scanner, journal)
            with associate(site, served) as another:
                assert journal.send(another) == Status.SUCCESS
                assert journal.send(another, STREAMED_BYTES) == Status.SUCCESS
                another.release()
            require_all_kept(site, ws1, journal)
            require_sound(site, served, journal)


def test_a_full_site_refuses_everything_loses_nothing_and_resumes(tmp_path: Path) -> None:
    """Index, audit trail and segments on one full disk: nothing can be recorded, so nothing is allowed."""
    journal = Journal()
    with small_disk(tmp_path / "disk", 24) as disk:
        site, ct1, ws1 = make_clinic(disk)
        with watched(site, ct1) as served, associate(site, served) as scanner:
            for _ in range(5):
                assert journal.send(scanner) == Status.SUCCESS
            fill(disk, but_bytes=ROOM_BYTES)
            journal.send_until_full(scanner)
            fill(disk, but_bytes=0)
            for _ in range(3):
                assert journal.send(scanner) == Status.OUT_OF_RESOURCES
            with RawPeer(site.tls_port, tls=served.ct1_tls) as another:
                answer = another.associate("CT1", CONTEXTS)
                refused = isinstance(answer, Received) and answer.pdu_type == PduType.ASSOCIATE_RJ
                if not refused:  # it may still have been recorded
                    assert isinstance(answer, AssociateAccept)
                    assert journal.send(another) == Status.OUT_OF_RESOURCES
            assert served.server.exit_code is None
            make_room(disk)
            resume(scanner, journal)
            scanner.release()
            require_all_kept(site, ws1, journal)
            require_sound(site, served, journal)
        with watched(site, ct1):
            require_all_kept(site, ws1, journal)
