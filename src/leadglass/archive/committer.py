"""Group commit: one thread that makes everything durable, from all associations, in batches.

A batch is entered into the index with its audit lines in one transaction; meanwhile another thread
seals it and appends it to the open segment with one fdatasync. The transaction commits when the segment
is durable, and only then are the waiting stores told. Lines for the audit trail alone travel the same
road. DESIGN §3, steps 6 and 7.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

import structlog
from sqlalchemy import Engine

from leadglass.archive.apart import DEFAULT_APART, ApartLimits, RoomApart, keep_apart
from leadglass.archive.jobs import (
    Batch,
    Deliver,
    Done,
    StoreJob,
    StoreResult,
    Verdict,
    audit_line,
    refused_line,
    result_of,
)
from leadglass.archive.waiting import Stop, Waiting
from leadglass.audit.trail import AuditTrail, Line
from leadglass.index.entries import Conflict, Placed
from leadglass.index.write import Writer, WriteTransaction
from leadglass.model.clock import Clock
from leadglass.model.errors import AuditFailed, DiskFailed, LeadglassError, OutOfResources
from leadglass.model.event import AuditEvent
from leadglass.model.instance import Location
from leadglass.model.names import Uid
from leadglass.model.permit import Keeping, Permit
from leadglass.storage.keys import KeyProvider
from leadglass.storage.mark import IndexMark, Mark
from leadglass.storage.seal import ObjectToSeal
from leadglass.storage.store import SegmentStore

MAX_WAITING_EVENTS = 100_000
RETRY_S = 0.25
IDLE_CHECKPOINT_S = 5.0
GATHER_S = 0.02

log = structlog.get_logger()


class Committer:
    """Owns the writing side of storage, index and audit. Implements ``gate.Recorder``."""

    def __init__(
        self,
        store: SegmentStore,
        mark: IndexMark,
        keys: KeyProvider,
        engine: Engine,
        trail: AuditTrail,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        deliver: Deliver,
        apart: ApartLimits = DEFAULT_APART,
    ) -> None:
        self._store = store
        self._mark = mark
        self._keys = keys
        self._writer = Writer(engine)
        self._trail = trail
        self._clock = clock
        self._random_bytes = random_bytes
        self._deliver = deliver
        self._apart = apart
        self._waiting = Waiting(clock)
        self._in_hand = Batch()
        self._unwritten: list[Line] = []
        self._orphans: list[tuple[Permit, Location]] = []
        self._failure: LeadglassError | None = None
        self._disk_failure: DiskFailed | None = None
        self._ended = False
        self._committed_at_s = -GATHER_S
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="syncer")
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)

    def start(self) -> None:
        """Begin committing."""
        self._thread.start()

    def stop(self) -> None:
        """Commit everything queued, sign the audit trail's end, and return."""
        if self._thread.is_alive():
            self._waiting.put(Stop())
            self._thread.join()
        self._syncer.shutdown()

    @property
    def alive(self) -> bool:
        """Whether the thread runs; it only ends when stopped, or by a bug."""
        return self._thread.is_alive()

    @property
    def broken(self) -> bool:
        """Whether only a new start mends it: the index's disk failed, or the thread has ended."""
        return self._disk_failure is not None or not self._thread.is_alive()

    @property
    def failure(self) -> LeadglassError | None:
        """Why nothing can be written at the moment, or ``None``."""
        return self._failure

    def submit(self, job: StoreJob) -> None:
        """Queue an object; ``job.done`` is called, through ``deliver``, when it is decided."""
        self._put(job)

    def tell(self, done: Done, result: StoreResult) -> None:
        """Tell the end of an object that never was a job, the way that a job's is told. From any thread."""
        self._deliver([(done, result)])

    def record(self, events: Iterable[AuditEvent]) -> None:
        """Queue the lines of what is about to happen, which must not happen if this raises.

        Raises:
            AuditFailed: the last lines could not be written, so nothing may happen.
            LocalError: a line that no trail may hold: a bug.
        """
        if self._failure is not None:
            raise AuditFailed(f"the audit trail cannot be written: {self._failure}")
        self.note(events)

    def note(self, events: Iterable[AuditEvent]) -> None:
        """Queue the lines of what has happened: kept while they cannot be written, and written then.

        Raises:
            AuditFailed: too many wait already, or nothing is committed any more.
            LocalError: a line that no trail may hold: a bug.
        """
        lines = [Line.of(event) for event in events]  # one that cannot be written must sink no whole batch
        if not lines:
            return
        if self._ended:
            raise AuditFailed("nothing is committed any more")
        if self._waiting.line_count + len(self._unwritten) > MAX_WAITING_EVENTS:
            raise AuditFailed("the audit trail is behind")
        self._waiting.add_lines(lines)

    def flush(self) -> None:
        """Wait until everything queued so far is durable.

        Raises:
            AuditFailed: it could not be made durable.
        """
        decided = threading.Event()
        self._put(decided)
        decided.wait()
        if self._failure is not None:
            raise AuditFailed(f"the audit trail cannot be written: {self._failure}")

    def _put(self, item: StoreJob | threading.Event) -> None:
        """Queue it. What comes after the thread has ended is turned away, by whoever sees it first."""
        self._waiting.put(item)
        if self._ended:
            self._turn_away(Batch())

    def _run(self) -> None:
        try:
            self._work()
        finally:  # by a bug, too: nobody may wait for ever
            self._failure = self._failure or OutOfResources("nothing is committed any more")
            self._ended = True
            self._writer.close()
            self._turn_away(self._in_hand)

    def _turn_away(self, waiting: Batch) -> None:
        """Refuse what is in hand and what is queued."""
        self._waiting.drain(waiting)
        if waiting.stores:
            refusal = OutOfResources("nothing is committed any more")
            self._deliver([(job.done, refusal) for job in waiting.stores])
        for decided in waiting.flushed:
            decided.set()

    def _work(self) -> None:
        while True:
            batch = self._in_hand = self._next_batch()
            if batch.stores or batch.lines or self._unwritten:
                self._commit(batch)
            elif batch.idle:
                self._checkpoint()
            self._in_hand = Batch()
            for decided in batch.flushed:
                decided.set()
            if batch.stop:
                self._checkpoint()
                return

    def _next_batch(self) -> Batch:
        """What is written next. Lines are gathered where others were written just before.

        After a failure there is no gathering: the first line that can be written opens the archive again.
        """
        if self._unwritten or self._failure is not None:
            return self._waiting.next_batch(RETRY_S if self._unwritten else IDLE_CHECKPOINT_S, -math.inf)
        return self._waiting.next_batch(IDLE_CHECKPOINT_S, self._committed_at_s + GATHER_S)

    def _commit(self, batch: Batch) -> None:
        """Write a batch; if that fails, keep its audit lines for the next attempt and say so."""
        self._unwritten.extend(batch.lines)
        results: Sequence[tuple[Done, StoreResult]]
        try:
            if self._disk_failure is not None:
                raise self._disk_failure
            results = self._write(batch.stores)
            self._committed_at_s = self._clock.monotonic_s()
        except LeadglassError as error:
            self._heed(error)
            failure = error if isinstance(error, OutOfResources) else OutOfResources(str(error))
            self._failure = failure
            self._give_up(batch.stores, failure)
            results = [(job.done, failure) for job in batch.stores]
            log.error("nothing can be written", reason=str(error), objects=len(batch.stores))
        else:
            self._failure = None
        batch.stores = []  # decided: told once, and not turned away as well
        if results:
            self._deliver(results)

    def _heed(self, error: LeadglassError) -> None:
        if isinstance(error, DiskFailed):
            self._disk_failure = error

    def _give_up(self, jobs: Sequence[StoreJob], failure: OutOfResources) -> None:
        for job in jobs:
            job.discard()
            if len(self._unwritten) < MAX_WAITING_EVENTS:
                self._unwritten.append(Line.of(refused_line(job, str(failure))))

    def _write(self, jobs: Sequence[StoreJob]) -> list[tuple[Done, StoreResult]]:
        """One batch, all or nothing: segment first, then index and audit in one transaction."""
        older_orphans = len(self._orphans)
        with self._writer.transaction() as transaction, self._syncing() as written:
            verdicts = self._place(transaction, jobs, written) if jobs else []
            told = zip(jobs, verdicts, strict=True)
            lines = [Line.of(audit_line(job, verdict)) for job, verdict in told]
            self._trail.append_lines(transaction.connection, [*self._unwritten, *lines])
        self._mark.advance(Mark(self._trail.written.seq, self._trail.written.hash))
        self._unwritten.clear()
        del self._orphans[older_orphans:]
        self._remove_orphans()
        for job, verdict in zip(jobs, verdicts, strict=True):
            if verdict is not Placed.STORED:
                job.discard()
        return [(job.done, result_of(verdict)) for job, verdict in zip(jobs, verdicts, strict=True)]

    @contextmanager
    def _syncing(self) -> Iterator[list[Future[None]]]:
        """Collects what is being synced while rows are written; nothing commits before it is durable.

        Raises:
            StorageFailed: it is not, and the transaction around this must not commit.
        """
        written: list[Future[None]] = []
        try:
            yield written
        finally:
            wait(written)  # also where the rows failed: the store takes one batch at a time
        for synced in written:
            synced.result()

    def _place(
        self, transaction: WriteTransaction, jobs: Sequence[StoreJob], written: list[Future[None]]
    ) -> list[Verdict]:
        """Bytes into the segment and rows into the index: what became of each."""
        permit = jobs[0].permit
        uids = [job.record.sop_instance for job in jobs]
        known = transaction.existing(permit, uids)
        in_quarantine = transaction.quarantined(permit, uids)
        seen_before = known.keys() | {uid for uid, _ in in_quarantine}
        verdicts: dict[bytes, Verdict] = {}
        needed: dict[Uid, list[StoreJob]] = {}
        twins: list[tuple[bytes, bytes]] = []
        apart = RoomApart(transaction, self._apart).to_keep(jobs, known, verdicts)
        for job in jobs:
            uid = job.record.sop_instance
            if job.permit.keeping is Keeping.APART:
                continue
            if uid not in seen_before and uid not in needed:  # nearly always; nothing to compare with
                needed[uid] = [job]
                continue
            content = job.content()
            twin = next((first for first in needed.get(uid, ()) if first.content() == content), None)
            if known.get(uid) == content:
                verdicts[job.object_id] = Placed.ALREADY_STORED
            elif (uid, content.sha256) in in_quarantine:
                verdicts[job.object_id] = Conflict.DIFFERENT_CONTENT
            elif twin is not None:
                twins.append((job.object_id, twin.object_id))
            else:
                needed.setdefault(uid, []).append(job)
        if needed or apart:
            to_serve = [job for several in needed.values() for job in several]
            self._insert(transaction, [*to_serve, *apart], verdicts, written)
        for object_id, first in twins:
            verdict = verdicts[first]
            verdicts[object_id] = Placed.ALREADY_STORED if verdict is Placed.STORED else verdict
        return [verdicts[job.object_id] for job in jobs]

    def _insert(
        self,
        transaction: WriteTransaction,
        jobs: Sequence[StoreJob],
        verdicts: dict[bytes, Verdict],
        written: list[Future[None]],
    ) -> None:
        locations = self._append(jobs, written)
        now = self._clock.now()
        entries = [(job.permit, job.entry(locations[job.object_id], now)) for job in jobs]
        arrivals = keep_apart(transaction, entries, verdicts)
        for (permit, entry), outcome in zip(arrivals, transaction.insert_many(arrivals), strict=True):
            if isinstance(outcome, Conflict):
                transaction.quarantine(permit, entry, outcome)
            verdicts[entry.object_id] = outcome

    def _append(self, jobs: Sequence[StoreJob], written: list[Future[None]]) -> dict[bytes, Location]:
        """Have the bytes sealed, written and made durable, meanwhile; locations by object id."""
        locations: dict[bytes, Location] = {}
        to_seal = []
        for job in jobs:
            if isinstance(job.payload, Sequence):
                to_seal.append(
                    ObjectToSeal(job.object_id, job.payload, job.size_bytes, self._keys, self._random_bytes)
                )
            else:
                location = locations[job.object_id] = job.payload.finish()
                self._orphans.append((job.permit, location))  # until the transaction is durable
        if to_seal:
            pending = self._store.begin_append(jobs[0].permit, to_seal)
            written.append(self._syncer.submit(pending.finish))
            locations.update(zip((item.object_id for item in to_seal), pending.locations, strict=True))
        return locations

    def _remove_orphans(self) -> None:
        """Finished large objects whose transaction failed. Never before a later one is durable.

        Until then a crash may bring the failed one back, and its row would have no bytes.
        """
        for permit, location in self._orphans:
            try:
                self._store.truncate_tail(permit, location.segment, 0)
            except LeadglassError as error:
                log.warning("an unacknowledged object stays on disk", reason=str(error))
        self._orphans.clear()

    def _checkpoint(self) -> None:
        """Sign the end of the trail, if it grew."""
        if self._disk_failure is not None:
            return
        self._mark.settle()
        try:
            with self._writer.transaction() as transaction:
                self._trail.checkpoint(transaction.connection)
        except LeadglassError as error:
            self._heed(error)
            log.error("the audit trail could not be signed", reason=str(error))
