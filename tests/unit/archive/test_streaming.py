"""A large object written beside the event loop: in order, bounded, and told of once."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from leadglass.archive import streaming
from leadglass.archive.budget import ByteBudget
from leadglass.archive.streaming import End, LargeStream, Portion
from leadglass.model.errors import LeadglassError, OutOfResources, StorageFailed
from leadglass.model.instance import Location
from leadglass.storage.large import LargeObject
from leadglass.storage.local import LocalSegmentStore
from tests.support.executors import InThisThread
from tests.support.storage import PERMIT, Call, FailingDisk, local_store, object_id

WAIT_S = 20.0
MIB = 1 << 20


@dataclass
class Outcome:
    """What a stream tells at its end."""

    digest: bytes | None = None
    failure: LeadglassError | None = None
    told: threading.Event = field(default_factory=threading.Event)
    times: int = 0

    def end(self) -> End:
        return End(self._written, self._failed)

    def _written(self, digest: bytes) -> None:
        self.digest, self.times = digest, self.times + 1
        self.told.set()

    def _failed(self, error: LeadglassError) -> None:
        self.failure, self.times = error, self.times + 1
        self.told.set()


@dataclass
class Rig:
    """A disk that can fail, a budget, and threads."""

    folder: Path
    disk: FailingDisk
    store: LocalSegmentStore
    executor: ThreadPoolExecutor
    budget: ByteBudget = field(default_factory=lambda: ByteBudget(64 * MIB))
    outcome: Outcome = field(default_factory=Outcome)
    caught_up: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def stream(self, number: int = 1) -> LargeStream:
        large = self.store.begin_large(PERMIT, object_id(number))
        return LargeStream(large, self.budget, self.executor, self.caught_up.release)

    def portion(self, *fragments: bytes) -> Portion:
        size_bytes = sum(map(len, fragments))
        self.budget.take(size_bytes)
        return Portion(fragments, size_bytes)

    def settle(self) -> None:
        """Wait until the threads have nothing to do."""
        self.executor.shutdown(wait=True)

    @property
    def files(self) -> list[Path]:
        return list(self.folder.glob("*.part"))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    disk = FailingDisk()
    folder = tmp_path / "segments"
    store = local_store(folder, disk)
    with ThreadPoolExecutor(2) as executor:
        yield Rig(folder, disk, store, executor)
    store.close()


def test_portions_are_written_in_their_order_whatever_the_threads(rig: Rig) -> None:
    stream, pieces = rig.stream(), [bytes([number % 251]) * 3001 for number in range(500)]
    for piece in pieces:
        stream.write(rig.portion(piece[:1000], piece[1000:]))
    stream.finish(rig.outcome.end())
    assert rig.outcome.told.wait(WAIT_S)
    assert rig.outcome.digest == hashlib.sha256(b"".join(pieces)).digest()
    assert rig.budget.held_bytes == 0
    location = stream.large.finish()
    assert b"".join(rig.store.open(PERMIT, location, object_id(1)).chunks()) == b"".join(pieces)


class Gate:
    """Stands before a large object: nothing is written before it is opened."""

    def __init__(self, large: LargeObject) -> None:
        self.large = large
        self.opened = threading.Event()
        self.broken_by: Exception | None = None

    def write(self, fragment: bytes | memoryview) -> None:
        assert self.opened.wait(WAIT_S)
        if self.broken_by is not None:
            raise self.broken_by
        self.large.write(fragment)

    def settle(self) -> None:
        self.large.settle()

    def abort(self) -> None:
        self.large.abort()

    def finish(self) -> Location:
        return self.large.finish()


def test_who_is_behind_is_told_when_there_is_room_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BEHIND_BYTES", 10_000)
    stream = rig.stream()
    stream.large = gate = Gate(stream.large)
    stream.write(rig.portion(bytes(9_000)))
    before = stream.is_behind
    stream.write(rig.portion(bytes(9_000)))
    assert (before, stream.is_behind) == (False, True)
    assert not rig.caught_up.acquire(blocking=False)
    gate.opened.set()
    assert rig.caught_up.acquire(timeout=WAIT_S)
    after = stream.is_behind
    assert not after
    stream.abort()
    rig.settle()
    assert not rig.caught_up.acquire(blocking=False)


def test_a_full_disk_is_said_at_the_next_portion_and_leaves_nothing(rig: Rig) -> None:
    stream = rig.stream()
    rig.disk.room_bytes = 20_000
    with pytest.raises(StorageFailed):  # noqa: PT012  the thread decides at which
        for _ in range(10_000):
            stream.write(rig.portion(bytes(100_000)))
            assert rig.budget.held_bytes < 40 * MIB
            if stream.is_behind:
                assert rig.caught_up.acquire(timeout=WAIT_S)
    rig.settle()
    assert rig.budget.held_bytes == 100_000  # the portion that was not taken stays the caller's
    assert rig.files == []


@pytest.mark.parametrize(("call", "size_bytes"), [(Call.PWRITEV, 100_000), (Call.FDATASYNC, 100_000)])
def test_what_fails_after_all_has_come_is_told_once(rig: Rig, call: Call, size_bytes: int) -> None:
    rig.disk.failures.append((call, errno.EIO))
    stream = rig.stream()
    stream.write(rig.portion(bytes(size_bytes)))
    stream.finish(rig.outcome.end())
    assert rig.outcome.told.wait(WAIT_S)
    rig.settle()
    assert isinstance(rig.outcome.failure, StorageFailed)
    assert (rig.outcome.times, rig.outcome.digest) == (1, None)
    assert rig.files == []
    assert rig.budget.held_bytes == 0


def test_what_waits_for_an_aborted_object_is_not_written(rig: Rig) -> None:
    stream = rig.stream()
    stream.large = gate = Gate(stream.large)
    for _ in range(100):
        stream.write(rig.portion(bytes(10_000)))
    stream.abort()
    gate.opened.set()
    rig.settle()
    assert rig.disk.calls.count(Call.PWRITEV) <= 1
    assert rig.files == []
    assert rig.budget.held_bytes == 0


def test_a_bug_refuses_the_object_and_nobody_waits_for_ever(rig: Rig) -> None:
    stream = rig.stream()
    stream.large = gate = Gate(stream.large)
    gate.broken_by = ZeroDivisionError("a bug")
    stream.write(rig.portion(bytes(10_000)))
    stream.finish(rig.outcome.end())
    gate.opened.set()
    assert rig.outcome.told.wait(WAIT_S)
    rig.settle()
    assert isinstance(rig.outcome.failure, OutOfResources)
    assert rig.outcome.times == 1
    assert rig.files == []
    assert rig.budget.held_bytes == 0


def test_where_no_thread_works_any_more_the_caller_does_it(rig: Rig) -> None:
    stream = rig.stream()
    rig.settle()
    stream.write(rig.portion(b"abc"))
    stream.finish(rig.outcome.end())
    assert rig.outcome.digest == hashlib.sha256(b"abc").digest()


def test_one_stream_leaves_the_thread_to_others(rig: Rig) -> None:
    """With one thread, a stream with much to do lets another in between its turns."""
    order: list[int] = []

    class Noting(Gate):
        def __init__(self, large: LargeObject, number: int) -> None:
            super().__init__(large)
            self.number = number

        def write(self, fragment: bytes | memoryview) -> None:
            super().write(fragment)
            order.append(self.number)

    with ThreadPoolExecutor(1) as single:
        noting = [Noting(rig.store.begin_large(PERMIT, object_id(number)), number) for number in (1, 2)]
        streams = [LargeStream(each, rig.budget, single, lambda: None) for each in noting]
        for stream in streams:
            for _ in range(100):
                stream.write(rig.portion(b"x"))
        for each in noting:
            each.opened.set()
        while rig.budget.held_bytes:
            pass
    assert sorted(order) == [1] * 100 + [2] * 100
    assert 2 in order[: 2 * streaming.ITEMS_A_TURN]
    for stream in streams:
        stream.abort()


def test_an_executor_without_threads_does_the_same(rig: Rig) -> None:
    large = rig.store.begin_large(PERMIT, object_id(1))
    stream = LargeStream(large, rig.budget, InThisThread(), rig.caught_up.release)
    stream.write(rig.portion(b"ab", b"c"))
    stream.finish(rig.outcome.end())
    assert rig.outcome.digest == hashlib.sha256(b"abc").digest()
