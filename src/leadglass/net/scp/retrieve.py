"""Retrieve: C-GET and C-MOVE. PS3.4 §C.4.2 and §C.4.3, PS3.7 §9.1.3 and §9.1.4."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar, Protocol, TypeVar

from leadglass.archive.retrieve import Retrieval, Retriever, Wanted, transfer_syntax_for
from leadglass.dataset.identifier import encode_failed_list
from leadglass.model.errors import (
    LeadglassError,
    LocalError,
    OutOfResources,
    PeerError,
    RemoteRefused,
    TransportFailed,
)
from leadglass.model.instance import StoredInstance
from leadglass.model.names import AETitle, Uid
from leadglass.model.query import Root
from leadglass.net.conversation import Conversation
from leadglass.net.scp.link import Link
from leadglass.net.sending import DataSet, Originator, ReadAhead, store
from leadglass.protocol.commands import CGetRq, CGetRsp, CMoveRq, CMoveRsp
from leadglass.protocol.negotiation import NegotiatedContext
from leadglass.protocol.status import SUBOPERATIONS_INCOMPLETE, Category, Status, category

MAX_IDENTIFIER_BYTES = 1 << 20
BYTES_PER_READ = 2 << 20  # of a lot of small objects; a large one is read in pieces
OBJECTS_PER_READ = 32


Response = TypeVar("Response", CGetRsp, CMoveRsp)


class Deliver(Protocol):
    """Opens associations to a move's destination. ``net.delivery`` is the real one."""

    def __call__(
        self, retrieval: Retrieval, instances: Sequence[StoredInstance]
    ) -> AbstractAsyncContextManager[Conversation]:
        """An association on which these instances may be sent."""


@dataclass(slots=True)
class _Counts:
    """Sub-operations so far. PS3.7 §9.1.3.1, Number of ... Sub-operations."""

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_instances: list[Uid] = field(default_factory=list)
    sent: list[StoredInstance] = field(default_factory=list)

    def add(self, instance: StoredInstance, status: int) -> None:
        self.remaining -= 1
        match category(status):
            case Category.SUCCESS:
                self.completed += 1
                self.sent.append(instance)
            case Category.WARNING:
                self.warning += 1
                self.sent.append(instance)
            case _:
                self.failed += 1
                self.failed_instances.append(instance.sop_instance)

    def fail_rest(self, instances: Sequence[StoredInstance]) -> None:
        self.remaining = 0
        self.failed += len(instances)
        self.failed_instances.extend(instance.sop_instance for instance in instances)

    def final_status(self) -> int:
        """PS3.4 Table C.4-2, C.4-3: success, warning, or failure when nothing arrived."""
        if not self.failed and not self.warning:
            return Status.SUCCESS
        if self.completed or self.warning:
            return SUBOPERATIONS_INCOMPLETE
        return Status.OUT_OF_RESOURCES_SUBOPERATIONS


