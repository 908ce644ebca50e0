"""Retrieve: which instances, may they go there, and their bytes. PS3.4 §C.4.2, §C.4.3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from leadglass.dataset.convert import ConvertLimits, convert, convertible
from leadglass.dataset.deidentify import Pseudonyms, deidentify
from leadglass.dataset.identifier import decode_retrieve
from leadglass.gate import Gate
from leadglass.index.index import Index
from leadglass.model.action import Action, Facts, Verb
from leadglass.model.caller import Archive, Peer
from leadglass.model.errors import (
    ConversionImpossible,
    IntegrityBroken,
    MoveDestinationUnknown,
    NotDeidentifiable,
    NotPermitted,
)
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.instance import StoredInstance
from leadglass.model.names import AETitle, Uid
from leadglass.model.permit import Permit, Release
from leadglass.model.query import Level, RetrieveKeys, Root
from leadglass.model.usage import Load
from leadglass.policy.model import Device
from leadglass.policy.scope import release_of
from leadglass.storage.reader import SealedReader
from leadglass.storage.store import SegmentStore

EXPLICIT_LITTLE_ENDIAN = Uid("1.2.840.10008.1.2.1")
IMPLICIT_LITTLE_ENDIAN = Uid("1.2.840.10008.1.2")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A C-GET-RQ or C-MOVE-RQ with its identifier. PS3.7 §9.3.3.1, §9.3.4.1."""

    caller: Peer
    association: str
    root: Root
    identifier: bytes
    transfer_syntax: Uid


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a move goes: a device of the policy that has an address."""

    device: Device
    ae: AETitle


class Retriever:
    """Plans retrievals; one for the whole server."""

    def __init__(
        self,
        gate: Gate,
        index: Index,
        store: SegmentStore,
        node: str,
        convert_limits: ConvertLimits,
        pseudonyms: Pseudonyms,
    ) -> None:
        self._gate = gate
        self._index = index
        self._store = store
        self._node = node
        self._convert_limits = convert_limits
        self._pseudonyms = pseudonyms

    def begin_get(self, wanted: Wanted) -> Retrieval:
        """A retrieval over the requester's own association.

        Raises:
            NotPermitted, IdentifierMismatch, DatasetInvalid, AuditFailed
        """
        return self._begin(wanted, Verb.GET, None)

    def begin_move(self, wanted: Wanted, destination_ae: AETitle) -> Retrieval:
        """A retrieval towards a device of the policy.

        Raises:
            MoveDestinationUnknown: no device with an address has that AE title.
            As ``begin_get``.
        """
        device = self._gate.destination(destination_ae)
        retrieval = self._begin(
            wanted, Verb.MOVE, Destination(device, destination_ae) if device is not None else None
        )
        if device is None:
            self._gate.refuse_destination(
                wanted.caller, destination_ae, self._node, association=wanted.association
            )
            raise MoveDestinationUnknown("the policy has no device with this AE title and an address")
        return retrieval

    def _begin(self, wanted: Wanted, verb: Verb, destination: Destination | None) -> Retrieval:
        permit = self._gate.permit(wanted.caller, Action(verb), association=wanted.association)
        keys = decode_retrieve(wanted.identifier, wanted.transfer_syntax, wanted.root)
        if keys.patient_id and _may_lack_identity(permit):
            # Else whoever gets nothing but images without names could learn whose they are.
            facts = Facts(attributes=frozenset({"PatientID"}))
            action = Action(verb, facts=facts)
            permit = self._gate.permit_part(wanted.caller, action, association=wanted.association)
        return Retrieval(self, wanted, permit, keys, destination)

    def locate(self, permit: Permit, keys: RetrieveKeys) -> list[StoredInstance]:
        """The instances that the keys and the permit's scope both reach. Blocks on the disk."""
        return self._index.locate(permit, keys)

    def may_send(self, facts: Facts, device: Device, association: str) -> Permit:
        """The second permit of a move: from the archive to the destination, for such objects.

        Raises:
            NotPermitted
        """
        action = Action(Verb.STORE, target=device.name, facts=facts)
        return self._gate.permit_part(Archive(self._node), action, association=association)

    def reserve(self, permit: Permit, instances: Collection[StoredInstance], association: str) -> None:
        """Take them out of the hour of whoever they are for: the requester, or a destination.

        Raises:
            NotPermitted: they do not all fit.
        """
        self._gate.reserve(permit, _load(instances), association=association)

    def give_back(self, permit: Permit, instances: Collection[StoredInstance]) -> None:
        """They were reserved, and did not go."""
        self._gate.give_back(permit, _load(instances))

    def read(
        self, permit: Permit, instance: StoredInstance, transfer_syntax: Uid, release: Release
    ) -> Iterator[bytes]:
        """The data set in a transfer syntax, verified chunk by chunk. Blocks on the disk.

        Raises:
            ConversionImpossible, IntegrityBroken, KeyUnavailable
            NotDeidentifiable: it may go out only without identity, and that cannot be.
        """
        chunks = self._open(permit, instance).chunks()
        if release is not Release.WHOLE:
            chunks = deidentify(
                chunks, instance.transfer_syntax, self._pseudonyms, instance.site, self._convert_limits
            )
        if transfer_syntax == instance.transfer_syntax:
            return chunks
        if not convertible(instance.transfer_syntax, transfer_syntax):
            raise ConversionImpossible(f"{instance.transfer_syntax} to {transfer_syntax}")
        stored = b"".join(chunks)
        return iter([convert(stored, instance.transfer_syntax, transfer_syntax, self._convert_limits)])

    def _open(self, permit: Permit, instance: StoredInstance) -> SealedReader:
        """Where compaction moved it since it was located, at its new place."""
        try:
            return self._store.open(permit, instance.location, instance.object_id)
        except IntegrityBroken:
            keys = RetrieveKeys(Level.IMAGE, None, (), (), (instance.sop_instance,))
            for now in self._index.locate(permit, keys):
                if now.object_id == instance.object_id and now.location != instance.location:
                    return self._store.open(permit, now.location, now.object_id)
            raise

    def record(self, event: AuditEvent) -> None:
        """Have a line recorded."""
        self._gate.record(event)


