"""Deletion and erasure, killed at random while a scanner stores: nothing else is lost, nothing half done."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from leadglass.dataset.synthetic import SyntheticPatient
from leadglass.protocol.status import Status
from leadglass.protocol.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from tests.support.client import Client
from tests.support.fault_journal import DESK_AE, FaultJournal, add_scanner_and_desk
from tests.support.fork_server import ForkServer, fork_server
from tests.support.hostile_data import CT_IMAGE
from tests.support.leadglass import leadglass
from tests.support.site import ARCHIVE_AE, LiveSite, make_site
from tests.support.stored import store_acknowledged

ROUNDS = int(os.environ.get("LEADGLASS_DELETIONS", "20"))
SEED = int(os.environ.get("LEADGLASS_KILL_SEED", "1"))
EACH = 12

pytestmark = pytest.mark.timeout(600)


def run_and_kill(forks: ForkServer, site: LiveSite, after_s: float, *arguments: str) -> None:
    with forks.start(["--home", str(site.home), *arguments], site.folder / "command.log") as command:
        time.sleep(after_s)
        command.kill()


def test_killed_deletions_and_erasures_lose_nothing_else_and_are_finished(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    site = make_site(tmp_path)
    add_scanner_and_desk(site)
    kept = FaultJournal(tmp_path / "kept", SyntheticPatient("Kept^Test", "KEPT", "19700101", "O"))
    doomed = FaultJournal(tmp_path / "doomed", SyntheticPatient("Doomed^Test", "DOOMED", "19700101", "O"))
    why = ("--reason", "test", "--yes")
    with fork_server() as forks:
        for number in range(ROUNDS):
            served = number % 2 == 0
            with site.forked(forks) as server:
                server.wait_for(r"^ready ", timeout_s=30)
                store_acknowledged(site, kept, number * 1000, EACH)
                studies = store_acknowledged(site, doomed, number * 1000 + 500, EACH)
                if served:
                    run_and_kill(forks, site, chance.uniform(0.05, 0.6), "delete", "study", studies[0], *why)
                    kept.require(site)
                server.kill() if number % 3 == 0 else server.stop()
            for study in studies[: 1 + number % 3]:
                deleting = ("--home", str(site.home), "delete", "study", study, *why)
                with forks.start(deleting, site.folder / "command.log") as command:
                    command.wait(timeout_s=30)
                run_and_kill(
                    forks, site, chance.uniform(0.05, 0.6), "bin", "empty", "--study", study, "--yes"
                )
        with site.forked(forks) as server:
            server.wait_for(r"^ready ", timeout_s=30)
            assert kept.require(site) == ROUNDS * EACH
            desk = Client(site.plain_port, DESK_AE, ARCHIVE_AE, None)
            got = desk.get_patient("DOOMED", [(CT_IMAGE, EXPLICIT_VR_LITTLE_ENDIAN)])
            assert got.end.status == Status.SUCCESS
            left = set(got.objects)
    assert left < doomed.acknowledged.keys()
    emptied = leadglass(site.home, "bin", "empty", "--json")
    assert emptied.exit_code == 0
    listed = leadglass(site.home, "bin", "list", "--json").json()
    binned = sum(each["instances"] for each in listed)
    erased = {line.event.instance for line in site.audit("instance.erased", count=100_000)}
    assert len(left) + binned + len(erased) == ROUNDS * EACH
    assert erased
    checked = leadglass(site.home, "check", "--json")
    assert checked.exit_code == 0, checked
    assert checked.json()["objects"] == ROUNDS * EACH + len(left) + binned
