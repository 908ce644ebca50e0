"""The Nth write, sync, rename or truncate of a serving Leadglass ends it, fails, or does half.

Segments, index, audit trail and the running file alike: the library stands before libc, so SQLite's calls
are met as well as Python's. CI takes some of each kind; ``make torture`` takes every one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from leadglass.dataset.synthetic import SyntheticPatient
from leadglass.protocol.status import Status
from tests.support.failing_calls import Call, Fault, How, compiled, counted, counting
from tests.support.fault_journal import SCANNER_AE, FaultJournal, add_scanner_and_desk, require_recorded
from tests.support.fork_server import ForkServer, fork_server
from tests.support.hostile_data import CT_IMAGE, large, small
from tests.support.processes import ProcessFailedError
from tests.support.raw_peer import DROPPED, RawPeer, contexts_for
from tests.support.site import LiveSite, make_site

EACH = int(os.environ.get("LEADGLASS_FAULTS_EACH", "5"))  # of a kind; 0 is every one
KINDS = [
    *((Call.WRITE, how) for how in How),
    *((Call.SYNC, how) for how in (How.KILL, How.EIO, How.ENOSPC)),
    *((Call.RENAME, how) for how in (How.KILL, How.EIO, How.ENOSPC)),
    *((Call.TRUNCATE, how) for how in (How.KILL, How.EIO)),
]
PATIENT = SyntheticPatient("Fault^Test", "FAULT-1", "19700101", "O")
OBJECTS = 8
STREAMED, STREAMED_BYTES = 3, 9 << 20

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    library = compiled(tmp_path_factory.mktemp("library"))
    with fork_server({"LD_PRELOAD": str(library)}) as server:
        yield server


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> LiveSite:
    """A site that is copied for each fault."""
    site = make_site(tmp_path_factory.mktemp("empty"))
    add_scanner_and_desk(site)
    return site


@pytest.fixture(scope="module")
def calls(forks: ForkServer, empty: LiveSite, tmp_path_factory: pytest.TempPathFactory) -> dict[Call, int]:
    """How many calls of each kind a start, the stores and the end make."""
    folder = tmp_path_factory.mktemp("counted")
    site = copied(empty, folder)
    journal = FaultJournal(folder / "journal", PATIENT)
    with site.forked(forks, counting(site.home, folder / "counts")) as server:
        server.wait_for(r"^ready ", timeout_s=30)
        assert store_all(site, journal) == [Status.SUCCESS] * OBJECTS
        assert server.stop() == 0
    return counted(folder / "counts")


def copied(site: LiveSite, folder: Path) -> LiveSite:
    shutil.copytree(site.home, folder / "site")
    return replace(site, home=folder / "site", folder=folder)


def store_all(site: LiveSite, journal: FaultJournal) -> list[int]:
    """Send every object, whatever becomes of those before; the statuses, until the server is gone."""
    statuses: list[int] = []
    try:
        with RawPeer(site.plain_port) as peer:
            peer.open(SCANNER_AE, contexts_for(CT_IMAGE))
            for number in range(OBJECTS):
                streamed = number == STREAMED
                instance = (
                    large(number, STREAMED_BYTES, PATIENT) if streamed else small(number, patient=PATIENT)
                )
                journal.sending(instance)
                statuses.append(peer.store(1, instance))
                if statuses[-1] == Status.SUCCESS:
                    journal.acknowledge(instance)
    except (*DROPPED, AssertionError):
        return statuses
    return statuses


def numbers(there_are: int) -> list[int]:
    """Which of so many calls fail: the first, the last, and evenly between; or all."""
    if not EACH or there_are <= EACH:
        return list(range(1, there_are + 1))
    return sorted({1 + round(step * (there_are - 1) / (EACH - 1)) for step in range(EACH)})


@pytest.mark.parametrize(("call", "how"), KINDS)
def test_whatever_fails_nothing_acknowledged_is_lost_and_nothing_is_torn(
    forks: ForkServer, empty: LiveSite, calls: dict[Call, int], tmp_path: Path, call: Call, how: How
) -> None:
    assert calls[call], f"no {call} was seen"
    for number in numbers(calls[call]):
        fault = Fault(call, how, number)
        folder = tmp_path / str(number)
        folder.mkdir()
        site = copied(empty, folder)
        journal = FaultJournal(folder / "journal", PATIENT)
        one_fault(forks, site, journal, fault)
        shutil.rmtree(folder)


def one_fault(forks: ForkServer, site: LiveSite, journal: FaultJournal, fault: Fault) -> None:
    statuses: list[int] = []
    with site.forked(forks, fault.environment(site.home)) as server:
        try:
            server.wait_for(r"^ready ", timeout_s=30)
        except ProcessFailedError:
            assert fault.how is not How.SHORT, f"{fault}: half a write kept it from starting"
        else:
            statuses = store_all(site, journal)
        lied_to = fault.call is Call.SYNC and fault.how is How.EIO and Status.OUT_OF_RESOURCES in statuses
        code = server.wait(timeout_s=10) if lied_to else server.stop()
        said = server.text()
    if lied_to:
        assert code == 1, f"{fault}: it went on after a sync that failed: {said}"
        assert Status.SUCCESS not in statuses[statuses.index(Status.OUT_OF_RESOURCES) :], (
            f"{fault}: {statuses}"
        )
    assert "Traceback" not in said, f"{fault}: {said}"
    assert code in ({-9, 0} if fault.how is How.KILL else {0, 1}), f"{fault}: ended with {code}: {said}"
    if code == 1:
        assert "error" in said, f"{fault}: it ended and did not say why"
    print(f"{fault}: ended with {code}, {[f'{status:04x}' for status in statuses]}")
    refused = [status for status in statuses if status != Status.SUCCESS]
    assert set(refused) <= {Status.OUT_OF_RESOURCES}, f"{fault}: {statuses}"
    if fault.how is How.SHORT:
        assert statuses == [Status.SUCCESS] * OBJECTS, f"{fault}: {statuses}: {said}"
    require_whole(forks, site, journal, fault)


def require_whole(forks: ForkServer, site: LiveSite, journal: FaultJournal, fault: Fault) -> None:
    """A later start has everything, and ``check`` finds nothing wrong."""
    with site.forked(forks) as server:
        server.wait_for(r"^ready ", timeout_s=30)
        try:
            journal.require(site)
        except AssertionError as lost:
            raise AssertionError(f"{fault}: {lost}") from lost
        assert server.stop() == 0
    require_recorded(site, [journal])
    with forks.start(["--home", str(site.home), "check"], site.folder / "check.log") as check:
        assert check.wait(timeout_s=30) == 0, f"{fault}: {check.text()}"
