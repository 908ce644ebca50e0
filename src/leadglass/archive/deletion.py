"""Deletion: into the bin, out of it, and at last the destruction of the keys. DESIGN §5.

What is deleted goes to the bin and can be taken back until its time is over. Then its key is destroyed
(crypto-erasure), which nothing undoes. A legal hold stops both. Every step is in the audit trail before
it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Protocol

from leadglass.archive.recording import Recorder
from leadglass.audit.trail import AuditTrail
from leadglass.index.bin import Affected, Bin, BinnedStudy, Deletion, PutBack, Subject, ToErase
from leadglass.index.holds import Hold, Holds
from leadglass.model.clock import Clock
from leadglass.model.errors import IntegrityBroken, NotFound, RequestInvalid
from leadglass.model.event import AuditEvent, under
from leadglass.model.names import Uid
from leadglass.model.permit import Permit
from leadglass.storage.store import Record, SegmentStore

MAX_REASON_CHARACTERS = 200
ERASED_AT_ONCE = 256


class Copies(Protocol):
    """Where an object may lie a second time; ``Compactor`` knows."""

    def erase_copies(self, permit: Permit, object_ids: Collection[bytes]) -> None:
        """As ``Compactor.erase_copies``."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """What deletion works on."""

    bin: Bin
    holds: Holds
    store: SegmentStore
    copies: Copies
    recorder: Recorder
    trail: AuditTrail  # a pen of its own: an erasure and its line are one transaction
    clock: Clock


class Deleter:
    """Deletes, takes back, erases, and holds; one for a site."""

    def __init__(self, rooms: Rooms, bin_days: int) -> None:
        self._rooms = rooms
        self._bin_days = bin_days

    def affected(self, permit: Permit, subject: Subject) -> Affected:
        """What a deletion would take.

        Raises:
            NotPermitted: the permit is not for a deletion.
            NotFound: there is no such thing.
        """
        found = self._rooms.bin.affected(permit, subject)
        if not found.instances:
            raise NotFound(f"the archive serves no {subject.level.name.lower()} {subject.uid}")
        return found

    def delete(self, permit: Permit, subject: Subject, reason: str) -> int:
        """Move a study, series or instance to the bin, with its reason; how many instances.

        Raises:
            NotPermitted: the permit is not for a deletion.
            RequestInvalid: no reason, or none that can be recorded.
            HeldBack: a legal hold.
            NotFound: there is no such thing.
        """
        why = checked_reason(reason)
        found = self.affected(permit, subject)
        now = self._rooms.clock.now()
        deletion = Deletion(permit.who, why, now, now + timedelta(days=self._bin_days))
        count = self._rooms.bin.throw_away(permit, subject, deletion)
        self._note(permit, "study.deleted", found.studies, why, count)
        return count

    def put_back(self, permit: Permit, subject: Subject) -> PutBack:
        """Serve again what is in the bin.

        Raises:
            NotPermitted: the permit is not for a deletion.
            NotFound: the bin holds no such thing.
        """
        back = self._rooms.bin.put_back(permit, subject)
        if not back.studies:
            raise NotFound(f"the bin holds no {subject.level.name.lower()} {subject.uid}")
        reason = f"{back.kept} stay in the bin: they contradict what is stored now" if back.kept else ""
        self._note(permit, "study.restored", back.studies, reason, back.restored)
        return back

    def content(self, permit: Permit) -> list[BinnedStudy]:
        """What the bin holds. Raises as ``Bin.content``."""
        return self._rooms.bin.content(permit)

    def condemn(self, permit: Permit, study: Uid | None = None) -> int:
        """Take out of the bin what is past its time, or all of one study: it cannot be taken back any more.

        Raises:
            NotPermitted: the permit is for neither a deletion nor the server's own work.
            HeldBack: the study is under a legal hold.
        """
        return self._rooms.bin.condemn(permit, self._rooms.clock.now(), study)

    def erase(self, permit: Permit, go_on: Callable[[int], bool]) -> int:
        """Destroy the keys of all that was condemned; how many. ``go_on`` is told how many, and may stop it.

        Broken off at any point, it is finished when it is called again.

        Raises:
            NotPermitted: as ``condemn``.
            StorageFailed: the disk refuses.
        """
        done = 0
        while go_on(done):
            batch = self._rooms.bin.to_erase(permit, ERASED_AT_ONCE)
            if not batch:
                break
            self._destroy(permit, batch)
            self._rooms.copies.erase_copies(permit, {each.object_id for each in batch})
            lines = [_erased(permit, each) for each in batch]
            self._rooms.bin.erased(permit, batch, partial(self._rooms.trail.append, events=lines))
            done += len(batch)
        return done

    def hold(self, permit: Permit, study: Uid, reason: str) -> bool:
        """Place a legal hold; whether there was none.

        Raises:
            NotPermitted, RequestInvalid: as ``delete``.
        """
        why = checked_reason(reason)
        placed = self._rooms.holds.place(permit, Hold(study, self._rooms.clock.now(), permit.who, why))
        if placed:
            self._note(permit, "study.held", (study,), why, 0)
        return placed

    def release(self, permit: Permit, study: Uid, reason: str) -> bool:
        """Lift a legal hold; whether there was one. Raises as ``hold``."""
        why = checked_reason(reason)
        lifted = self._rooms.holds.release(permit, study)
        if lifted:
            self._note(permit, "study.released", (study,), why, 0)
        return lifted

    def holds(self, permit: Permit) -> list[Hold]:
        """Every legal hold. Raises as ``Holds.every``."""
        return self._rooms.holds.every(permit)

    def _destroy(self, permit: Permit, batch: list[ToErase]) -> None:
        """Where one record is damaged the others go all the same; it cannot be read anyway."""
        try:
            self._rooms.store.erase(permit, [Record(each.location, each.object_id) for each in batch])
        except IntegrityBroken:
            for each in batch:
                try:
                    self._rooms.store.erase(permit, [Record(each.location, each.object_id)])
                except IntegrityBroken:
                    continue

    def _note(self, permit: Permit, kind: str, studies: Iterable[str], reason: str, count: int) -> None:
        self._rooms.recorder.note(
            under(permit, kind, reason=reason, study=study, count=count) for study in studies
        )
        self._rooms.recorder.flush()


def checked_reason(reason: str) -> str:
    """A reason as it is kept.

    Raises:
        RequestInvalid: blank, too long, or with characters that are not text.
    """
    kept = reason.strip()
    if not kept or len(kept) > MAX_REASON_CHARACTERS or not kept.isprintable():
        raise RequestInvalid(f"say why, in 1 to {MAX_REASON_CHARACTERS} printable characters")
    return kept


def _erased(permit: Permit, each: ToErase) -> AuditEvent:
    return under(permit, "instance.erased", study=each.study_uid, instance=each.sop_instance)


__all__ = ["Deleter", "Rooms", "Subject", "checked_reason"]
