"""Backups taken while a scanner stores, and killed at random, restore everything acknowledged before them."""

from __future__ import annotations

import os
import random
import re
import time
from pathlib import Path

import pytest

from leadglass.dataset.synthetic import SyntheticPatient
from tests.faults.test_key_rotation import storing
from tests.support.fault_journal import FaultJournal, add_scanner_and_desk, require_recorded
from tests.support.fork_server import ForkServer, fork_server
from tests.support.leadglass import leadglass
from tests.support.site import LiveSite, make_site
from tests.support.small_disk import fill, make_room, small_disk
from tests.support.stored import store_acknowledged

KILLS = int(os.environ.get("LEADGLASS_BACKUP_KILLS", "6"))
SEED = int(os.environ.get("LEADGLASS_KILL_SEED", "1"))
BEFORE = SyntheticPatient("Backup^Before", "BACKUP-1", "19700101", "O")
LOAD = SyntheticPatient("Rotate^Test", "ROTATE-1", "19700101", "O")

pytestmark = pytest.mark.timeout(600)


def run(forks: ForkServer, log: Path, *arguments: object, kill_after_s: float | None = None) -> int:
    with forks.start([str(each) for each in arguments], log) as child:
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            child.kill()
            return -1
        code = child.wait(timeout_s=120)
        assert "Traceback" not in child.text()
        return code


def backed_up(
    forks: ForkServer, site: LiveSite, folder: Path, passphrase: Path, kill_after_s: float | None = None
) -> int:
    arguments = ("--home", site.home, "backup", folder, "--passphrase-file", passphrase)
    return run(forks, site.folder / "backup.log", *arguments, kill_after_s=kill_after_s)


def test_a_backup_during_ingest_restores_to_all_that_was_acknowledged_before_it(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    site = make_site(tmp_path)
    add_scanner_and_desk(site)
    passphrase, folder = tmp_path / "passphrase", tmp_path / "backup"
    passphrase.write_text("correct horse battery staple\n", encoding="utf-8")
    passphrase.chmod(0o600)
    before, load = FaultJournal(tmp_path / "before", BEFORE), FaultJournal(tmp_path / "load", LOAD)
    with fork_server() as forks:
        with site.forked(forks) as server:
            server.wait_for(r"^ready ", timeout_s=30)
            with storing(site, load):
                for number in range(KILLS):
                    store_acknowledged(site, before, 500_000 + number * 10, 3)
                    backed_up(forks, site, folder, passphrase, chance.uniform(0.05, 1.0))
                store_acknowledged(site, before, 600_000, 3)
                assert backed_up(forks, site, folder, passphrase) == 0
            assert server.stop() == 0
        (site.home).rename(tmp_path / "burnt")
        restoring = ("--home", site.home, "restore", folder, "--passphrase-file", passphrase)
        for _ in range(KILLS):
            if site.home.exists():
                break
            run(forks, tmp_path / "restore.log", *restoring, kill_after_s=chance.uniform(0.05, 0.8))
        if not site.home.exists():
            assert run(forks, tmp_path / "restore.log", *restoring) == 0
        with site.forked(forks) as server:
            server.wait_for(r"^ready ", timeout_s=30)
            assert before.require(site) == (KILLS + 1) * 3
            assert server.stop() == 0
    require_recorded(site, [before])
    assert leadglass(site.home, "check").exit_code == 0
    assert leadglass(site.home, "audit", "verify").exit_code == 0


def test_a_backup_to_a_full_disk_counts_for_nothing_and_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    site = make_site(tmp_path)
    add_scanner_and_desk(site)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse battery staple\n", encoding="utf-8")
    passphrase.chmod(0o600)
    journal = FaultJournal(tmp_path / "before", BEFORE)
    with site.served():
        store_acknowledged(site, journal, 700_000, 20)
    arguments = ("backup", str(tmp_path / "disk" / "backup"), "--passphrase-file", str(passphrase), "--json")
    with small_disk(tmp_path / "disk", 8) as disk:
        assert leadglass(site.home, *arguments).exit_code == 0
        for left_bytes in (0, 20_000, 120_000):
            fill(disk, but_bytes=left_bytes)
            refused = leadglass(site.home, *arguments)
            assert refused.exit_code == 1
            assert "Traceback" not in refused.err
            make_room(disk)
            listed = leadglass(site.home, "restore", str(disk / "backup"), "--list", "--json")
            assert len(listed.json()) == 1
        assert leadglass(site.home, *arguments).exit_code == 0
        proved = leadglass(
            site.home, "restore", str(disk / "backup"), "--dry-run", "--passphrase-file", str(passphrase)
        )
        assert proved.exit_code == 0


def test_of_two_restores_into_one_home_at_once_one_is_refused_and_the_other_whole(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    add_scanner_and_desk(site)
    passphrase, folder = tmp_path / "passphrase", tmp_path / "backup"
    passphrase.write_text("correct horse battery staple\n", encoding="utf-8")
    passphrase.chmod(0o600)
    journal = FaultJournal(tmp_path / "before", BEFORE)
    with fork_server() as forks:
        with site.forked(forks) as server:
            server.wait_for(r"^ready ", timeout_s=30)
            store_acknowledged(site, journal, 800_000, 20)
            assert backed_up(forks, site, folder, passphrase) == 0
            assert server.stop() == 0
        for number in range(3):
            (site.home).rename(tmp_path / f"burnt-{number}")
            restoring = [str(each) for each in ("--home", site.home, "restore", folder)]
            restoring += ["--passphrase-file", str(passphrase)]
            with (
                forks.start(restoring, tmp_path / f"one-{number}.log") as one,
                forks.start(restoring, tmp_path / f"other-{number}.log") as other,
            ):
                ended = {each.wait(timeout_s=60): each.text() for each in (one, other)}
            assert sorted(ended) == [0, 1]
            assert re.search("another leadglass command uses|there is a site here|was moved away", ended[1])
            assert leadglass(site.home, "check").exit_code == 0
            assert not list(tmp_path.glob(".*.restoring"))
