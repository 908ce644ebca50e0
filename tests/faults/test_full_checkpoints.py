"""Only the file of the audit trail's checkpoints can take nothing: the archive fails closed, and resumes.

The file is the kernel's own full disk, /dev/full: every write to it says that no space is left.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from leadglass.audit.trail import CHECKPOINT_EVENTS
from leadglass.dataset.synthetic import SyntheticPatient
from leadglass.protocol.status import Status
from tests.support.compiling import cannot
from tests.support.fault_journal import SCANNER_AE, FaultJournal, add_scanner_and_desk, require_recorded
from tests.support.hostile_data import CT_IMAGE, small
from tests.support.leadglass import leadglass
from tests.support.raw_peer import RawPeer, contexts_for
from tests.support.site import LiveSite, make_site

FULL_DEVICE = os.makedev(1, 7)
RESUMED_S = 10.0
PATIENT = SyntheticPatient("Full^Checkpoints", "FULL-1", "19700101", "O")


def fill_checkpoints(site: LiveSite) -> Path:
    """Put the full device in the place of the file; where the file went."""
    path = site.home / "audit.checkpoints"
    kept = path.rename(site.folder / "checkpoints.kept")
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, FULL_DEVICE)
        path.write_bytes(b"")
    except PermissionError as error:
        cannot(f"a test of a full file needs root and the right to make a device: {error}")
    return kept


def test_checkpoints_without_room_refuse_every_store_and_lose_nothing(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    add_scanner_and_desk(site)
    journal = FaultJournal(tmp_path / "journal", PATIENT)
    statuses: list[int] = []

    def store(peer: RawPeer) -> int:
        instance = small(len(statuses), patient=PATIENT)
        journal.sending(instance)
        statuses.append(peer.store(1, instance))
        if statuses[-1] == Status.SUCCESS:
            journal.acknowledge(instance)
        return statuses[-1]

    with site.served() as server:
        with RawPeer(site.plain_port) as peer:
            peer.open(SCANNER_AE, contexts_for(CT_IMAGE))
            assert store(peer) == Status.SUCCESS
            kept = fill_checkpoints(site)
            while store(peer) == Status.SUCCESS:  # until the trail's end is to be signed again
                assert len(statuses) < 2 * CHECKPOINT_EVENTS
            for _ in range(3):
                assert store(peer) == Status.OUT_OF_RESOURCES
            assert set(statuses) == {Status.SUCCESS, Status.OUT_OF_RESOURCES}
            assert server.exit_code is None
            (site.home / "audit.checkpoints").unlink()
            kept.rename(site.home / "audit.checkpoints")
            deadline = time.monotonic() + RESUMED_S
            while store(peer) != Status.SUCCESS:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert journal.require(site) == len(journal.acknowledged)
        assert "Traceback" not in server.text(), server.text()
        assert "No space left" in server.text()
    require_recorded(site, [journal])
    verified = leadglass(site.home, "audit", "verify")
    assert verified.exit_code == 0, verified
    checked = leadglass(site.home, "check", "--json")
    assert checked.exit_code == 0, checked
    assert checked.json()["objects"] == len(journal.acknowledged)
