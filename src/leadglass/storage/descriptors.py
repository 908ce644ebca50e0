"""A bounded cache of open segments, shared by all reading threads."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _Entry:
    descriptor: int
    borrowers: int
    forgotten: bool


class DescriptorCache:
    """Keeps at most ``limit`` segments open, the latest used, besides those in use at the moment."""

    def __init__(self, open_segment: Callable[[str], int], limit: int) -> None:
        self._open_segment = open_segment
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    @contextmanager
    def borrow(self, segment: str) -> Iterator[int]:
        """A descriptor that stays open inside the block. Raises as ``open_segment``."""
        with self._lock:
            entry = self._entries.get(segment)
            if entry is None:
                entry = _Entry(self._open_segment(segment), borrowers=0, forgotten=False)
                self._entries[segment] = entry
            else:
                self._entries.move_to_end(segment)
            entry.borrowers += 1
            self._shrink()
        try:
            yield entry.descriptor
        finally:
            with self._lock:
                entry.borrowers -= 1
                if entry.forgotten and not entry.borrowers:
                    os.close(entry.descriptor)
                self._shrink()

    def forget(self, segment: str) -> None:
        """Close a segment, once nobody reads it any more."""
        with self._lock:
            entry = self._entries.pop(segment, None)
            if entry is not None:
                self._let_go(entry)

    def close(self) -> None:
        """Close all, each once nobody reads it any more."""
        with self._lock:
            while self._entries:
                self._let_go(self._entries.popitem()[1])

    def _shrink(self) -> None:
        excess = len(self._entries) - self._limit
        if excess <= 0:
            return
        idle = [name for name, entry in self._entries.items() if not entry.borrowers]
        for name in idle[:excess]:
            os.close(self._entries.pop(name).descriptor)

    def _let_go(self, entry: _Entry) -> None:
        entry.forgotten = True
        if not entry.borrowers:
            os.close(entry.descriptor)
