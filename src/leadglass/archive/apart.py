"""What is kept apart of those who are being learned: once each, and no more than there is room for.

Whoever calls from a watched address has proved nothing. Its objects are acknowledged and durable, so that
it goes on as it would; they must not fill the disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from leadglass.archive.jobs import StoreJob
from leadglass.index.entries import ExistingInstance, Placed
from leadglass.index.write import WriteTransaction
from leadglass.model.errors import OutOfResources
from leadglass.model.names import Uid
from leadglass.model.permit import Keeping


@dataclass(frozen=True, slots=True)
class Harvest:
    """How much may be kept of one sender that is being learned."""

    objects: int = 2_000
    size_bytes: int = 20 << 30


DEFAULT_HARVEST = Harvest()


def kept_apart(jobs: Iterable[StoreJob]) -> list[StoreJob]:
    """Those whose permit is for quarantine alone."""
    return [job for job in jobs if job.permit.keeping is Keeping.APART]


class Granary:
    """Judges the objects of one transaction that are to be kept apart."""

    def __init__(self, transaction: WriteTransaction, harvest: Harvest) -> None:
        self._transaction = transaction
        self._harvest = harvest
        self._sums: dict[str, tuple[int, int]] = {}
        self._taken: set[tuple[str, Uid, ExistingInstance]] = set()

    def judge(self, job: StoreJob, stored: ExistingInstance | None) -> Placed | OutOfResources | None:
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
        if objects > self._harvest.objects or size_bytes > self._harvest.size_bytes:
            return OutOfResources(f"all that is kept of {sender} while it is being learned is here already")
        self._sums[sender] = objects, size_bytes
        self._taken.add((sender, uid, content))
        return None
