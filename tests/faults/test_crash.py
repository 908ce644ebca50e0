"""kill -9 while scanners store, again and again: what was acknowledged is there, and nothing is half there.

kill -9 keeps what the kernel has: that unsynced writes are lost in a power cut is another test's matter.
300 kills; ``make torture`` makes 10,000. A failure names its kill, and LEADGLASS_KILL_SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest

from tests.support.fault_journal import FaultJournal, add_scanner_and_desk, require_recorded
from tests.support.fork_server import ForkServer, fork_server
from tests.support.killed_ingest import LONGEST_S, ingest_until_killed, journal_of
from tests.support.leadglass import leadglass
from tests.support.processes import ProcessFailedError
from tests.support.site import LiveSite, make_site

KILLS = int(os.environ.get("LEADGLASS_KILLS", "300"))
SEED = int(os.environ.get("LEADGLASS_KILL_SEED", "1"))
CHECK_EVERY = 100
KILL_AT_START_EVERY = 5

pytestmark = pytest.mark.timeout(120 + 3 * KILLS)


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
    print(f"seed {SEED}")
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


def test_a_killed_server_is_not_served_whoever_has_its_number_now(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    with site.served() as server:
        running = leadglass(site.home, "status", "--json").json()["running"]
        assert running["pid"] == server.pid
        server.kill()
    left = json.loads((site.home / "run" / "server.json").read_bytes())
    assert left["pid"] == running["pid"]
    (site.home / "run" / "server.json").write_text(json.dumps({**left, "pid": os.getpid()}))
    status = leadglass(site.home, "status", "--json")
    assert (status.exit_code, status.json()["running"]) == (0, None)
