"""How many associations each device has, and all of them. DESIGN §6.

A device that is proven may still be broken, or somebody else's: without a bound it could have every
descriptor and all memory, and keep the other devices out; and so could several of them together. An
association counts until its connection is closed, for so long it costs something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class LiveAssociations:
    """Counts them. Knows neither sockets nor time.

    Where there are ``most_in_all``, a device that has none may still have one: whatever the others
    keep open, none is kept out.
    """

    def __init__(self, most_per_device: int, most_in_all: int) -> None:
        self._most_per_device = most_per_device
        self._most_in_all = most_in_all
        self._by_device: Counter[str] = Counter()

    @property
    def by_device(self) -> Mapping[str, int]:
        """How many there are of each device that has any."""
        return self._by_device

    def why_full(self, device: str) -> str:
        """Why the device may have no further one, for the administrator; empty if it may."""
        if self._by_device[device] >= self._most_per_device:
            return f"{device} has all {self._most_per_device} associations that a device may have at a time"
        if self._by_device[device] and self._by_device.total() >= self._most_in_all:
            return f"{device} has one, and there are all {self._most_in_all} associations that there may be"
        return ""

    def add(self, device: str) -> None:
        """An association of the device began."""
        self._by_device[device] += 1

    def remove(self, device: str) -> None:
        """The connection of one of its associations is closed."""
        self._by_device[device] -= 1
        if not self._by_device[device]:
            del self._by_device[device]
