"""The power goes while scanners store: what was acknowledged was on the disk, whatever else was lost.

The site's home (segments, index with its WAL, audit trail, settings) lies on a FUSE file system that keeps
only what was synced, and of the rest what the seed says: nothing, some pages, a prefix of them.
50 cuts; ``make torture`` makes 500. LEADGLASS_POWER_CUT_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.compiling import compile_native
from tests.support.fault_journal import FaultJournal, add_scanner_and_desk, require_recorded
from tests.support.fork_server import ForkServer, fork_server
from tests.support.killed_ingest import LONGEST_S, ingest_until_killed, journal_of
from tests.support.leadglass import leadglass
from tests.support.power_cut_disk import PowerCutDisk, power_cut_disk
from tests.support.processes import ChildProcess, ProcessFailedError
from tests.support.site import LiveSite, make_site

CUTS = int(os.environ.get("LEADGLASS_POWER_CUTS", "50"))
SEED = int(os.environ.get("LEADGLASS_POWER_CUT_SEED", "1"))
LARGE_CUTS = min(20, CUTS // 5)
CHECK_EVERY = 10
CUT_AT_START_EVERY = 5

pytestmark = pytest.mark.timeout(120 + 5 * CUTS)


def site_on(disk: PowerCutDisk, folder: Path) -> LiveSite:
    """A site that was made long before the first power cut."""
    site = make_site(folder)
    add_scanner_and_desk(site)
    shutil.copytree(site.home, disk.mount / "site")
    disk.settle()
    return replace(site, home=disk.mount / "site")


def cut_while_it_starts(
    site: LiveSite, disk: PowerCutDisk, forks: ForkServer, chance: random.Random, seed: int
) -> None:
    """The power may go again while the server recovers."""
    with site.forked(forks) as server:
        time.sleep(chance.uniform(0, LONGEST_S))
        server.kill()
    disk.cut(seed)


def require_no_alarm(server: ChildProcess) -> None:
    """It recovered from a plain power cut: nothing broke, and nothing was found that no cut explains."""
    said = server.text()
    assert "Traceback" not in said, said
    assert "old copy" not in said, said


def require_sound(site: LiveSite) -> None:
    checked = leadglass(site.home, "check")
    assert checked.exit_code == 0, checked


def test_nothing_acknowledged_is_lost_when_the_power_goes(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    journals: list[FaultJournal] = []
    print(f"seed {SEED}")
    with power_cut_disk(tmp_path) as disk, fork_server() as forks:
        site = site_on(disk, tmp_path)
        for cut in range(CUTS):
            if cut % CUT_AT_START_EVERY == 1:
                cut_while_it_starts(site, disk, forks, chance, SEED * 1_000_000 + CUTS + cut)
            with site.forked(forks) as server:
                server.wait_for(r"^ready ", timeout_s=30)
                if journals:
                    journals[-1].require(site)
                journals.append(journal_of(cut, tmp_path))
                ingest_until_killed(site, server, cut, journals[-1], chance)
                require_no_alarm(server)
            disk.cut(SEED * 1_000_000 + cut)
            if cut % CHECK_EVERY == CHECK_EVERY - 1:
                require_sound(site)
                disk.cut(SEED)
                print(f"seed {SEED}: {cut + 1} of {CUTS} power cuts")
        with site.forked(forks) as server:
            server.wait_for(r"^ready ", timeout_s=30)
            for journal in journals[-1:] + chance.sample(journals, min(20, len(journals))):
                assert journal.require(site)
        require_recorded(site, journals)
        require_sound(site)


def test_large_objects_that_were_on_their_way_beside_a_batch_alarm_nobody(tmp_path: Path) -> None:
    """Every second object streams, so that a cut meets several of them, each in a segment of its own."""
    chance = random.Random(SEED)
    journals: list[FaultJournal] = []
    print(f"seed {SEED}")
    with power_cut_disk(tmp_path) as disk, fork_server() as forks:
        site = site_on(disk, tmp_path)
        for cut in range(LARGE_CUTS):
            with site.forked(forks) as server:
                server.wait_for(r"^ready ", timeout_s=30)
                journals.append(journal_of(cut, tmp_path))
                ingest_until_killed(site, server, cut, journals[-1], chance, streamed_every=2)
                require_no_alarm(server)
            disk.cut(SEED * 1_000_000 + cut)
        with site.forked(forks) as server:
            server.wait_for(r"^ready ", timeout_s=30)
            for journal in journals:
                assert journal.require(site)
            require_no_alarm(server)
        require_recorded(site, journals)
        require_sound(site)


def test_the_disk_forgets_what_was_not_synced_and_keeps_what_was(tmp_path: Path) -> None:
    """The rig itself: a disk that forgets nothing would prove nothing."""
    with power_cut_disk(tmp_path) as disk:
        lost = 0
        for seed in range(40):
            folder = disk.mount / str(seed)
            folder.mkdir()
            kept = folder / "kept"
            kept.write_bytes(b"a" * 10_000)
            for path in (kept, folder, disk.mount):
                sync(path)
            with kept.open("ab") as more:
                more.write(b"b" * 10_000)
            (folder / "nameless").write_bytes(b"c")
            sync(folder / "nameless")
            disk.cut(seed)
            content = kept.read_bytes()
            assert content.startswith(b"a" * 10_000)
            lost += content != b"a" * 10_000 + b"b" * 10_000 or not (folder / "nameless").exists()
        assert 20 < lost <= 40


def test_a_folder_that_was_renamed_is_where_it_was_or_where_it_went_with_all_that_was_synced(
    tmp_path: Path,
) -> None:
    """The rig itself, once more: backups and restores are renamed into place."""
    with power_cut_disk(tmp_path) as disk:
        moved = 0
        for seed in range(40):
            draft, final = disk.mount / f"{seed}.draft", disk.mount / f"{seed}.final"
            (draft / "inner").mkdir(parents=True)
            for name in ("outer", "inner/deep"):
                (draft / name).write_bytes(b"kept")
                sync(draft / name)
            for folder in (draft / "inner", draft, disk.mount):
                sync(folder)
            draft.rename(final)
            (final / "late").write_bytes(b"late")
            sync(final / "late")
            if seed % 2:
                sync(disk.mount)
            disk.cut(seed)
            assert draft.exists() != final.exists()
            there = final if final.exists() else draft
            assert (there / "outer").read_bytes() == (there / "inner" / "deep").read_bytes() == b"kept"
            sync(there / "inner")
            moved += there == final
            assert there == final or not seed % 2
        assert 20 <= moved < 40


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def test_a_server_whose_syncs_do_nothing_is_caught(tmp_path: Path) -> None:
    """The rig itself again: what it is there to find, it finds."""
    library = compile_native("no_sync.c", tmp_path / "no_sync.so", "-shared", "-fPIC")
    with power_cut_disk(tmp_path) as disk, fork_server({"LD_PRELOAD": str(library)}) as forks:
        site = site_on(disk, tmp_path)
        journal = journal_of(0, tmp_path)
        with site.forked(forks) as server:
            server.wait_for(r"^ready ", timeout_s=30)
            ingest_until_killed(site, server, 0, journal, random.Random(SEED))
        disk.cut(SEED)
        with pytest.raises((AssertionError, ProcessFailedError), match=r"lost|ended with 1"):
            require_after_start(site, forks, journal)


def require_after_start(site: LiveSite, forks: ForkServer, journal: FaultJournal) -> None:
    with site.forked(forks) as server:
        server.wait_for(r"^ready ", timeout_s=30)
        journal.require(site)
