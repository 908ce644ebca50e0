"""What a caller did within an hour, as budgets count it. Numbers only: nobody is named here, ever."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """How much: ``objects`` and ``size_bytes`` that were moved, and distinct ``patients``."""

    objects: int = 0
    size_bytes: int = 0
    patients: int = 0


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Load:
    """What one transfer will use. ``patients`` are row numbers or hashes, which say nothing of them."""

    objects: int
    size_bytes: int
    patients: frozenset[Hashable] = frozenset()
