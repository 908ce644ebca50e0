"""Fold repeated refusals, so that a flood of them cannot fill the disk. Pure; time is an argument."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from leadglass.model.decision import RungState, Step
from leadglass.model.event import AuditEvent, Outcome

WINDOW_S: Final = 60.0
MAX_KEYS: Final = 1_024
MAX_REASONS: Final = 16
OTHER_ADDRESSES: Final = "other addresses"

_NOT_FOLDED: Final = frozenset({"kind", "outcome", "ladder", "count"})
_TEXTS: Final = tuple(field.name for field in fields(AuditEvent) if field.name not in _NOT_FOLDED)


@dataclass(frozen=True, slots=True)
class _Key:
    """What refusals folded into one line share; ``told`` is why and as whom, or ``None`` for any."""

    address: str
    step: Step | None
    kind: str
    told: tuple[str, str] | None


@dataclass(slots=True)
class _Window:
    opened_s: float
    folded: AuditEvent | None = None  # what all repeats agree on; count is their number, but for ...
    last: AuditEvent | None = None
    again: int = 0  # ... how often the last came again, the very same: a flood's, and cheap to count

    def fold(self, event: AuditEvent) -> None:
        """One more repeat."""
        if event is self.last:
            self.again += event.count
        else:
            self.folded = event if self.folded is None else _common(self.folded, event)
            self.last = event

    @property
    def sum(self) -> AuditEvent | None:
        """All repeats as one line, if there were any."""
        folded = self.folded
        return folded if folded is None else replace(folded, count=folded.count + self.again)


class DenialCoalescer:
    """Records a refusal at once, and its repeats of the next minute as one line.

    A repeat is of the same address, failed step, kind, reason and calling AE title. What an address can
    vary at will is bounded: past MAX_REASONS lines of its own in a minute, its refusals are folded by step
    and kind. At most MAX_KEYS windows are open; refusals beyond are folded by step and kind alone, as from
    ``other addresses``. A line of repeats carries their number in ``count``, and of its other fields
    those on which they all agree. For one thread.
    """

    def __init__(self) -> None:
        self._windows: OrderedDict[_Key, _Window] = OrderedDict()  # in the order they were opened
        self._reasons: Counter[str] = Counter()  # open windows with a reason of their own, by address

    def admit(self, event: AuditEvent, now_s: float) -> list[AuditEvent]:
        """What to record now: the event unless it is folded, after the sums of windows that ended."""
        due = self.flush(now_s)
        if event.outcome is not Outcome.DENIED:
            return [*due, event]
        key = self._key(event)
        if key not in self._windows and len(self._windows) >= MAX_KEYS:
            event = _anonymous(event)
            key = _key(event, None)
        window = self._windows.get(key)
        if window is None:
            self._open(key, now_s)
            return [*due, event]
        window.fold(event)
        return due

    def flush(self, now_s: float) -> list[AuditEvent]:
        """The sums of windows that ended; of all with ``math.inf``."""
        due: list[AuditEvent] = []
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if now_s < window.opened_s + WINDOW_S:
                break
            self._close(key)
            total = window.sum
            if total is not None:
                due.append(total)
        return due

    def _key(self, event: AuditEvent) -> _Key:
        exact = _key(event, (event.reason, event.calling_ae))
        if exact in self._windows or self._reasons[event.address] < MAX_REASONS:
            return exact
        return replace(exact, told=None)

    def _open(self, key: _Key, now_s: float) -> None:
        self._windows[key] = _Window(now_s)
        if key.told is not None:
            self._reasons[key.address] += 1

    def _close(self, key: _Key) -> None:
        del self._windows[key]
        if key.told is not None:
            self._reasons[key.address] -= 1
            if not self._reasons[key.address]:
                del self._reasons[key.address]


def _key(event: AuditEvent, told: tuple[str, str] | None) -> _Key:
    failed = next((rung.step for rung in event.ladder if rung.state is RungState.FAILED), None)
    return _Key(event.address, failed, event.kind, told)


def _anonymous(event: AuditEvent) -> AuditEvent:
    """The event without whatever a flood from many addresses could vary at will."""
    return replace(
        event,
        address=OTHER_ADDRESSES,
        who="",
        calling_ae="",
        called_ae="",
        association="",
        study="",
        instance="",
        patient_id="",
    )


def _common(one: AuditEvent, other: AuditEvent) -> AuditEvent:
    """Both as one: their counts summed, and each text on which they differ left empty."""
    differing: dict[str, Any] = {name: "" for name in _TEXTS if getattr(one, name) != getattr(other, name)}
    ladder = tuple(
        rung if rung == another else replace(rung, detail="")
        for rung, another in zip(one.ladder, other.ladder, strict=False)
    )
    return replace(one, count=one.count + other.count, ladder=ladder, **differing)
