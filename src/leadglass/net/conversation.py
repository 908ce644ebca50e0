"""DIMSE over one association: messages out one at a time, responses to whoever asked.

Shared by acceptor and requestor, because a C-GET makes both sides invoke operations. PS3.7 §7.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from dataclasses import dataclass

from leadglass.model.errors import PeerProtocolError, RemoteRefused, TransportFailed
from leadglass.model.names import Uid
from leadglass.net.connection import Connection
from leadglass.protocol.association import Role
from leadglass.protocol.commands import Command, Response
from leadglass.protocol.dimse import encode_command
from leadglass.protocol.negotiation import NegotiatedContext
from leadglass.protocol.table import MachineEvent, allows

MAX_MESSAGE_ID = 0xFFFF
MAX_RESPONSE_BYTES = 16 << 20
BYTES_PER_FLUSH = 768 << 10  # with what may wait already, less than connection.MAX_UNHEARD_BYTES


@dataclass(frozen=True, slots=True)
class Reply:
    """A response to an operation that we invoked, with its data set if it had one."""

    command: Response
    dataset: bytes


@dataclass(frozen=True, slots=True)
class _Incomplete:
    """``gathered``, not a list of pieces: a view of one byte holds on to the PDU that it came in."""

    command: Response
    gathered: bytearray


@dataclass(frozen=True, slots=True)
class _Message:
    context_id: int
    command: Command
    dataset: bytes | None


class Conversation:
    """The sending side of an association, and the operations that we invoked on it."""

    def __init__(self, connection: Connection, role: Role) -> None:
        self.connection = connection
        self._role = role
        self.contexts: dict[int, NegotiatedContext] = {}
        self._waiting: dict[int, asyncio.Queue[Reply | Exception]] = {}
        self._next_message_id = 1
        self._streaming = asyncio.Lock()
        self._outbox: list[_Message] = []
        self._incomplete: _Incomplete | None = None
        self._failure: RemoteRefused | TransportFailed | None = None

    def send(self, context_id: int, command: Command, dataset: bytes | None = None) -> None:
        """Send one message, after the one that is being streamed if there is any."""
        self.send_all(context_id, [(command, dataset)])

    def send_all(self, context_id: int, messages: Sequence[tuple[Command, bytes | None]]) -> None:
        """The same of several, which go out together."""
        waiting = [_Message(context_id, command, dataset) for command, dataset in messages]
        if self._streaming.locked():
            self._outbox.extend(waiting)
        else:
            self._send_now(waiting)

    def send_soon(self, context_id: int, command: Command) -> None:
        """Send one message, together with whatever is sent or flushed next."""
        waiting = _Message(context_id, command, None)
        if self._streaming.locked():
            self._outbox.append(waiting)
        else:
            self._queue([waiting])

    @property
    def is_streaming(self) -> bool:
        """Whether a message of ours is half sent."""
        return self._streaming.locked()

    async def stream(
        self, context_id: int, command: Command, dataset: AsyncIterable[bytes | memoryview]
    ) -> None:
        """Send one message whose data set comes in pieces, at the pace of the peer.

        PS3.8 §9.3.5.1 lets no other message in between: those wait in the outbox.

        Raises:
            TransportFailed: the connection went away.
            Whatever ``dataset`` raises: the association is aborted then, for half a message can
                neither be finished nor taken back.
        """
        async with self._streaming:
            await self.connection.drained()  # several take turns here, each of which would queue a little
            self._require_open()
            whole = False
            try:
                await self._stream_now(context_id, command, dataset)
                whole = True
            finally:
                if not whole:
                    self.connection.abort()
            self._send_now(self._outbox)
            self._outbox.clear()
            self.connection.flush()
        await self.connection.drained()

    async def _stream_now(
        self, context_id: int, command: Command, dataset: AsyncIterable[bytes | memoryview]
    ) -> None:
        association = self.connection.association
        association.send_command(context_id, encode_command(command), has_dataset=True)
        previous: bytes | memoryview | None = None
        queued_bytes = 0
        async for piece in dataset:
            self._require_open()
            if previous is not None:
                association.send_dataset_fragment(context_id, previous, is_last=False)
                queued_bytes += len(previous)
                if queued_bytes >= BYTES_PER_FLUSH:
                    queued_bytes = 0
                    self.connection.flush()
                    self.connection.touch()
                    await self.connection.drained()
            previous = piece
        self._require_open()
        association.send_dataset_fragment(context_id, previous or b"", is_last=True)

    def we_invoke(self, context: NegotiatedContext) -> bool:
        """Whether the negotiated roles let this side invoke operations on a context."""
        return context.scu_role if self._role is Role.REQUESTOR else context.scp_role

    def peer_invokes(self, context: NegotiatedContext) -> bool:
        """Whether the negotiated roles let the peer invoke operations on a context."""
        return context.scp_role if self._role is Role.REQUESTOR else context.scu_role

    def storage_contexts(self, sop_class: Uid) -> dict[Uid, NegotiatedContext]:
        """The contexts on which this side may send objects of a class, by transfer syntax."""
        return {
            context.transfer_syntax: context
            for context in self.contexts.values()
            if context.abstract_syntax == sop_class and self.we_invoke(context)
        }

    def new_message_id(self) -> int:
        """An id that no operation under way has. PS3.7 §9.1: unique among those outstanding."""
        while True:
            message_id = self._next_message_id
            self._next_message_id = message_id % MAX_MESSAGE_ID + 1
            if message_id not in self._waiting:
                return message_id

    def expect(self, message_id: int) -> Replies:
        """Prepare for the responses to an operation about to be invoked.

        Where the association is gone already, its error is the first response.
        """
        replies: asyncio.Queue[Reply | Exception] = asyncio.Queue()
        self._waiting[message_id] = replies
        if self._failure is not None:
            replies.put_nowait(self._failure)
        return Replies(replies, lambda: self._waiting.pop(message_id, None))

    def take_response(self, context_id: int, command: Response) -> None:
        """A response came; it is delivered at once, or with its data set if it has one.

        One that nobody waits for is dropped: it may follow an operation we gave up.
        """
        if command.has_dataset:
            self._incomplete = _Incomplete(command, bytearray())
        else:
            self._deliver(Reply(command, b""))

    def take_fragment(self, fragment: bytes | memoryview, is_last: bool) -> bool:  # noqa: FBT001  the PDV's own flag
        """A fragment came; ``False`` if it belongs to no response.

        Raises:
            PeerProtocolError: the data set of a response is larger than any identifier.
        """
        incomplete = self._incomplete
        if incomplete is None:
            return False
        if incomplete.command.responding_to in self._waiting:
            incomplete.gathered.extend(fragment)
        if len(incomplete.gathered) > MAX_RESPONSE_BYTES:
            raise PeerProtocolError("the data set of a response is larger than 16 MiB")
        if is_last:
            self._incomplete = None
            self._deliver(Reply(incomplete.command, bytes(incomplete.gathered)))
        return True

    def _deliver(self, reply: Reply) -> None:
        waiting = self._waiting.get(reply.command.responding_to)
        if waiting is not None:
            waiting.put_nowait(reply)

    def fail(self, error: RemoteRefused | TransportFailed) -> None:
        """The association is gone: everybody who waits, or would, gets the error."""
        self._failure = self._failure or error
        for waiting in self._waiting.values():
            waiting.put_nowait(error)

    @property
    def _is_open(self) -> bool:
        connection = self.connection
        return not connection.closing and allows(connection.association.state, MachineEvent.P_DATA_REQUEST)

    def _require_open(self) -> None:
        if not self._is_open:
            raise TransportFailed("the connection is gone")

    def _send_now(self, messages: Iterable[_Message]) -> None:
        self._queue(messages)
        self.connection.flush()

    def _queue(self, messages: Iterable[_Message]) -> None:
        if not self._is_open:
            return
        for message in messages:
            pieces = None if message.dataset is None else (message.dataset,)
            command = encode_command(message.command)
            self.connection.association.send_message(message.context_id, command, pieces)


class Replies:
    """The responses to one operation, in order. Close when done."""

    def __init__(self, waiting: asyncio.Queue[Reply | Exception], forget: Callable[[], object]) -> None:
        self._waiting = waiting
        self._forget = forget

    async def next(self) -> Reply:
        """The next response.

        Raises:
            RemoteRefused, TransportFailed: there will be none.
        """
        item = await self._waiting.get()
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        """Expect no more."""
        self._forget()
