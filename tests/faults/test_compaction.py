"""Compaction, killed at random, by itself and in a server that serves: nothing that lives is lost."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from leadglass.app import Home, local_site
from leadglass.archive.deletion import Subject
from leadglass.dataset.synthetic import SyntheticPatient
from leadglass.model.action import Verb
from leadglass.model.names import Uid
from leadglass.model.query import Level
from leadglass.use_cases import deleter_of
from tests.support.fault_journal import FaultJournal, add_scanner_and_desk
from tests.support.fork_server import fork_server
from tests.support.leadglass import leadglass
from tests.support.site import LiveSite, make_site
from tests.support.stored import store_acknowledged

ROUNDS = int(os.environ.get("LEADGLASS_COMPACTIONS", "12"))
SEED = int(os.environ.get("LEADGLASS_KILL_SEED", "1"))
KEPT, DOOMED = 8, 24

pytestmark = pytest.mark.timeout(600)


def erase(site: LiveSite, studies: list[str]) -> None:
    with local_site(Home(site.home)) as opened:
        permit, deleter = opened.permit(Verb.DELETE), deleter_of(opened)
        for study in studies:
            deleter.delete(permit, Subject(Level.STUDY, Uid(study)), "test")
            deleter.condemn(permit, Uid(study))
        assert deleter.erase(permit, lambda _done: True) == len(studies)


def test_killed_compactions_lose_nothing_and_all_room_comes_back(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    site = make_site(tmp_path)
    add_scanner_and_desk(site)
    kept = FaultJournal(tmp_path / "kept", SyntheticPatient("Kept^Test", "KEPT", "19700101", "O"))
    doomed = FaultJournal(tmp_path / "doomed", SyntheticPatient("Doomed^Test", "DOOMED", "19700101", "O"))
    with fork_server() as forks:
        for number in range(ROUNDS):
            with site.forked(forks) as server:
                server.wait_for(r"^ready ", timeout_s=30)  # it compacts what the round before left
                store_acknowledged(site, kept, number * 1000, KEPT)
                studies = store_acknowledged(site, doomed, number * 1000 + 500, DOOMED)
                assert kept.require(site) == (number + 1) * KEPT
                server.kill() if number % 2 else server.stop()
            erase(site, studies)
            if number % 3:
                compacting = ["--home", str(site.home), "compact"]
                with forks.start(compacting, site.folder / "command.log") as command:
                    time.sleep(chance.uniform(0.02, 0.5))
                    command.kill()
        with site.forked(forks) as server:
            server.wait_for(r"^ready ", timeout_s=30)
            assert kept.require(site) == ROUNDS * KEPT
    ended = leadglass(site.home, "compact", "--json")
    assert ended.exit_code == 0, ended
    checked = leadglass(site.home, "check", "--json")
    assert checked.exit_code == 0, checked
    assert checked.json()["objects"] == ROUNDS * KEPT
    assert site.audit("segment.compacted")
    left = leadglass(site.home, "compact", "--dry-run", "--json").json()
    assert left == []
