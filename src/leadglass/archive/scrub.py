"""The scrubber: reads every object again and again, slowly, so that damage is found while a copy is left.

It visits what is served, quarantined and in the bin, in the order in which it lies on the disk; verifies
every chunk and the SHA-256 kept at ingest; and remembers where it is, so that a restart goes on there. A
damaged object is told once, and told again only when it reads well.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from leadglass.archive.recording import Recorder
from leadglass.index.damages import Damages, Pass
from leadglass.index.entries import from_microseconds, microseconds
from leadglass.index.inventory import Held
from leadglass.model.clock import Clock
from leadglass.model.errors import IntegrityBroken, KeyUnavailable
from leadglass.model.event import Outcome, under
from leadglass.model.permit import Permit
from leadglass.storage.store import SegmentStore

OBJECTS_AT_ONCE = 64
KEEP_EVERY_STEPS = 15


@dataclass(frozen=True, slots=True)
class ScrubPlan:
    """``every``: a pass begins so long after the last one began. ``bytes_per_step``: read in one step."""

    every: timedelta
    bytes_per_step: int


class Scrubber:
    """One site's scrubber. ``step`` is called about once a second, by one thread at a time."""

    def __init__(
        self, damages: Damages, store: SegmentStore, recorder: Recorder, clock: Clock, plan: ScrubPlan
    ) -> None:
        self._damages = damages
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._plan = plan
        self._pass: Pass | None = None
        self._waiting: list[Held] = []
        self._known: frozenset[bytes] = frozenset()
        self._debt_bytes = 0
        self._unkept = 0

    def step(self, permit: Permit) -> None:
        """Read on, as much as one step may; begins a pass when one is due.

        Raises:
            NotPermitted: the permit is not for operation.
            OutOfResources: the index cannot be read or written now.
        """
        now = self._clock.now()
        current = self._pass or self._damages.last_pass(permit)
        if current is None or (current.ended and now >= self._next_at(current)):
            current = Pass(microseconds(now))
            self._waiting.clear()
        self._pass = current
        if current.ended:
            return
        self._known = self._damages.known(permit)
        left_bytes = self._plan.bytes_per_step - self._debt_bytes
        while left_bytes > 0 and not self._pass.ended:
            left_bytes -= self._next(permit)
        self._debt_bytes = max(0, -left_bytes)  # an object larger than a step is paid for by those after it
        self._unkept += 1
        if self._pass.ended or self._unkept >= KEEP_EVERY_STEPS:
            self.keep(permit)

    def keep(self, permit: Permit) -> None:
        """Keep where it is: at the end of a pass, now and then, and before the server ends."""
        if self._pass is not None and self._unkept:
            self._damages.keep(permit, self._pass, self._clock.now())
            self._unkept = 0

    def _next_at(self, last: Pass) -> datetime:
        return from_microseconds(last.began_at_us) + self._plan.every

    def _next(self, permit: Permit) -> int:
        """Visit the next object, or end the pass; how many bytes were read."""
        at = self._pass or Pass(0)
        if not self._waiting:
            self._waiting = self._damages.following(permit, at.segment, at.offset, OBJECTS_AT_ONCE)
            self._waiting.reverse()
        if not self._waiting:
            self._pass = replace(at, ended_at_us=microseconds(self._clock.now()))
            return 0
        held = self._waiting.pop()
        stored = held.stored
        damaged = self._visit(permit, held)
        self._pass = replace(
            at,
            segment=stored.location.segment,
            offset=stored.location.offset,
            objects=at.objects + 1,
            size_bytes=at.size_bytes + stored.size_bytes,
            damaged=at.damaged + damaged,
        )
        return max(1, stored.size_bytes)

    def _visit(self, permit: Permit, held: Held) -> bool:
        """Read one object; whether it is damaged."""
        stored = held.stored
        problem = self._problem(permit, held)
        if problem and not self._is_still_there(permit, held):
            return False  # erased since it was listed
        if problem:
            if self._damages.note(permit, stored, problem, self._clock.now()):
                reason = f"{problem}; received from {held.received_from}"
                self._tell(permit, held, "instance.damaged", Outcome.ALERT, reason)
        elif stored.object_id in self._known and self._damages.clear(permit, stored.object_id):
            self._tell(permit, held, "instance.mended", Outcome.DONE, "")
        return bool(problem)

    def _is_still_there(self, permit: Permit, held: Held) -> bool:
        place = held.stored.location
        there = self._damages.following(permit, place.segment, place.offset - 1, 1)
        return bool(there) and there[0].stored.object_id == held.stored.object_id

    def _problem(self, permit: Permit, held: Held) -> str:
        stored = held.stored
        digest = hashlib.sha256()
        try:
            for chunk in self._store.open(permit, stored.location, stored.object_id).chunks():
                digest.update(chunk)
        except (IntegrityBroken, KeyUnavailable) as error:
            return str(error)
        return "" if digest.digest() == stored.sha256 else "its bytes are not those that were received"

    def _tell(self, permit: Permit, held: Held, kind: str, outcome: Outcome, reason: str) -> None:
        stored = held.stored
        event = under(permit, kind, outcome, reason=reason, study=stored.study, instance=stored.sop_instance)
        self._recorder.note([event])


def described(last: Pass | None) -> str:
    """How far the last pass came, in words."""
    if last is None:
        return "never"
    if last.ended:
        return f"{from_microseconds(last.ended_at_us):%Y-%m-%d %H:%M}, {last.objects} objects"
    return f"begun {from_microseconds(last.began_at_us):%Y-%m-%d %H:%M}, {last.objects} objects so far"
