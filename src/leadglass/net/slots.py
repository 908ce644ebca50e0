"""How many connections may wait at the door. DESIGN §6.

Only connections that are not yet an association count. When an address has all it may have, its
oldest gives way: a scanner's next attempt gets through even where a broken or hostile
program at the same address keeps opening silent connections.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SlotLimits:
    """``reserved_per_zone`` of ``total`` are kept for each zone of the policy."""

    per_address: int = 32
    total: int = 256
    reserved_per_zone: int = 8


@dataclass(frozen=True, slots=True)
class Slot:
    """One waiting connection. ``zone`` is ``None`` for an address in no zone."""

    key: Hashable
    address: str
    zone: str | None


@dataclass(frozen=True, slots=True)
class Granted:
    """There is room; ``evict`` names the connection that must go for it, if any."""

    evict: Hashable | None = None


@dataclass(slots=True)
class DoorSlots:
    """Counts the waiting connections. Knows neither sockets nor time."""

    limits: SlotLimits
    zones: frozenset[str]
    _by_address: dict[str, dict[Hashable, Slot]] = field(default_factory=dict)
    _by_zone: dict[str | None, int] = field(default_factory=dict)
    _total: int = 0

    def take(self, slot: Slot) -> Granted | None:
        """Ask for a slot; ``None`` if there is none."""
        waiting = self._by_address.get(slot.address, {})
        evict: Hashable | None = None
        if len(waiting) >= self.limits.per_address:
            evict = next(iter(waiting))
            self._remove(waiting[evict])
        elif not self._room_for(slot.zone):
            return None
        self._by_address.setdefault(slot.address, {})[slot.key] = slot
        self._by_zone[slot.zone] = self._by_zone.get(slot.zone, 0) + 1
        self._total += 1
        return Granted(evict)

    def free(self, key: Hashable, address: str) -> None:
        """The connection became an association, or went away. Idempotent."""
        slot = self._by_address.get(address, {}).get(key)
        if slot is not None:
            self._remove(slot)

    @property
    def waiting(self) -> int:
        """How many connections wait."""
        return self._total

    def _room_for(self, zone: str | None) -> bool:
        """Whether it is one of the zone's own reserved slots, or leaves every other zone its own."""
        reserved = self.limits.reserved_per_zone
        if zone in self.zones and self._by_zone.get(zone, 0) < reserved:
            return self._total < self.limits.total
        kept_for_others = sum(
            max(0, reserved - self._by_zone.get(other, 0)) for other in self.zones if other != zone
        )
        return self._total + kept_for_others < self.limits.total

    def _remove(self, slot: Slot) -> None:
        waiting = self._by_address[slot.address]
        del waiting[slot.key]
        if not waiting:
            del self._by_address[slot.address]
        self._by_zone[slot.zone] -= 1
        self._total -= 1
