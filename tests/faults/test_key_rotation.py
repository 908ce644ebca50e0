"""The site key is rotated again and again, under load, and killed at random: no object is ever unreadable."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leadglass.dataset.synthetic import SyntheticPatient
from leadglass.protocol.status import Status
from leadglass.protocol.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from leadglass.storage.keys import FileKeyProvider
from tests.support.client import Client
from tests.support.fault_journal import (
    DESK_AE,
    SCANNER_AE,
    FaultJournal,
    add_scanner_and_desk,
    require_recorded,
)
from tests.support.fork_server import ForkServer, fork_server
from tests.support.hostile_data import CT_IMAGE, large, small
from tests.support.leadglass import leadglass
from tests.support.raw_peer import RawPeer, contexts_for
from tests.support.site import ARCHIVE_AE, LiveSite, make_site

ROTATIONS = int(os.environ.get("LEADGLASS_ROTATIONS", "20"))
SEED = int(os.environ.get("LEADGLASS_KILL_SEED", "1"))
STREAMED_EVERY, STREAMED_BYTES = 25, 9 << 20
PATIENT = SyntheticPatient("Rotate^Test", "ROTATE-1", "19700101", "O")

pytestmark = pytest.mark.timeout(900)


@contextmanager
def storing(site: LiveSite, journal: FaultJournal) -> Iterator[None]:
    """A scanner that stores without a pause; each of its stores must succeed."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with RawPeer(site.plain_port) as peer:
                peer.open(SCANNER_AE, contexts_for(CT_IMAGE))
                number = 0
                while not stop.is_set():
                    number += 1
                    streamed = number % STREAMED_EVERY == 0
                    instance = (
                        large(number, STREAMED_BYTES, PATIENT) if streamed else small(number, patient=PATIENT)
                    )
                    journal.sending(instance)
                    assert peer.store(1, instance) == Status.SUCCESS
                    journal.acknowledge(instance)
                    time.sleep(0.02)
        except BaseException as error:  # noqa: BLE001  told to the test below
            failures.append(error)

    scanner = threading.Thread(target=work)
    scanner.start()
    try:
        yield
    finally:
        stop.set()
        scanner.join()
    assert not failures, failures


def rotate(forks: ForkServer, site: LiveSite, number: int, kill_after_s: float | None) -> None:
    with forks.start(
        ["--home", str(site.home), "keys", "rotate"], site.folder / f"rotate-{number}"
    ) as rotating:
        if kill_after_s is None:
            assert rotating.wait(timeout_s=60) == 0, rotating.text()
            assert "Traceback" not in rotating.text()
        else:
            time.sleep(kill_after_s)
            rotating.kill()


def keys_of(site: LiveSite) -> set[str]:
    return {path.name for path in (site.home / "keys").glob("site-*.key")}


def test_keys_are_rotated_under_load_and_killed_and_every_object_reads(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    site = make_site(tmp_path)
    add_scanner_and_desk(site)
    journal = FaultJournal(tmp_path / "journal", PATIENT)
    first = keys_of(site)
    with fork_server() as forks:
        with site.forked(forks) as server:
            server.wait_for(r"^ready ", timeout_s=30)
            with storing(site, journal):
                for number in range(ROTATIONS):
                    last = number == ROTATIONS - 1
                    rotate(forks, site, number, None if last or number % 7 == 6 else chance.uniform(0.1, 1.5))
            assert journal.require(site)
            assert server.stop() == 0
        with site.forked(forks) as server:
            server.wait_for(r"^ready ", timeout_s=30)
            assert journal.require(site)
            rotate(forks, site, ROTATIONS, None)
            assert journal.require(site)
    assert len(keys_of(site)) == 1
    assert not keys_of(site) & first
    require_recorded(site, [journal])
    assert leadglass(site.home, "check").exit_code == 0


def test_without_a_lost_key_its_objects_are_unavailable_and_the_others_are_served(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    add_scanner_and_desk(site)
    (lost,) = keys_of(site)
    before, after = (
        FaultJournal(tmp_path / name, SyntheticPatient("Lost^Key", name, "19700101", "O"))
        for name in ("BEFORE", "AFTER")
    )
    with site.served():
        store_one(site, before, 1)
    FileKeyProvider(site.home / "keys").renew(os.urandom)  # as far as a rotation comes that is killed early
    with site.served():
        store_one(site, after, 2)
    (site.home / "keys" / lost).unlink()
    with site.served() as server:
        assert after.require(site) == 1
        desk = Client(site.plain_port, DESK_AE, ARCHIVE_AE, None)
        got = desk.get_patient("BEFORE", [(CT_IMAGE, EXPLICIT_VR_LITTLE_ENDIAN)])
        assert got.objects == {}
        assert got.end.status == Status.OUT_OF_RESOURCES_SUBOPERATIONS
        assert "Traceback" not in server.text()
    checked = leadglass(site.home, "check")
    assert checked.exit_code == 5
    assert f"restore {site.home / 'keys' / lost} from the backup" in checked.err.replace("\n", " ")
    rotated = leadglass(site.home, "keys", "rotate", "--json")
    assert rotated.exit_code == 5
    assert rotated.json()["unreadable"] == 1


def store_one(site: LiveSite, journal: FaultJournal, number: int) -> None:
    with RawPeer(site.plain_port) as peer:
        peer.open(SCANNER_AE, contexts_for(CT_IMAGE))
        instance = small(number, patient=journal.patient)
        journal.sending(instance)
        assert peer.store(1, instance) == Status.SUCCESS
        journal.acknowledge(instance)
