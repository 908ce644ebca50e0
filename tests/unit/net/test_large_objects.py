"""A large object comes faster than the disk takes it: it is waited for, and nobody else waits with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from leadglass.archive import streaming
from leadglass.protocol import commands as c
from leadglass.protocol.services import VERIFICATION
from leadglass.protocol.status import Status
from tests.support.archive_rig import ct_images
from tests.support.net_rig import CT_IMAGE, EXPLICIT, NetRig, net_rig, run, until

STORE = [(CT_IMAGE, (EXPLICIT,))]
ECHO = [(VERIFICATION, (EXPLICIT,))]
LARGE, SMALL = ct_images(1, 7, rows=60_000)[0], ct_images(1)[0]
REQUEST = c.CStoreRq(1, LARGE.sop_class, LARGE.sop_instance)


@pytest.fixture(autouse=True)
def _soon_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BEHIND_BYTES", 64 << 10)


@contextmanager
def slow_disk(rig: NetRig) -> Iterator[threading.Event]:
    """Large objects are written by one thread, which begins when told."""
    begin = threading.Event()
    with ThreadPoolExecutor(1) as writer:
        writer.submit(begin.wait)
        rig.archive.ingest.executor = writer
        try:
            yield begin
        finally:
            begin.set()


async def held_bytes_rest(rig: NetRig) -> int:
    """What is held once no more is taken from the peer."""
    before = -1
    while before != (now := rig.archive.ingest.budget.held_bytes) or not now:
        before = now
        await asyncio.sleep(0.2)
    return now


def test_it_is_read_at_the_pace_of_the_disk_while_others_are_served(tmp_path: Path) -> None:
    assert len(LARGE.dataset) > 1 << 20

    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            with slow_disk(rig) as begin:
                peer, other = await rig.raw("CT1", STORE), await rig.raw("CT1", STORE)
                sending = asyncio.create_task(peer.send(1, REQUEST, LARGE.dataset))
                assert await held_bytes_rest(rig) < 512 << 10
                await other.send(1, c.CStoreRq(9, SMALL.sop_class, SMALL.sop_instance), SMALL.dataset)
                assert await other.command() == c.CStoreRsp(9, 0, CT_IMAGE, SMALL.sop_instance)
                begin.set()
                await sending
                assert await peer.command() == c.CStoreRsp(1, 0, CT_IMAGE, LARGE.sop_instance)
                assert rig.archive.ingest.budget.held_bytes == 0
                peer.close()
                other.close()

    run(scenario())


def test_a_disk_that_fills_meanwhile_refuses_it_and_the_next_one_is_served(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            with slow_disk(rig) as begin:
                peer = await rig.raw("CT1", STORE)
                sending = asyncio.create_task(peer.send(1, REQUEST, LARGE.dataset))
                await held_bytes_rest(rig)
                rig.archive.disk.room_bytes = 100_000
                begin.set()
                await sending
                answer = await peer.command()
                assert isinstance(answer, c.CStoreRsp)
                assert answer.status == Status.OUT_OF_RESOURCES
                rig.archive.disk.room_bytes = None
                [line] = await rig.audit("instance.refused")
                assert line.event.instance == LARGE.sop_instance
                await peer.send(1, replace(REQUEST, message_id=2), LARGE.dataset)
                assert await peer.command() == c.CStoreRsp(2, 0, CT_IMAGE, LARGE.sop_instance)
                assert rig.archive.ingest.budget.held_bytes == 0
                peer.close()

    run(scenario())


def test_a_disk_that_fails_at_the_very_end_refuses_it_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            with slow_disk(rig) as begin:
                peer = await rig.raw("CT1", STORE)
                fits = LARGE.dataset[: 150 << 10]
                sending = asyncio.create_task(peer.send(1, REQUEST, fits))
                await held_bytes_rest(rig)
                rig.archive.disk.room_bytes = 1000
                begin.set()
                await sending
                answer = await peer.command()
                assert isinstance(answer, c.CStoreRsp)
                assert answer.status == Status.OUT_OF_RESOURCES
                [line] = await rig.audit("instance.refused")
                assert line.event.ladder
                assert not list((rig.archive.folder / "segments").glob("*.part"))
                peer.close()

    run(scenario())


def test_a_peer_that_vanishes_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            with slow_disk(rig) as begin:
                peer = await rig.raw("CT1", STORE)
                await peer.send_part(1, REQUEST, LARGE.dataset[: 200 << 10])
                await held_bytes_rest(rig)
                peer.reset()
                begin.set()
                await until(lambda: not rig.acceptors)
                await until(lambda: rig.archive.ingest.budget.held_bytes == 0)
                await until(lambda: not list((rig.archive.folder / "segments").glob("*.part")))

    run(scenario())
