"""The power goes during the long works: compaction, deletion and erasure, key rotation, backup.

After each cut all that was acknowledged is there, what was begun goes on or is rolled back, and what was
erased, and told so, is nowhere in the segments any more. A few cuts of each; ``make torture`` makes more.
LEADGLASS_POWER_CUT_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from leadglass.app import Home, local_site
from leadglass.archive.deletion import Subject
from leadglass.dataset.synthetic import SyntheticPatient
from leadglass.index.bin import Bin
from leadglass.model.action import Verb
from leadglass.model.names import Uid
from leadglass.model.query import Level
from leadglass.protocol.status import Status
from leadglass.protocol.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from leadglass.storage.reader import ScannedRecord
from leadglass.use_cases import deleter_of
from tests.faults.test_power_cut import require_no_alarm, require_sound, site_on
from tests.support.client import Client
from tests.support.fault_journal import DESK_AE, FaultJournal, require_recorded
from tests.support.fork_server import ForkServer, fork_server
from tests.support.hostile_data import CT_IMAGE
from tests.support.killed_ingest import ingest_until_killed, journal_of
from tests.support.leadglass import leadglass
from tests.support.power_cut_disk import PowerCutDisk, power_cut_disk
from tests.support.processes import ChildProcess
from tests.support.site import ARCHIVE_AE, LiveSite
from tests.support.stored import store_acknowledged

CUTS = max(4, int(os.environ.get("LEADGLASS_POWER_CUTS", "50")) // 8)
SEED = int(os.environ.get("LEADGLASS_POWER_CUT_SEED", "1"))
KEPT, DOOMED, LATE = 6, 12, 2
WHY = ("--reason", "test", "--yes")

pytestmark = pytest.mark.timeout(300 + 20 * CUTS)


class Cutter:
    """A site on a disk that forgets, its programs, and the chances of a run."""

    def __init__(self, site: LiveSite, disk: PowerCutDisk, forks: ForkServer) -> None:
        self.site, self.disk, self.forks = site, disk, forks
        self.chance = random.Random(SEED)
        self._cuts = 0
        print(f"seed {SEED}")

    def cut(self) -> None:
        self.disk.cut(SEED * 1_000_000 + self._cuts)
        self._cuts += 1

    def run_and_cut(self, longest_s: float, *arguments: str) -> bool:
        """Run a command until the power goes; whether it had ended by then, and well."""
        command_line = ["--home", str(self.site.home), *arguments]
        with self.forks.start(command_line, self.site.folder / "command.log") as command:
            deadline = time.monotonic() + self.chance.uniform(0.02, longest_s)
            while command.exit_code is None and time.monotonic() < deadline:
                time.sleep(0.002)
            ended = command.exit_code
            command.kill()
            said = command.text()
        assert "Traceback" not in said, said
        self.cut()
        return ended == 0

    @contextmanager
    def served(self) -> Iterator[ChildProcess]:
        with self.site.forked(self.forks) as server:
            server.wait_for(r"^ready ", timeout_s=30)
            require_no_alarm(server)
            yield server

    def cut_while_it_starts(self) -> None:
        with self.site.forked(self.forks) as server:
            time.sleep(self.chance.uniform(0, 0.15))
            server.kill()
        self.cut()

    def journal(self, name: str) -> FaultJournal:
        patient = SyntheticPatient(f"{name}^Test", name, "19700101", "O")
        return FaultJournal(self.site.folder / name, patient)


@contextmanager
def cutter_in(folder: Path) -> Iterator[Cutter]:
    with power_cut_disk(folder) as disk, fork_server() as forks:
        yield Cutter(site_on(disk, folder), disk, forks)


def erase(site: LiveSite, studies: Sequence[str]) -> set[bytes]:
    """Delete these studies and destroy their keys; it was told as done when this returns. Their objects."""
    with local_site(Home(site.home)) as opened:
        permit, deleter = opened.permit(Verb.DELETE), deleter_of(opened)
        for study in studies:
            deleter.delete(permit, Subject(Level.STUDY, Uid(study)), "test")
            deleter.condemn(permit, Uid(study))
        objects = {each.object_id for each in Bin(opened.engine).to_erase(permit, 10_000)}
        assert deleter.erase(permit, lambda _done: True) == len(objects)
    return objects


def require_erased(site: LiveSite, erased: set[bytes]) -> None:
    """Of none of them is a key left in any segment, named by the index or not."""
    with local_site(Home(site.home)) as opened:
        permit = opened.permit(Verb.CHECK)
        for info in opened.store.segments(permit):
            for record in opened.store.scan(permit, info.name):
                if isinstance(record, ScannedRecord) and record.object_id in erased:
                    assert record.is_erased, f"readable again: {info.name}+{record.location.offset}"


def test_compaction_loses_nothing_and_leaves_no_copy_of_what_is_erased(tmp_path: Path) -> None:
    with cutter_in(tmp_path) as power:
        site = power.site
        kept, doomed, late = (power.journal(name) for name in ("KEPT", "DOOMED", "LATE"))
        erased: set[bytes] = set()
        for number in range(CUTS):
            with power.served() as server:
                assert kept.require(site) == number * KEPT
                store_acknowledged(site, kept, number * 1000, KEPT)
                studies = store_acknowledged(site, doomed, number * 1000 + 300, DOOMED)
                too_late = store_acknowledged(site, late, number * 1000 + 600, LATE)
                server.kill() if number % 2 else server.stop()
            power.cut()
            erased |= erase(site, studies)
            power.run_and_cut(0.8, "compact")
            erased |= erase(site, too_late)  # whose copies a compaction that was broken off has left
            power.cut()
            require_erased(site, erased)
            if number % 3 == 1:
                power.cut_while_it_starts()
        with power.served():
            assert kept.require(site) == CUTS * KEPT
        require_erased(site, erased)
        assert leadglass(site.home, "compact", "--json").exit_code == 0
        checked = leadglass(site.home, "check", "--json")
        assert checked.exit_code == 0, checked
        assert checked.json()["objects"] == CUTS * KEPT
        assert leadglass(site.home, "compact", "--dry-run", "--json").json() == []


def objects_of(site: LiveSite, study: str) -> set[bytes]:
    """What the bin holds of a study."""
    with local_site(Home(site.home)) as opened:
        permit = opened.permit(Verb.CHECK)
        return {
            held.stored.object_id
            for held in opened.index.inventory(permit)
            if held.binned and held.stored.study == study
        }


def test_deletion_and_erasure_are_done_or_not_and_lose_nothing_else(tmp_path: Path) -> None:
    with cutter_in(tmp_path) as power:
        site = power.site
        kept, doomed = power.journal("KEPT"), power.journal("DOOMED")
        deleted: set[str] = set()
        erased: set[bytes] = set()
        for number in range(CUTS):
            with power.served() as server:
                assert kept.require(site) == number * KEPT
                require_not_served(site, doomed, deleted)
                store_acknowledged(site, kept, number * 1000, KEPT)
                studies = store_acknowledged(site, doomed, number * 1000 + 500, DOOMED)
                server.kill() if number % 2 else server.stop()
            power.cut()
            for study in studies[:4]:
                if power.run_and_cut(0.5, "delete", "study", study, *WHY):
                    deleted.add(study)
                objects = objects_of(site, study)
                if power.run_and_cut(0.7, "bin", "empty", "--study", study, "--yes"):
                    erased |= objects
                require_erased(site, erased)
            if number % 3 == 1:
                power.cut_while_it_starts()
        with power.served():
            assert kept.require(site) == CUTS * KEPT
            require_not_served(site, doomed, deleted)
        assert deleted
        assert erased
        require_erased(site, erased)
        require_sound(site)


def require_not_served(site: LiveSite, doomed: FaultJournal, deleted: set[str]) -> None:
    """Nothing comes back that was deleted, and what does is whole."""
    desk = Client(site.plain_port, DESK_AE, ARCHIVE_AE, None)
    got = desk.get_patient("DOOMED", [(CT_IMAGE, EXPLICIT_VR_LITTLE_ENDIAN)])
    assert got.end.status == Status.SUCCESS
    assert got.objects.keys() <= doomed.acknowledged.keys()
    with local_site(Home(site.home)) as opened:
        permit = opened.permit(Verb.CHECK)
        served = {str(held.stored.study) for held in opened.index.inventory(permit) if not held.binned}
    assert not served & deleted


def test_key_rotation_leaves_every_object_readable(tmp_path: Path) -> None:
    with cutter_in(tmp_path) as power:
        site = power.site
        journals: list[FaultJournal] = []
        for number in range(CUTS):
            with power.served() as server:
                for journal in journals[-2:]:
                    journal.require(site)
                journals.append(journal_of(number, tmp_path))
                rotating = ["--home", str(site.home), "keys", "rotate"]
                with power.forks.start(rotating, site.folder / f"rotate-{number}") as rotation:
                    time.sleep(power.chance.uniform(0, 1.2))
                    ingest_until_killed(site, server, number, journals[-1], power.chance)
                    rotation.kill()
                    assert "Traceback" not in rotation.text(), rotation.text()
            power.cut()
            power.run_and_cut(0.9, "keys", "rotate")
            if number % 3 == 1:
                power.cut_while_it_starts()
        assert leadglass(site.home, "keys", "rotate").exit_code == 0
        assert len(list((site.home / "keys").glob("site-*.key"))) == 1
        with power.served():
            for journal in journals:
                assert journal.require(site)
        require_recorded(site, journals)
        require_sound(site)


class BackedUp:
    """Backups to a folder on the disk that forgets."""

    def __init__(self, power: Cutter) -> None:
        self.folder = power.disk.mount / "backups" / "north"
        self._passphrase = power.site.folder / "passphrase"
        self._passphrase.write_text("correct horse battery staple\n", encoding="utf-8")
        self._passphrase.chmod(0o600)
        self._home = power.site.home

    def command(self, verb: str) -> tuple[str, ...]:
        return (verb, str(self.folder), "--passphrase-file", str(self._passphrase))

    def require(self, snapshots: int) -> None:
        """At least so many are there, and the newest can be restored to its last byte."""
        listed = leadglass(self._home, "restore", str(self.folder), "--list", "--json")
        assert listed.exit_code == 0, listed
        assert len(listed.json()) >= snapshots
        proved = leadglass(self._home, *self.command("restore"), "--dry-run")
        assert proved.exit_code == 0, proved


def test_a_backup_that_was_told_as_made_is_restored_and_a_restore_goes_on(tmp_path: Path) -> None:
    with cutter_in(tmp_path) as power:
        site, backup = power.site, BackedUp(power)
        before = power.journal("BEFORE")
        made = 0
        for number in range(CUTS):
            with power.served() as server:
                store_acknowledged(site, before, number * 1000, KEPT)
                backing_up = ["--home", str(site.home), *backup.command("backup")]
                with power.forks.start(backing_up, site.folder / f"backup-{number}") as command:
                    if number % 2:
                        time.sleep(power.chance.uniform(0.1, 1.2))
                        load = journal_of(number, tmp_path)
                        ingest_until_killed(site, server, number, load, power.chance)
                    else:
                        assert command.wait(timeout_s=30) == 0, command.text()
                        server.kill()
                    made += command.exit_code == 0
                    command.kill()
                    assert "Traceback" not in command.text(), command.text()
            power.cut()
            backup.require(made)
        assert leadglass(site.home, *backup.command("backup")).exit_code == 0
        power.cut()
        restored = replace(site, home=power.disk.mount / "new" / "site")
        again = Cutter(restored, power.disk, power.forks)
        for _ in range(CUTS):
            if again.run_and_cut(0.7, *backup.command("restore")):
                assert restored.home.exists(), "told as restored, and lost"
                break
        if not restored.home.exists():
            assert leadglass(restored.home, *backup.command("restore")).exit_code == 0
            power.cut()
        with again.served():
            assert before.require(restored) == CUTS * KEPT
        require_recorded(restored, [before])
        require_sound(restored)