class RetrieveOperation(ABC):
    """One retrieval: collects the identifier, then sends from a task of its own."""

    listens: ClassVar[bool] = True

    def __init__(self, link: Link, root: Root, context: NegotiatedContext) -> None:
        self._link = link
        self._root = root
        self._context = context
        self._identifier = bytearray()
        self._cancelled = False

    def fragment(self, fragment: bytes | memoryview, is_last: bool) -> None:  # noqa: FBT001  the PDV's own flag
        if len(self._identifier) <= MAX_IDENTIFIER_BYTES:
            self._identifier += fragment
        if is_last:
            self._link.spawn(self._perform())

    def cancel(self) -> None:
        self._cancelled = True

    def abandon(self) -> None:
        self._cancelled = True

    @abstractmethod
    def _begin(self, wanted: Wanted) -> Retrieval:
        """Ask the gate and understand the identifier."""

    @abstractmethod
    def _way(
        self, retrieval: Retrieval, instances: Sequence[StoredInstance]
    ) -> AbstractAsyncContextManager[Conversation]:
        """The association that the instances go out on."""

    @abstractmethod
    def _originator(self) -> Originator | None:
        """Who is named in the sub-operations."""

    @abstractmethod
    def _respond(self, status: int, counts: _Counts | None, comment: str) -> None:
        """Send a pending or the last response."""

    async def _perform(self) -> None:
        try:
            if len(self._identifier) > MAX_IDENTIFIER_BYTES:
                raise OutOfResources("the identifier is larger than 1 MiB")
            wanted = Wanted(
                caller=self._link.peer,
                association=self._link.association,
                root=self._root,
                identifier=bytes(self._identifier),
                transfer_syntax=self._context.transfer_syntax,
            )
            retrieval = self._begin(wanted)
            counts = await self._retrieve(retrieval)
            status = Status.CANCEL if self._cancelled and counts.remaining else counts.final_status()
            self._respond(status, counts, "")
        except LeadglassError as error:
            self._respond(error.dimse_status, None, error.public_message)
        finally:
            self._link.finished(self)

    async def _retrieve(self, retrieval: Retrieval) -> _Counts:
        try:
            instances = await self._link.run(retrieval.locate)
        except PeerError as error:
            retrieval.close([], 0, str(error))
            raise
        permitted = retrieval.permitted(instances)
        counts = _Counts(len(instances))
        reason = ""
        try:
            refused = set(map(id, instances)) - set(map(id, permitted))
            for instance in instances:
                if id(instance) in refused:
                    counts.add(instance, Status.NOT_AUTHORIZED)
            if permitted:
                async with self._way(retrieval, permitted) as conversation:
                    await self._send_all(conversation, retrieval, permitted, counts)
        except (RemoteRefused, TransportFailed, LocalError) as error:
            reason = str(error)
            counts.fail_rest(permitted[len(permitted) - counts.remaining :])
        finally:
            retrieval.close(counts.sent, counts.failed, reason)
        return counts

    async def _send_all(
        self,
        conversation: Conversation,
        retrieval: Retrieval,
        instances: Sequence[StoredInstance],
        counts: _Counts,
    ) -> None:
        """One after the other; while some travel, the next are read and decrypted."""
        lots = iter(in_lots(instances))
        ahead = [self._read_ahead(conversation, retrieval, lot) for lot in islice(lots, 1)]
        try:
            while ahead and not self._cancelled:
                ahead += [self._read_ahead(conversation, retrieval, lot) for lot in islice(lots, 1)]
                await self._send_lot(conversation, ahead[0], counts)
                del ahead[0]
        finally:
            for lot in ahead:
                lot.reading.discard()

    def _read_ahead(
        self, conversation: Conversation, retrieval: Retrieval, instances: Sequence[StoredInstance]
    ) -> _Lot:
        items = [self._prepare(conversation, retrieval, instance) for instance in instances]
        datasets = [item.dataset for item in items if item.dataset is not None]
        return _Lot(items, ReadAhead(self._link.run, datasets))

    def _prepare(
        self, conversation: Conversation, retrieval: Retrieval, instance: StoredInstance
    ) -> _Prepared:
        contexts = conversation.storage_contexts(instance.sop_class)
        try:
            transfer_syntax = transfer_syntax_for(instance, tuple(contexts))
        except LeadglassError as error:
            return _Prepared(instance, None, None, error.dimse_status)
        dataset = DataSet(self._link.run, lambda: retrieval.read(instance, transfer_syntax))
        return _Prepared(instance, contexts[transfer_syntax], dataset, Status.SUCCESS)

    async def _send_lot(self, conversation: Conversation, lot: _Lot, counts: _Counts) -> None:
        if not lot.reading.is_done:
            self._link.conversation.connection.flush()  # a pending response shall not wait for the disk
            await lot.reading.done()
        for item in lot.items:
            if self._cancelled:
                return
            counts.add(item.instance, await self._send(conversation, item))
            if counts.remaining and not self._cancelled:
                self._respond(Status.PENDING, counts, "")

    async def _send(self, conversation: Conversation, item: _Prepared) -> int:
        if item.context is None or item.dataset is None:
            return item.status
        self._link.conversation.connection.touch()
        if not item.dataset.is_read:
            self._link.conversation.connection.flush()
        try:
            await item.dataset.ready()
        except LeadglassError as error:
            return error.dimse_status
        return await store(
            conversation,
            item.context,
            item.instance.sop_instance,
            item.dataset.pieces(),
            self._originator(),
        )

    def _failed_list(self, status: int, counts: _Counts | None) -> bytes | None:
        """Failed SOP Instance UID List, in a last response that tells of failures. PS3.4 §C.4.2.1.4.2."""
        if counts is None or status == Status.PENDING or not counts.failed_instances:
            return None
        return encode_failed_list(counts.failed_instances, self._context.transfer_syntax)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A sub-operation about to go out, or the status that it failed with before."""

    instance: StoredInstance
    context: NegotiatedContext | None
    dataset: DataSet | None
    status: int


@dataclass(frozen=True, slots=True)
class _Lot:
    """Sub-operations that follow one another, whose data sets are read in one go."""

    items: Sequence[_Prepared]
    reading: ReadAhead


def in_lots(instances: Sequence[StoredInstance]) -> list[list[StoredInstance]]:
    """In order: as many in a lot as are read in one go, by number and by size; at least one."""
    lots: list[list[StoredInstance]] = []
    left_bytes = 0
    for instance in instances:
        if not lots or instance.size_bytes > left_bytes or len(lots[-1]) == OBJECTS_PER_READ:
            lots.append([])
            left_bytes = BYTES_PER_READ
        lots[-1].append(instance)
        left_bytes -= instance.size_bytes
    return lots


class GetOperation(RetrieveOperation):
    """C-GET: the sub-operations come back over the requester's own association."""

    def __init__(
        self, retriever: Retriever, root: Root, link: Link, context: NegotiatedContext, request: CGetRq
    ) -> None:
        super().__init__(link, root, context)
        self._retriever = retriever
        self._request = request

    def _begin(self, wanted: Wanted) -> Retrieval:
        return self._retriever.begin_get(wanted)

    @asynccontextmanager
    async def _way(
        self, retrieval: Retrieval, instances: Sequence[StoredInstance]
    ) -> AsyncIterator[Conversation]:
        yield self._link.conversation

    def _originator(self) -> Originator | None:
        return None

    def _respond(self, status: int, counts: _Counts | None, comment: str) -> None:
        failed_list = self._failed_list(status, counts)
        response = _response(CGetRsp, self._request, status, counts, comment, failed_list)
        if status == Status.PENDING:
            self._link.respond_soon(self._context.id, response)
        else:
            self._link.respond(self._context.id, response, failed_list)


