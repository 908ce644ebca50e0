"""What waits for the committer: objects that somebody waits for, and audit lines that nobody does."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterable
from typing import assert_never

from leadglass.archive.jobs import Batch, StoreJob
from leadglass.audit.trail import Line
from leadglass.model.clock import Clock


class Stop:
    """Ends the committer after everything queued before it."""


class _LinesWait:
    """Wakes the committer for the first of some lines; those after it are there when it takes them.

    To wake a thread costs both sides more than to write a line: measured, a quarter of a query.
    """


_Item = StoreJob | threading.Event | Stop | _LinesWait


class Waiting:
    """The queue of one committer. ``put`` and ``add_lines`` from any thread; the rest from its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._lines: deque[Line] = deque()
        self._lines_announced = False

    @property
    def line_count(self) -> int:
        """How many lines wait."""
        return len(self._lines)

    def put(self, item: StoreJob | threading.Event | Stop) -> None:
        """Queue what somebody waits for."""
        self._queue.put(item)

    def add_lines(self, lines: Iterable[Line]) -> None:
        """Queue lines; they are in the batch of whatever is put after them, or in one before it."""
        self._lines.extend(lines)
        if not self._lines_announced:
            self._lines_announced = True
            self._queue.put(_LinesWait())

    def next_batch(self, wait_s: float, gather_until_s: float) -> Batch:
        """Everything that waits, up to a bound; waits itself for ``wait_s`` when there is nothing.

        What nobody waits for is gathered until a time of the clock: a workstation that asks a thousand
        things a second shall not cost a thousand transactions.
        """
        batch = Batch()
        try:
            self._take(batch, self._queue.get(timeout=wait_s))
        except queue.Empty:
            batch.idle = True
        else:
            self._gather(batch, gather_until_s)
        self._lines_announced = False  # first: a line that comes now is taken below, or announced again
        while self._lines:
            batch.lines.append(self._lines.popleft())
        return batch

    def drain(self, batch: Batch) -> None:
        """All that somebody waits for, without waiting for more."""
        while True:
            try:
                self._take(batch, self._queue.get_nowait())
            except queue.Empty:
                return

    def _gather(self, batch: Batch, until_s: float) -> None:
        while not batch.full and not batch.stop:
            left_s = 0.0 if batch.awaited else until_s - self._clock.monotonic_s()
            try:
                self._take(batch, self._queue.get(timeout=left_s) if left_s > 0 else self._queue.get_nowait())
            except queue.Empty:
                return

    def _take(self, batch: Batch, item: _Item) -> None:
        match item:
            case StoreJob():
                batch.add(item)
            case threading.Event():
                batch.flushed.append(item)
            case Stop():
                batch.stop = True
            case _LinesWait():
                pass
            case _:
                assert_never(item)
