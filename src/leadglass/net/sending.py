"""Sending one instance as a C-STORE sub-operation or operation. PS3.4 §B, PS3.7 §9.1.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

from leadglass.model.names import AETitle, Uid
from leadglass.net.conversation import Conversation
from leadglass.protocol.commands import CStoreRq
from leadglass.protocol.negotiation import NegotiatedContext

PIECES_PER_READ = 8
BYTES_AHEAD = 4 << 20  # read in one go: an object may grow as it is converted

Read = TypeVar("Read")


class RunBlocking(Protocol):
    """Runs what blocks on the disk, on a thread."""

    def __call__(self, work: Callable[[], Read]) -> Coroutine[Any, Any, Read]:
        """What the work gives."""


@dataclass(frozen=True, slots=True)
class Originator:
    """Who asked for the move that a store belongs to. PS3.7 §9.1.1.1.5."""

    ae: AETitle
    message_id: int


class DataSet:
    """The data set of one object, read in pieces."""

    def __init__(self, run: RunBlocking, begin: Callable[[], Iterator[bytes]]) -> None:
        self._run = run
        self._begin = begin
        self._pieces: Iterator[bytes] | None = None
        self._first: list[bytes] | None = None
        self._failure: Exception | None = None

    def read_first(self) -> int:
        """Read the first pieces, and keep them or why that could not be; their bytes. Blocks on the disk."""
        try:
            self._first = self._read()
        except Exception as error:  # noqa: BLE001  told by whoever wants the pieces
            self._first, self._failure = [], error
        return sum(map(len, self._first))

    @property
    def is_read(self) -> bool:
        """Whether ``ready`` does not have to wait for the disk."""
        return self._first is not None

    async def ready(self) -> None:
        """Have the first pieces, so that what cannot be read is known before it is sent.

        Raises:
            ConversionImpossible, IntegrityBroken, KeyUnavailable, NotDeidentifiable
        """
        if self._first is None:
            await self._run(self.read_first)
        if self._failure is not None:
            raise self._failure

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of it, in order; iterate once, after ``ready``. Raises as that."""
        batch, self._first = self._first, []
        while batch:
            for piece in batch:
                yield piece
            if len(batch) < PIECES_PER_READ:
                return
            batch = await self._run(self._read)

    def _read(self) -> list[bytes]:
        if self._pieces is None:
            self._pieces = self._begin()
        return list(islice(self._pieces, PIECES_PER_READ))


class ReadAhead:
    """Some data sets whose first pieces are read, in one go, while others are sent."""

    def __init__(self, run: RunBlocking, datasets: Sequence[DataSet]) -> None:
        self._datasets = datasets
        self._reading = asyncio.ensure_future(run(self._read))

    @property
    def is_done(self) -> bool:
        """Whether nobody has to wait."""
        return self._reading.done()

    async def done(self) -> None:
        """Wait until they are read, or were found not to be readable."""
        await asyncio.wait([self._reading])
        self._reading.result()

    def discard(self) -> None:
        """Not needed any more."""
        if self._reading.done() and not self._reading.cancelled():
            self._reading.exception()  # seen, and of no more interest
        self._reading.cancel()

    def _read(self) -> int:
        read_bytes = 0
        for dataset in self._datasets:
            read_bytes += dataset.read_first()
            if read_bytes > BYTES_AHEAD:
                break  # the others are read when it is their turn
        return read_bytes


async def store(
    conversation: Conversation,
    context: NegotiatedContext,
    sop_instance: Uid,
    dataset: AsyncIterable[bytes | memoryview],
    originator: Originator | None = None,
) -> int:
    """Send one object and wait for its status.

    Raises:
        RemoteRefused, TransportFailed: the association ended first.
    """
    message_id = conversation.new_message_id()
    replies = conversation.expect(message_id)
    try:
        request = CStoreRq(
            message_id=message_id,
            sop_class=context.abstract_syntax,
            sop_instance=sop_instance,
            move_originator_ae=originator.ae if originator else None,
            move_originator_message_id=originator.message_id if originator else None,
        )
        await conversation.stream(context.id, request, dataset)
        reply = await replies.next()
        return reply.command.status
    finally:
        replies.close()
