"""Who a caller turned out to be."""

from __future__ import annotations

from dataclasses import dataclass

from leadglass.model.decision import Rung
from leadglass.policy.model import Device, Learning, Zone


@dataclass(frozen=True, slots=True)
class Identity:
    """How far the identification came: the rungs tcp, zone, transport and device.

    ``who`` is the proven name, or the bare address of a stranger. ``guard`` is empty, or names the
    guard that stopped the caller; then the last rung has failed and ``fix`` says how to make it right.
    ``groups`` are those a person belongs to. ``learning`` is the line by which a stranger is watched.
    """

    who: str
    device: Device | None
    zone: Zone | None
    rungs: tuple[Rung, ...]
    guard: str = ""
    fix: str = ""
    groups: frozenset[str] = frozenset()
    learning: Learning | None = None

    @property
    def is_known(self) -> bool:
        """Whether no guard stopped the caller."""
        return not self.guard
