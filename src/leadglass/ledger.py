"""What each caller used within the last hour: objects, bytes, and which patients it was shown.

In memory alone, and empty after a start. Patients stand here as numbers that say nothing of them. For one
thread; the time is an argument.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from leadglass.model.permit import NOTHING, Scope
from leadglass.model.usage import Usage

HOUR_S: Final = 3600.0
BUCKET_S: Final = 60.0
MAX_PATIENTS: Final = 1_000_000
"""As many as an account tells apart; no budget permits more."""


class Traffic(StrEnum):
    """What is counted apart."""

    STORES = "stores"
    READING = "reading"
    SENDING = "sending"  # of the archive itself, to one device
    READING_OF_PEOPLE = "reading of people"  # who may be called like a device


@dataclass(slots=True)
class _Minute:
    began_s: float
    objects: int = 0
    size_bytes: int = 0


@dataclass(slots=True)
class Account:
    """One caller's traffic of one kind. Objects and bytes are forgotten by the minute, as are patients.

    ``is_over``: more was asked for than fits, and there was no room since.
    ``granted`` is up to how many patients the policy's last answer let be shown, and of which objects: so
    that a search for one is decided once.
    """

    minutes: deque[_Minute] = field(default_factory=deque)
    objects: int = 0
    size_bytes: int = 0
    seen: dict[Hashable, float] = field(default_factory=dict)
    sweep_s: float = 0.0  # when the first of them may be forgotten
    alerted_s: float = -math.inf
    is_over: bool = False
    granted: tuple[Scope, int] = (NOTHING, 0)

    def used(self, now_s: float) -> Usage:
        """All of the last hour."""
        self._expire(now_s)
        return Usage(self.objects, self.size_bytes, len(self.seen))

    def unseen(self, patients: Iterable[Hashable]) -> list[Hashable]:
        """Those of them that this hour has not shown yet, each once, in order."""
        seen = self.seen
        return [patient for patient in dict.fromkeys(patients) if patient not in seen]

    def add(self, now_s: float, objects: int, size_bytes: int) -> None:
        """So much was moved."""
        if not self.minutes or now_s - self.minutes[-1].began_s >= BUCKET_S:
            self.minutes.append(_Minute(now_s))
        self._change(self.minutes[-1], objects, size_bytes)

    def give_back(self, objects: int, size_bytes: int) -> None:
        """So much was not moved after all: take it off the last minutes."""
        for minute in reversed(self.minutes):
            less_objects, less_bytes = min(objects, minute.objects), min(size_bytes, minute.size_bytes)
            self._change(minute, -less_objects, -less_bytes)
            objects -= less_objects
            size_bytes -= less_bytes

    def see(self, now_s: float, patients: Iterable[Hashable]) -> None:
        """These were shown now."""
        for patient in patients:
            if len(self.seen) < MAX_PATIENTS or patient in self.seen:
                self.seen[patient] = now_s

    def leading_seen(self, patients: Sequence[Hashable]) -> int:
        """How many of them come before the first that this hour has not shown."""
        unseen = (number for number, patient in enumerate(patients) if patient not in self.seen)
        return next(unseen, len(patients))

    def exceed(self, now_s: float) -> bool:
        """More was asked for than fits. Whether that is worth an alert: the first within an hour is."""
        self.is_over = True
        if now_s - self.alerted_s < HOUR_S:
            return False
        self.alerted_s = now_s
        return True

    def _change(self, minute: _Minute, objects: int, size_bytes: int) -> None:
        minute.objects += objects
        minute.size_bytes += size_bytes
        self.objects += objects
        self.size_bytes += size_bytes

    def _expire(self, now_s: float) -> None:
        while self.minutes and self.minutes[0].began_s <= now_s - HOUR_S:
            oldest = self.minutes.popleft()
            self.objects -= oldest.objects
            self.size_bytes -= oldest.size_bytes
        if now_s >= self.sweep_s:
            self.seen = {patient: at_s for patient, at_s in self.seen.items() if at_s > now_s - HOUR_S}
            self.sweep_s = max(min(self.seen.values(), default=now_s) + HOUR_S, now_s + BUCKET_S)


class Ledger:
    """The accounts of all callers. One that had no traffic for an hour is dropped."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[Traffic, str], Account] = {}

    def __len__(self) -> int:
        """How many callers it holds an account of."""
        return len(self._accounts)

    def account(self, traffic: Traffic, who: str) -> Account:
        """The account of a caller that is proven; a new one where it has none."""
        account = self._accounts.get((traffic, who))
        if account is None:
            account = self._accounts[traffic, who] = Account()
        return account

    def forget_idle(self, now_s: float) -> None:
        """Drop the accounts of whoever did nothing within the hour, and was told of in none."""
        for key, account in list(self._accounts.items()):
            if account.used(now_s) == Usage() and now_s - account.alerted_s >= HOUR_S:
                del self._accounts[key]


def before_one_more(used: Usage, wanted: Usage) -> Usage:
    """What a budget weighs of something that uses ``wanted``: all of it, but for the last of each.

    So the question is always whether one more fits. Patients play no part where none is wanted.
    """
    return replace(
        used,
        objects=max(used.objects + wanted.objects - 1, 0),
        size_bytes=max(used.size_bytes + wanted.size_bytes - 1, 0),
        patients=used.patients + wanted.patients - 1 if wanted.patients else 0,
    )
