"""Sending one instance as a C-STORE sub-operation or operation. PS3.4 §B, PS3.7 §9.1.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from leadglass.model.names import AETitle, Uid
from leadglass.net.conversation import Conversation
from leadglass.protocol.commands import CStoreRq
from leadglass.protocol.negotiation import NegotiatedContext

PIECES_PER_READ = 8

RunBlocking = Callable[[Callable[[], list[bytes]]], Coroutine[Any, Any, list[bytes]]]


@dataclass(frozen=True, slots=True)
class Originator:
    """Who asked for the move that a store belongs to. PS3.7 §9.1.1.1.5."""

    ae: AETitle
    message_id: int


class ReadAhead:
    """The data set of one instance; its first pieces are read while something else is sent."""

    def __init__(self, run: RunBlocking, begin: Callable[[], Iterator[bytes]]) -> None:
        self._run = run
        self._begin = begin
        self._pieces: Iterator[bytes] | None = None
        self._first = asyncio.ensure_future(run(self._read))

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of it, in order; iterate once.

        Raises:
            ConversionImpossible, IntegrityBroken, KeyUnavailable
        """
        batch = await self._first
        while batch:
            for piece in batch:
                yield piece
            if len(batch) < PIECES_PER_READ:
                return
            batch = await self._run(self._read)

    async def ready(self) -> None:
        """Wait for the first pieces, so that what cannot be read is known before anything is sent."""
        await asyncio.wait([self._first])
        self._first.result()

    def discard(self) -> None:
        """Not needed any more."""
        if self._first.done() and not self._first.cancelled():
            self._first.exception()  # seen, and of no more interest
        self._first.cancel()

    def _read(self) -> list[bytes]:
        if self._pieces is None:
            self._pieces = self._begin()
        return list(islice(self._pieces, PIECES_PER_READ))


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
