"""A large object on its way to the disk: digested, sealed and written on a thread, not on the event loop.

The event loop hands over what has arrived and goes on with the other associations. How much waits here is
bounded by whoever hands over: it takes no more from the peer while the stream ``is_behind``.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import structlog

from leadglass.archive.budget import ByteBudget
from leadglass.model.errors import LeadglassError, OutOfResources
from leadglass.storage.large import LargeObject

BEHIND_BYTES = 4 << 20
ITEMS_A_TURN = 32

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Portion:
    """Bytes to write next; ``size_bytes`` of them, which are held in the budget until they are."""

    fragments: Sequence[bytes | memoryview]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class End:
    """All has come. One of the two is told: the SHA-256 of what was written, or why it was not."""

    written: Callable[[bytes], None]
    failed: Callable[[LeadglassError], None]


@dataclass(frozen=True, slots=True)
class _Abort:
    """Nothing more comes, and nothing is to stay."""


class LargeStream:
    """Writes one ``LargeObject``, in order, one thread at a time. No method blocks on the disk.

    ``caught_up`` is called, on the thread, when a stream that was behind is so no more.
    """

    def __init__(
        self,
        large: LargeObject,
        budget: ByteBudget,
        executor: Executor,
        caught_up: Callable[[], None],
    ) -> None:
        self.large = large
        self._budget = budget
        self._executor = executor
        self._caught_up = caught_up
        self._digest = hashlib.sha256()
        self._failure: LeadglassError | None = None
        self._aborted = False
        self._lock = threading.Lock()  # guards what follows
        self._waiting: deque[Portion | End | _Abort] = deque()
        self._waiting_bytes = 0
        self._is_working = False
        self.is_behind = False

    def write(self, portion: Portion) -> None:
        """Have the next bytes written.

        Raises:
            LeadglassError: earlier ones could not be, and nothing of the object is left. These are not
                taken: their place in the budget stays with the caller.
        """
        if self._failure is not None:
            raise self._failure
        with self._lock:
            self._waiting_bytes += portion.size_bytes
            self.is_behind = self.is_behind or self._waiting_bytes > BEHIND_BYTES
        self._queue(portion)

    def finish(self, end: End) -> None:
        """Say that all has come."""
        self._queue(end)

    def abort(self) -> None:
        """Forget the object: what waits is not written any more."""
        self._aborted = True
        self._queue(_Abort())

    def _queue(self, item: Portion | End | _Abort) -> None:
        with self._lock:
            self._waiting.append(item)
            if self._is_working:
                return
            self._is_working = True
        self._take_turn()

    def _take_turn(self) -> None:
        try:
            self._executor.submit(self._work).add_done_callback(self._worked)
        except RuntimeError:  # the server ends, and no thread works any more
            self._work()

    def _work(self) -> None:
        """Do what waits; after some of it, let other streams have the thread."""
        for _ in range(ITEMS_A_TURN):
            with self._lock:
                if not self._waiting:
                    self._is_working = False
                    return
                item = self._waiting[0]  # taken off when it is done, so that a bug loses none
            match item:
                case Portion():
                    self._write(item)
                case End():
                    self._finish(item)
                case _Abort():
                    self.large.abort()
            with self._lock:
                self._waiting.popleft()
            if isinstance(item, Portion):
                self._written(item.size_bytes)
        self._take_turn()

    def _write(self, portion: Portion) -> None:
        if self._failure is not None or self._aborted:
            return
        try:
            for fragment in portion.fragments:
                self._digest.update(fragment)
                self.large.write(fragment)
        except LeadglassError as error:
            self._fail(error)

    def _written(self, size_bytes: int) -> None:
        self._budget.give_back(size_bytes)
        with self._lock:
            self._waiting_bytes -= size_bytes
            caught_up = self.is_behind and self._waiting_bytes <= BEHIND_BYTES // 2
            if caught_up:
                self.is_behind = False
        if caught_up:
            self._caught_up()

    def _finish(self, end: End) -> None:
        if self._failure is None:
            try:
                self.large.settle()
            except LeadglassError as error:
                self._fail(error)
        if self._failure is not None:
            end.failed(self._failure)
        else:
            end.written(self._digest.digest())

    def _fail(self, error: LeadglassError) -> None:
        self._failure = error
        self.large.abort()

    def _worked(self, work: Future[None]) -> None:
        """By a bug it may have broken off: then the object is refused, and whoever waits is told."""
        error = None if work.cancelled() else work.exception()
        if error is not None and self._failure is None:
            log.error("a large object broke", error=type(error).__name__)
            self._fail(OutOfResources("a large object could not be written"))
            self._work()
