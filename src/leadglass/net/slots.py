"""How many connections may wait at the door. DESIGN §6.

Only connections that are not yet an association count. When an address has all it may have, its
oldest gives way: a scanner's next attempt gets through even where a broken or hostile
program at the same address keeps opening silent connections. When there is no place left, whoever comes
from a zone takes that of the connection that waits longest, a stranger's before one of its own zone: an
honest caller needs its place for a moment, and many addresses of a zone that hold on to theirs
keep nobody out of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
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
    """There is room; ``evict`` names the connection that must go for it, if any, and ``why`` says so."""

    evict: Hashable | None = None
    why: str = ""


@dataclass(slots=True)
class DoorSlots:
    """Counts the waiting connections. Knows neither sockets nor time."""

    limits: SlotLimits
    zones: frozenset[str]
    _by_address: dict[str, dict[Hashable, Slot]] = field(default_factory=dict)
    _by_zone: dict[str | None, dict[Hashable, Slot]] = field(default_factory=dict)
    _total: int = 0

    def take(self, slot: Slot) -> Granted | None:
        """Ask for a slot; ``None`` if there is none."""
        waiting = self._by_address.get(slot.address, {})
        granted = Granted()
        if len(waiting) >= self.limits.per_address:
            granted = self._evict(waiting, "too many of its address wait")
        elif not self._room_for(slot.zone):
            longest = self._who_gives_way_to(slot.zone)
            if not longest:
                return None
            granted = self._evict(longest, "all places are taken, and it waited longest")
        self._by_address.setdefault(slot.address, {})[slot.key] = slot
        self._by_zone.setdefault(slot.zone, {})[slot.key] = slot
        self._total += 1
        return granted

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
        if zone in self.zones and self._in(zone) < reserved:
            return self._total < self.limits.total
        kept_for_others = sum(max(0, reserved - self._in(other)) for other in self.zones if other != zone)
        return self._total + kept_for_others < self.limits.total

    def _in(self, zone: str | None) -> int:
        return len(self._by_zone.get(zone, ()))

    def _who_gives_way_to(self, zone: str | None) -> Mapping[Hashable, Slot] | None:
        """The connections, oldest first, of which one goes; none for a stranger."""
        if zone not in self.zones:
            return None
        return self._by_zone.get(None) or self._by_zone.get(zone)

    def _evict(self, waiting: Mapping[Hashable, Slot], why: str) -> Granted:
        oldest = next(iter(waiting))
        self._remove(waiting[oldest])
        return Granted(oldest, why)

    def _remove(self, slot: Slot) -> None:
        waiting = self._by_address[slot.address]
        del waiting[slot.key]
        if not waiting:
            del self._by_address[slot.address]
        del self._by_zone[slot.zone][slot.key]
        self._total -= 1
