"""Check: compare segments, index and audit trail. Reads only. DESIGN §5.

Every object that the index names is read to its end, verified chunk by chunk, and compared with
the SHA-256 kept at ingest. Every record of every segment is looked for in the index. What the index
keeps of numbers is counted. The audit trail is walked from its first line to its last.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, Engine

from leadglass.audit.read import Filters, after
from leadglass.audit.verify import VerifyResult, verify
from leadglass.index.counters import Counters, Miscount
from leadglass.index.engine import reading
from leadglass.index.index import Index
from leadglass.index.inventory import Held
from leadglass.index.naming import StudyNames, study_names
from leadglass.index.places import Places
from leadglass.model.errors import IntegrityBroken, KeyUnavailable, LeadglassError, LocalError, OutOfResources
from leadglass.model.instance import StoredInstance
from leadglass.model.names import Uid
from leadglass.model.permit import Permit
from leadglass.storage.reader import ScannedRecord, SealedReader, TornTail
from leadglass.storage.store import SegmentStore

DAMAGES_TOLD = 1_000


class Stage(StrEnum):
    """What is being looked at."""

    INDEX = "index"
    COUNTERS = "counters"
    OBJECTS = "objects"
    SEGMENTS = "segments"
    AUDIT = "audit"


Progress = Callable[[Stage, int, int | None], None]
"""Told the stage, how many are done, and of how many if that is known."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is wrong. ``instance`` and ``study`` where an object is hit.

    ``series`` and ``received_from`` where the index holds it: its sender may have another copy. Of a
    ``quarantined`` object the study need not be its patient's.
    """

    what: str
    study: str = ""
    instance: str = ""
    series: str = ""
    received_from: str = ""
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """A served object whose bytes are damaged: ``repair`` can set it aside."""

    instance: Uid
    what: str


@dataclass(slots=True)
class CheckReport:
    """What was found. ``repairable`` and ``miscounts``: what ``repair`` can do something about.

    ``unacknowledged`` records are bytes that no index row names: a store that never was
    acknowledged. Harmless; recovery cuts them.
    """

    objects: int = 0
    size_bytes: int = 0
    quarantined: int = 0
    segments: int = 0
    unacknowledged: int = 0
    audit_events: int = 0
    damaged_in_bin: int = 0
    damages: list[Damage] = field(default_factory=list)
    damage_count: int = 0
    repairable: list[Broken] = field(default_factory=list)
    miscounts: list[Miscount] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.damage_count == 0

    def add(self, damage: Damage) -> None:
        """Note a damage; all are counted, the first thousand are told."""
        self.damage_count += 1
        if len(self.damages) < DAMAGES_TOLD:
            self.damages.append(damage)


class Checker:
    """Compares the rooms of an archive with one another."""

    def __init__(
        self,
        index: Index,
        store: SegmentStore,
        engine: Engine,
        checkpoints: Path,
        public_key: Ed25519PublicKey,
    ) -> None:
        self._index = index
        self._store = store
        self._engine = engine
        self._checkpoints = checkpoints
        self._public_key = public_key

    def check(self, permit: Permit, progress: Progress) -> CheckReport:
        """All of it.

        Raises:
            NotPermitted: the permit is not for checking.
        """
        report = CheckReport()
        progress(Stage.INDEX, 0, None)
        for problem in self._index.damage(permit):
            report.add(Damage(f"index: {problem}"))
        with _noted(report):
            self._check_counters(permit, report, progress)
        recorded = self._recorded(report, progress)
        with _noted(report):
            self._check_objects(permit, recorded, report, progress)
        with _noted(report):
            self._check_segments(permit, report, progress)
        return report

    def names(self, permit: Permit, report: CheckReport) -> dict[str, StudyNames]:
        """What people call the studies that are hit. PHI, for the administrator's eyes.

        Raises:
            NotPermitted: the permit is not for checking.
            LocalError: the index cannot be read.
        """
        return study_names(self._engine, permit, (each.study for each in report.damages if each.study))

    def _check_counters(self, permit: Permit, report: CheckReport, progress: Progress) -> None:
        """What the levels of the index keep of the rows below them."""
        progress(Stage.COUNTERS, 0, None)
        for off in Counters(self._engine).miscounts(permit):
            report.miscounts.append(off)
            report.add(Damage(f"index: {off}", off.study, series=off.series))

    def _recorded(self, report: CheckReport, progress: Progress) -> dict[Uid, Uid] | None:
        """Verify the audit trail; the instances that it says were stored, each with its study.

        ``None`` if it cannot be read.
        """
        recorded: dict[Uid, Uid] = {}
        read = False
        with _noted(report), reading(self._engine).connect() as connection:
            result: VerifyResult = verify(
                connection,
                self._checkpoints,
                self._public_key,
                lambda events: progress(Stage.AUDIT, events, None),
            )
            report.audit_events = result.events
            for problem in result.problems:
                report.add(Damage(f"audit: {problem}"))
            recorded.update(_stored_instances(connection))
            read = True
        return recorded if read else None

    def _check_objects(
        self, permit: Permit, recorded: dict[Uid, Uid] | None, report: CheckReport, progress: Progress
    ) -> None:
        """Every object the index names; then what only one of index and trail knows of."""
        counts = self._index.counts(permit)
        total = counts.instances + counts.quarantined + counts.binned
        not_seen = dict(recorded or {})
        unrecorded: dict[Uid, Uid] = {}
        for held in self._index.inventory(permit):
            stored = held.stored
            report.objects += 1
            report.size_bytes += stored.size_bytes
            report.quarantined += held.quarantined is not None
            self._look_at(permit, held, report)
            not_seen.pop(stored.sop_instance, None)
            if recorded is not None and stored.sop_instance not in recorded:
                unrecorded[stored.sop_instance] = stored.study
            progress(Stage.OBJECTS, report.objects, total)
        for instance, study in not_seen.items():
            what = "the audit trail says that it was stored, but the index does not hold it"
            report.add(Damage(what, study, instance))
        for instance, study in self._never_recorded(unrecorded):
            report.add(Damage("the audit trail does not say that it was stored", study, instance))

    def _never_recorded(self, unrecorded: dict[Uid, Uid]) -> list[tuple[Uid, Uid]]:
        """Those that were not stored while we looked: the trail was read before the index was."""
        if not unrecorded:
            return []
        with reading(self._engine).connect() as connection:
            recorded = _stored_instances(connection)
        return [(instance, study) for instance, study in unrecorded.items() if instance not in recorded]

    def _look_at(self, permit: Permit, held: Held, report: CheckReport) -> None:
        """Read one object. What is damaged in the bin was set aside, or is gone for good soon: no finding."""
        stored = held.stored
        try:
            what = self._read(permit, held)
            unavailable = False
        except KeyUnavailable as error:
            what, unavailable = str(error), True
        if not what:
            return
        if held.binned:
            report.damaged_in_bin += 1
            return
        quarantined = held.quarantined is not None
        where = (stored.study, stored.sop_instance, stored.series, held.received_from, quarantined)
        report.add(Damage(what, *where))
        if not quarantined and not unavailable:
            report.repairable.append(Broken(stored.sop_instance, what))

    def _read(self, permit: Permit, held: Held) -> str:
        """What is wrong with its bytes, or nothing.

        Raises:
            KeyUnavailable: it may be sound; a key is missing.
        """
        stored = held.stored
        digest = hashlib.sha256()
        size_bytes = 0
        try:
            for chunk in self._open(permit, stored).chunks():
                digest.update(chunk)
                size_bytes += len(chunk)
        except IntegrityBroken as error:
            return str(error)
        if size_bytes != stored.size_bytes or digest.digest() != stored.sha256:
            return "its bytes are not those that were received"
        return ""

    def _open(self, permit: Permit, stored: StoredInstance) -> SealedReader:
        """Where compaction moved it since the index was read, at its new place."""
        try:
            return self._store.open(permit, stored.location, stored.object_id)
        except IntegrityBroken:
            now = Places(self._engine).now(permit, stored)
            if now is None or now == stored.location:
                raise
            return self._store.open(permit, now, stored.object_id)

    def _check_segments(self, permit: Permit, report: CheckReport, progress: Progress) -> None:
        """Records that no row names. Segments are listed first: what comes later is not looked at."""
        sizes = {info.name: info.size_bytes for info in self._store.segments(permit)}
        known: dict[str, set[int]] = {name: set() for name in sizes}
        for segment, group in groupby(
            self._index.inventory(permit), lambda held: held.stored.location.segment
        ):
            if segment in known:
                known[segment].update(held.stored.location.offset for held in group)
        for number, (name, offsets) in enumerate(known.items(), start=1):
            report.segments += 1
            try:
                report.unacknowledged += sum(
                    1 for record in self._store.scan(permit, name) if _is_unknown(record, offsets)
                )
            except LeadglassError as error:
                if name in {info.name for info in self._store.segments(permit)}:  # else it was compacted
                    report.add(Damage(str(error)))
            progress(Stage.SEGMENTS, number, len(known))


@contextmanager
def _noted(report: CheckReport) -> Iterator[None]:
    """What cannot be read at all is damage, and hides none of the rest."""
    try:
        yield
    except OutOfResources:
        raise  # nothing is known to be wrong: too busy, or too little memory
    except LocalError as error:
        report.add(Damage(str(error)))


_BALANCE = (
    ("instance.stored", 1),
    ("instance.quarantined", 1),
    ("instance.learned", 1),
    ("instance.erased", -1),
)


def _stored_instances(connection: Connection) -> dict[Uid, Uid]:
    """Those of which the trail says that more were stored than erased, each with its study."""
    balance: Counter[Uid] = Counter()
    studies: dict[Uid, Uid] = {}
    for kind, sign in _BALANCE:
        for line in after(connection, 0, Filters(kind=kind)):
            uid = Uid(line.event.instance)
            balance[uid] += sign
            studies[uid] = Uid(line.event.study)
    return {uid: studies[uid] for uid, count in balance.items() if count > 0}


def _is_unknown(record: ScannedRecord | TornTail, offsets: set[int]) -> bool:
    """A torn tail that the index names shows as a broken object; else it was never acknowledged."""
    match record:
        case ScannedRecord():
            return record.location.offset not in offsets and not record.is_erased
        case TornTail():
            return True


__all__ = ["Broken", "CheckReport", "Checker", "Damage", "Miscount", "Stage", "StudyNames"]