class Retrieval:
    """One C-GET or C-MOVE under way."""

    def __init__(
        self,
        retriever: Retriever,
        wanted: Wanted,
        permit: Permit,
        keys: RetrieveKeys,
        destination: Destination | None,
    ) -> None:
        self._retriever = retriever
        self._wanted = wanted
        self._permit = permit
        self._keys = keys
        self._reserved: list[tuple[Permit, list[StoredInstance]]] = []
        self._onward: dict[Uid, Permit] = {}  # by instance, that of its destination
        self._withheld: dict[Uid, str] = {}  # by instance, why it cannot go out without identity
        self.destination = destination

    def locate(self) -> list[StoredInstance]:
        """What is to be sent. Blocks on the disk."""
        return self._retriever.locate(self._permit, self._keys)

    def permitted(self, instances: Sequence[StoredInstance]) -> list[StoredInstance]:
        """Those that may go: all, or those of a move that the destination may have.

        They are taken out of the hour's budgets; ``close`` gives back what did not go.

        Raises:
            NotPermitted: there are some, and it may have none; or the requester's hour has no room for them.
        """
        permitted = list(instances) if self.destination is None else self._for(self.destination, instances)
        try:
            self._reserve(self._permit, permitted)
        except NotPermitted:
            self._give_back(())
            raise
        return permitted

    def _for(self, destination: Destination, instances: Sequence[StoredInstance]) -> list[StoredInstance]:
        """Those that the destination may have, taken out of its hour."""
        alike: dict[Facts, list[StoredInstance]] = {}
        for instance in instances:
            alike.setdefault(_facts(instance), []).append(instance)
        refusal: NotPermitted | None = None
        allowed: set[Facts] = set()
        for facts, group in alike.items():
            try:
                permit = self._retriever.may_send(facts, destination.device, self._wanted.association)
                self._reserve(permit, group)
                self._onward |= {each.sop_instance: permit for each in group}
            except NotPermitted as error:
                refusal = error
            else:
                allowed.add(facts)
        if refusal is not None and not allowed:
            raise refusal
        return [instance for instance in instances if _facts(instance) in allowed]

    def _reserve(self, permit: Permit, instances: list[StoredInstance]) -> None:
        self._retriever.reserve(permit, instances, self._wanted.association)
        self._reserved.append((permit, instances))

    def _give_back(self, sent: Collection[StoredInstance]) -> None:
        """All that was reserved, but for what was sent."""
        gone = {instance.sop_instance for instance in sent}
        for permit, instances in self._reserved:
            self._retriever.give_back(permit, [each for each in instances if each.sop_instance not in gone])
        self._reserved.clear()

    def read(self, instance: StoredInstance, transfer_syntax: Uid) -> Iterator[bytes]:
        """The bytes of one instance, without identity where they may not go out whole. Blocks on the disk."""
        release = Release.DEIDENTIFIED if self._demand(instance) else Release.WHOLE
        if release is Release.WHOLE:
            return self._retriever.read(self._permit, instance, transfer_syntax, release)
        return self._noting(instance, transfer_syntax, release)

    def _noting(self, instance: StoredInstance, transfer_syntax: Uid, release: Release) -> Iterator[bytes]:
        """The bytes; where they cannot go out, ``close`` will say why."""
        try:
            yield from self._retriever.read(self._permit, instance, transfer_syntax, release)
        except NotDeidentifiable as error:
            self._withheld[instance.sop_instance] = str(error)
            raise

    def _demand(self, instance: StoredInstance) -> str:
        """The rule that lets it out only without identity; empty where it goes out whole."""
        onward = self._onward.get(instance.sop_instance)
        if onward is not None and onward.release is not Release.WHOLE:
            return onward.rule
        if _may_lack_identity(self._permit):
            release = release_of(self._permit.scope, _facts(instance))
            return self._permit.rule if release is not Release.WHOLE else ""
        return ""

    def close(self, sent: Sequence[StoredInstance], failed_count: int, reason: str) -> None:
        """Record what left the archive: a line for each study, and how it left; others for what did not."""
        self._give_back(sent)
        lots: dict[tuple[Uid, str, str], list[int]] = {}
        for each in sent:
            onward = self._onward.get(each.sop_instance)
            lot = (each.study, self._demand(each), onward.rule if onward is not None else "")
            lots.setdefault(lot, []).append(each.size_bytes)
        for (study, demand, onward_rule), sizes in lots.items():
            released = f"{Release.DEIDENTIFIED}, by {demand}" if demand else ""
            event = self._event(Outcome.DONE, len(sizes), study, released)
            self._retriever.record(replace(event, size_bytes=sum(sizes), onward_rule=onward_rule))
        withheld = Counter(self._withheld.values())
        for why, count in withheld.items():
            told = f"not released, for it cannot be de-identified: {why}"
            self._retriever.record(self._event(Outcome.FAILED, count, Uid(""), told))
        failed_count = max(0, failed_count - withheld.total())
        if failed_count or reason:
            self._retriever.record(
                self._event(Outcome.FAILED, failed_count, Uid(""), reason or "sub-operations failed")
            )

    def _event(self, outcome: Outcome, count: int, study: Uid, reason: str) -> AuditEvent:
        caller = self._wanted.caller
        return AuditEvent(
            kind="retrieval.sent",
            outcome=outcome,
            who=self._permit.who,
            zone=self._permit.zone,
            address=caller.address,
            transport=caller.transport,
            calling_ae=caller.calling_ae or "",
            called_ae=caller.called_ae or "",
            verb=self._permit.action.verb,
            target=self.destination.device.name if self.destination else self._permit.who,
            rule=self._permit.rule,
            association=self._wanted.association,
            study=study,
            reason=reason,
            count=count,
        )


def _may_lack_identity(permit: Permit) -> bool:
    """Whether some of what a permit reaches goes out without identity."""
    return any(each.release is not Release.WHOLE for each in permit.scope.alternatives)


def _load(instances: Collection[StoredInstance]) -> Load:
    return Load(
        len(instances),
        sum(instance.size_bytes for instance in instances),
        frozenset(instance.patient for instance in instances),
    )


def _facts(instance: StoredInstance) -> Facts:
    return Facts(
        modality=instance.modality or None,
        sop_class=instance.sop_class,
        labels=instance.labels,
        study=instance.study,
        study_date=instance.study_date,
        sender=instance.sender or None,
    )


def transfer_syntax_for(instance: StoredInstance, accepted: Sequence[Uid]) -> Uid:
    """The accepted transfer syntax an instance goes out in: its own, else a conversion.

    Raises:
        ConversionImpossible: none of those accepted can be made.
    """
    if instance.transfer_syntax in accepted:
        return instance.transfer_syntax
    for wanted in (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN):
        if wanted in accepted and convertible(instance.transfer_syntax, wanted):
            return wanted
    raise ConversionImpossible(f"stored as {instance.transfer_syntax}, which the peer does not accept")
