"""How many bytes all objects on their way in may hold together."""

from __future__ import annotations

import threading

from leadglass.model.errors import OutOfResources


class ByteBudget:
    """A bound on memory shared by all associations. Safe from any thread."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """What is held now."""
        return self._held_bytes

    def take(self, size_bytes: int) -> None:
        """Hold more.

        Raises:
            OutOfResources: that would be too much; nothing more is held.
        """
        with self._lock:
            if self._held_bytes + size_bytes > self._limit_bytes:
                raise OutOfResources(f"{self._limit_bytes} bytes are on their way in already")
            self._held_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Hold less."""
        with self._lock:
            self._held_bytes -= size_bytes
