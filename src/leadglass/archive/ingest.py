"""Ingest: an object comes in by fragments, is understood, permitted, and handed to the committer.

Small objects stay in memory; larger ones stream, sealed, into a segment of their own, so that no
large object is ever whole in memory. DESIGN §3, steps 3 to 5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import structlog

from leadglass.archive.apart import DEFAULT_APART
from leadglass.archive.budget import ByteBudget
from leadglass.archive.committer import Committer
from leadglass.archive.jobs import Done, StoreJob, StoreResult
from leadglass.archive.store_facts import facts_of_store
from leadglass.archive.streaming import End, LargeStream, Portion
from leadglass.dataset.header import HeaderLimits, NeedMoreBytes, Part, scan_header
from leadglass.dataset.record import instance_record
from leadglass.dataset.tags import PATIENT_ID
from leadglass.gate import Gate
from leadglass.index.patients import patient_key
from leadglass.model.action import Action, Verb
from leadglass.model.caller import Peer
from leadglass.model.decision import Step
from leadglass.model.errors import AuditFailed, DatasetInvalid, LeadglassError, NotPermitted, OutOfResources
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.instance import InstanceRecord
from leadglass.model.names import Uid
from leadglass.model.permit import Keeping, Permit
from leadglass.model.usage import Load
from leadglass.storage.large import LargeObject
from leadglass.storage.store import SegmentStore

log = structlog.get_logger()

OBJECT_ID_BYTES = 16
GATHER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """``in_memory_bytes``: past it an object streams, in portions of ``portion_bytes`` and more.

    ``header_bytes``: PixelData begins by then.
    ``in_flight_bytes``: what all objects being received or committed may hold together.
    ``apart_bytes``: size of one object that is kept apart.
    """

    header: HeaderLimits
    in_memory_bytes: int = 8 << 20
    portion_bytes: int = 256 << 10
    header_bytes: int = 64 << 20
    in_flight_bytes: int = 512 << 20
    apart_bytes: int = DEFAULT_APART.size_bytes


@dataclass(frozen=True, slots=True)
class Announced:
    """What a C-STORE-RQ says of the object that follows. PS3.7 §9.3.1.1."""

    caller: Peer
    association: str
    sop_class: Uid
    sop_instance: Uid
    transfer_syntax: Uid


class Ingest:
    """Receives objects; one for the whole server."""

    def __init__(
        self,
        gate: Gate,
        store: SegmentStore,
        committer: Committer,
        random_bytes: Callable[[int], bytes],
        limits: IngestLimits,
        executor: Executor,
    ) -> None:
        """``executor`` writes what is large; nothing that it is given waits for anything but the disk."""
        self.gate = gate
        self.store = store
        self.committer = committer
        self.random_bytes = random_bytes
        self.limits = limits
        self.executor = executor
        self.budget = ByteBudget(limits.in_flight_bytes)

    def begin(self, announced: Announced, caught_up: Callable[[], None]) -> Incoming:
        """Expect one object. ``caught_up`` is called, on any thread, when it is behind no more."""
        return Incoming(self, announced, caught_up)


class Incoming:
    """One object on its way in. ``fragment`` until the end, then ``finish``; or ``abort``."""

    def __init__(self, ingest: Ingest, announced: Announced, caught_up: Callable[[], None]) -> None:
        self._ingest = ingest
        self._announced = announced
        self._caught_up = caught_up
        self._waiting: list[bytes | memoryview] = []
        self._gathered = bytearray()
        self._held_bytes = 0
        self._size_bytes = 0
        self._understand_at_bytes = ingest.limits.in_memory_bytes
        self._understood: tuple[InstanceRecord, Permit] | None = None
        self._large: LargeStream | None = None
        self._sha256_in_memory: bytes | None = None
        self._object_id = ingest.random_bytes(OBJECT_ID_BYTES)

    @property
    def is_behind(self) -> bool:
        """Whether the disk is: take no more from the peer until ``caught_up``."""
        return self._large is not None and self._large.is_behind

    def fragment(self, fragment: bytes | memoryview) -> None:
        """Take the next bytes of the data set.

        Raises:
            NotPermitted, DatasetInvalid, DatasetMismatch, LimitExceeded, OutOfResources: this
                object is refused; call ``abort``.
        """
        self._size_bytes += len(fragment)
        self._ingest.budget.take(len(fragment))
        self._held_bytes += len(fragment)
        self._keep(fragment)
        if self._large is not None:
            if self._held_bytes >= self._ingest.limits.portion_bytes:
                self._refuse_too_large()
                self._hand_over(self._large)
        elif self._held_bytes > self._understand_at_bytes:
            self._begin_large()

    def _keep(self, fragment: bytes | memoryview) -> None:
        """Hold a fragment as it is, or, where it is small, gathered with its neighbours.

        A view keeps everything alive that it came in with: a peer that sends single bytes must not
        make us hold a hundred times as much.
        """
        if len(fragment) >= GATHER_BYTES:
            self._keep_gathered()
            self._waiting.append(fragment)
            return
        self._gathered += fragment
        if len(self._gathered) >= GATHER_BYTES:
            self._keep_gathered()

    def _keep_gathered(self) -> None:
        if self._gathered:
            self._waiting.append(bytes(self._gathered))
            self._gathered.clear()

    def finish(self, done: Done) -> None:
        """All bytes are here: understand, ask the gate, commit. ``done`` tells the end.

        Raises:
            As ``fragment``.
        """
        record, permit = self._understood or self._understand(Part.WHOLE)
        if self._ingest.gate.counts_stores:
            whose = hash(patient_key(record, permit.site))  # keyed anew at every start
            load = Load(0, self._size_bytes, frozenset({whose}))  # as an object it was counted already
            self._ingest.gate.reserve(permit, load, association=self._announced.association)
        large = self._large
        if large is None:
            self._submit(record, permit, self._waiting, self._digest_waiting, done)
            return
        self._hand_over(large)
        committer = self._ingest.committer

        def written(sha256: bytes) -> None:
            self._submit(record, permit, large.large, lambda: sha256, done)

        def refused(result: StoreResult) -> None:
            if isinstance(result, LeadglassError):
                self.refuse(result)
            done(result)

        large.finish(End(written, lambda error: committer.tell(refused, error)))

    def _submit(
        self,
        record: InstanceRecord,
        permit: Permit,
        payload: Sequence[bytes | memoryview] | LargeObject,
        digest: Callable[[], bytes],
        done: Done,
    ) -> None:
        def settled(result: StoreResult) -> None:
            self._release()
            done(result)

        self._ingest.committer.submit(
            StoreJob(
                permit=permit,
                record=record,
                object_id=self._object_id,
                payload=payload,
                size_bytes=self._size_bytes,
                digest=digest,
                received_from=permit.who,
                event=self._event(record, permit),
                done=settled,
            )
        )

    def _digest_waiting(self) -> bytes:
        """SHA-256 of a data set in memory, when that is first asked: off the event loop."""
        if self._sha256_in_memory is None:
            digest = hashlib.sha256()
            for fragment in self._waiting:
                digest.update(fragment)
            self._sha256_in_memory = digest.digest()
        return self._sha256_in_memory

    def abort(self) -> None:
        """Forget the object: nothing of it is kept."""
        if self._large is not None:
            self._large.abort()
        self._waiting.clear()
        self._release()

    def refuse(self, error: LeadglassError) -> None:
        """Forget the object, and record why; what the gate refused is recorded already."""
        self.abort()
        if isinstance(error, NotPermitted):
            return
        announced = self._announced
        caller = announced.caller
        gate = self._ingest.gate
        action = Action(Verb.STORE)
        event = AuditEvent(
            kind="instance.refused",
            outcome=Outcome.FAILED,
            who=gate.name_of(caller),
            zone=gate.zone_of(caller.address, caller.transport) or "",
            address=caller.address,
            transport=caller.transport,
            calling_ae=caller.calling_ae or "",
            called_ae=caller.called_ae or "",
            verb=action.verb,
            target=action.target,
            reason=str(error),
            ladder=gate.stopped_ladder(caller, action, Step.CONDITIONS, str(error)),
            association=announced.association,
            instance=announced.sop_instance,
        )
        try:
            gate.record(event)
        except AuditFailed:
            log.error("refusal not recorded", association=announced.association, reason=str(error))

    def _release(self) -> None:
        self._ingest.budget.give_back(self._held_bytes)
        self._held_bytes = 0

    def _begin_large(self) -> None:
        try:
            _, permit = self._understand(Part.PREFIX)
        except NeedMoreBytes:
            self._understand_at_bytes *= 2
            if self._understand_at_bytes > self._ingest.limits.header_bytes:
                raise DatasetInvalid("no pixel data within the bytes that a header may take") from None
            return
        ingest = self._ingest
        large = ingest.store.begin_large(permit, self._object_id)
        self._large = LargeStream(large, ingest.budget, ingest.executor, self._caught_up)
        self._hand_over(self._large)

    def _refuse_too_large(self) -> None:
        """What is kept apart has a bound of its own, which one object alone may break."""
        too_large = self._size_bytes > self._ingest.limits.apart_bytes
        if too_large and self._understood is not None and self._understood[1].keeping is Keeping.APART:
            raise OutOfResources("one object is larger than all that is kept apart may be")

    def _hand_over(self, large: LargeStream) -> None:
        """What is held here is held there from now on."""
        self._keep_gathered()
        large.write(Portion(self._waiting, self._held_bytes))
        self._waiting = []
        self._held_bytes = 0

    def _understand(self, part: Part) -> tuple[InstanceRecord, Permit]:
        self._keep_gathered()
        announced = self._announced
        header = scan_header(self._waiting, announced.transfer_syntax, self._ingest.limits.header, part)
        record = instance_record(
            header,
            sop_class=announced.sop_class,
            sop_instance=announced.sop_instance,
            transfer_syntax=announced.transfer_syntax,
        )
        action = Action(Verb.STORE, facts=facts_of_store(record))
        permit = self._ingest.gate.permit_part(announced.caller, action, association=announced.association)
        self._understood = (record, permit)
        return self._understood

    def _event(self, record: InstanceRecord, permit: Permit) -> AuditEvent:
        caller = self._announced.caller
        return AuditEvent(
            kind="instance.stored",
            outcome=Outcome.DONE,
            who=permit.who,
            zone=permit.zone,
            address=caller.address,
            transport=caller.transport,
            calling_ae=caller.calling_ae or "",
            called_ae=caller.called_ae or "",
            verb=Verb.STORE,
            target=permit.action.target,
            rule=permit.rule,
            association=self._announced.association,
            study=record.study,
            instance=record.sop_instance,
            patient_id=record.attributes.get(PATIENT_ID, ""),
            modality=record.modality,
            certificate=caller.foreign_certificate,
            size_bytes=self._size_bytes,
        )
