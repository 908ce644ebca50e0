"""What is kept apart of those who are being learned: once each, and no more than there is room for.

Whoever calls from a watched address has proved nothing. Its objects are acknowledged and durable, so that
it goes on as it would; they must not fill the disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from leadglass.archive.jobs import StoreJob, Verdict
from leadglass.index.entries import Conflict, ExistingInstance, NewInstance, Placed
from leadglass.index.write import WriteTransaction
from leadglass.model.errors import OutOfResources
from leadglass.model.names import Uid
from leadglass.model.permit import Keeping, Permit


@dataclass(frozen=True, slots=True)
class ApartLimits:
    """How much may be kept of one sender that is being learned."""

    objects: int = 2_000
    size_bytes: int = 20 << 30


DEFAULT_APART = ApartLimits()


def keep_apart(
    transaction: WriteTransaction,
    entries: Iterable[tuple[Permit, NewInstance]],
    verdicts: dict[bytes, Verdict],
) -> list[tuple[Permit, NewInstance]]:
    """Put into quarantine what its permit is for, and say so in ``verdicts``; the others."""
    to_serve = []
    for permit, entry in entries:
        if permit.keeping is Keeping.SERVED:
            to_serve.append((permit, entry))
        else:
            transaction.quarantine(permit, entry, Conflict.LEARNED)
            verdicts[entry.object_id] = Conflict.LEARNED
    return to_serve


class RoomApart:
    """Judges the objects of one transaction that are to be kept apart."""

    def __init__(self, transaction: WriteTransaction, apart: ApartLimits) -> None:
        self._transaction = transaction
        self._apart = apart
        self._sums: dict[str, tuple[int, int]] = {}
        self._taken: set[tuple[str, Uid, ExistingInstance]] = set()

    def to_keep(
        self,
        jobs: Iterable[StoreJob],
        stored: Mapping[Uid, ExistingInstance],
        verdicts: dict[bytes, Verdict],
    ) -> list[StoreJob]:
        """Of those that may only be kept apart, which are to be written; what became of the others."""
        kept = []
        for job in jobs:
            if job.permit.keeping is Keeping.SERVED:
                continue
            verdict = self._judge(job, stored.get(job.record.sop_instance))
            if verdict is None:
                kept.append(job)
            else:
                verdicts[job.object_id] = verdict
        return kept

    def _judge(self, job: StoreJob, stored: ExistingInstance | None) -> Placed | OutOfResources | None:
        """What becomes of an object without its being kept; ``None``: it is to be kept.

        ``stored`` is what is served under its UID.
        """
        uid, content, sender = job.record.sop_instance, job.content(), job.received_from
        learned = self._transaction.learned(job.permit, uid)
        if stored == content or (sender, content.sha256) in learned:
            return Placed.ALREADY_STORED
        if (sender, uid, content) in self._taken:
            return Placed.ALREADY_STORED
        objects, size_bytes = self._sums.get(sender) or self._transaction.learned_from(job.permit, sender)
        objects, size_bytes = objects + 1, size_bytes + job.size_bytes
        if objects > self._apart.objects or size_bytes > self._apart.size_bytes:
            return OutOfResources(f"all that is kept of {sender} while it is being learned is here already")
        self._sums[sender] = objects, size_bytes
        self._taken.add((sender, uid, content))
        return None