class MoveOperation(RetrieveOperation):
    """C-MOVE: the sub-operations go to a device that the policy names and permits."""

    def __init__(
        self,
        retriever: Retriever,
        deliver: Deliver,
        root: Root,
        link: Link,
        context: NegotiatedContext,
        request: CMoveRq,
    ) -> None:
        super().__init__(link, root, context)
        self._retriever = retriever
        self._deliver = deliver
        self._request = request

    def _begin(self, wanted: Wanted) -> Retrieval:
        return self._retriever.begin_move(wanted, self._request.destination)

    def _way(
        self, retrieval: Retrieval, instances: Sequence[StoredInstance]
    ) -> AbstractAsyncContextManager[Conversation]:
        return self._deliver(retrieval, instances)

    def _originator(self) -> Originator | None:
        calling_ae = self._link.peer.calling_ae
        return Originator(AETitle(calling_ae or ""), self._request.message_id)

    def _respond(self, status: int, counts: _Counts | None, comment: str) -> None:
        failed_list = self._failed_list(status, counts)
        response = _response(CMoveRsp, self._request, status, counts, comment, failed_list)
        self._link.respond(self._context.id, response, failed_list)


def _response(
    kind: type[Response],
    request: CGetRq | CMoveRq,
    status: int,
    counts: _Counts | None,
    comment: str,
    failed_list: bytes | None,
) -> Response:
    return kind(
        responding_to=request.message_id,
        sop_class=request.sop_class,
        status=status,
        remaining=_remaining(status, counts),
        completed=counts.completed if counts else None,
        failed=counts.failed if counts else None,
        warning=counts.warning if counts else None,
        error_comment=comment,
        has_dataset=failed_list is not None,
    )


def _remaining(status: int, counts: _Counts | None) -> int | None:
    """Only in pending and cancel responses. PS3.7 §9.1.3.1.6."""
    return counts.remaining if counts and status in {Status.PENDING, Status.CANCEL} else None
