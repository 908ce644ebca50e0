"""How many associations each device has. DESIGN §6.

A device that is proven may still be broken, or somebody else's: without a bound it could have every
descriptor and all memory, and keep the other devices out. An association counts until its connection is
closed, for so long it costs something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class LiveAssociations:
    """Counts them. Knows neither sockets nor time."""

    def __init__(self, most_per_device: int) -> None:
        self._most_per_device = most_per_device
        self._by_device: Counter[str] = Counter()

    @property
    def by_device(self) -> Mapping[str, int]:
        """How many there are of each device that has any."""
        return self._by_device

    def why_full(self, device: str) -> str:
        """Why the device may have no further one, for the administrator; empty if it may."""
        if self._by_device[device] < self._most_per_device:
            return ""
        return f"{device} has all {self._most_per_device} associations that a device may have at a time"

    def add(self, device: str) -> None:
        """An association of the device began."""
        self._by_device[device] += 1

    def remove(self, device: str) -> None:
        """The connection of one of its associations is closed."""
        self._by_device[device] -= 1
        if not self._by_device[device]:
            del self._by_device[device]
