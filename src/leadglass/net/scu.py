"""One association as its requestor: what a move's delivery and the command line use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from leadglass.identity.peers import TlsFailed
from leadglass.identity.session import TlsSession
from leadglass.model.errors import (
    LeadglassError,
    LocalProtocolError,
    PeerProtocolError,
    RemoteRefused,
    TransportFailed,
)
from leadglass.model.names import AETitle, Uid
from leadglass.net.connection import Connection, Deadlines, DeadlineSweeper
from leadglass.net.conversation import Conversation, Reply
from leadglass.net.scp.refused import failure
from leadglass.protocol.association import Association, Role
from leadglass.protocol.commands import (
    CCancelRq,
    CEchoRq,
    CFindRq,
    CGetRq,
    CMoveRq,
    Command,
    CStoreRq,
    CStoreRsp,
    Request,
    Response,
)
from leadglass.protocol.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    Closed,
    CommandReceived,
    DatasetFragment,
    Event,
    ReleaseConfirmed,
    ReleaseRequested,
)
from leadglass.protocol.limits import Limits
from leadglass.protocol.negotiation import NegotiatedContext
from leadglass.protocol.pdu import AssociateRequest
from leadglass.protocol.reasons import reject_text
from leadglass.protocol.status import Category, Status, category

CONNECT_TIMEOUT_S = 10.0
RELEASE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect. ``tls`` makes a client session, or is ``None`` for plaintext.

    ``bind`` is the local address to connect from, for hosts that have several.
    """

    host: str
    port: int
    tls: Callable[[], TlsSession] | None = None
    bind: str | None = None


class ReceivedObject(Protocol):
    """An object that a C-GET brings."""

    def fragment(self, fragment: bytes | memoryview) -> None:
        """The next bytes of its data set."""

    def finish(self) -> int:
        """It is complete; the status to answer with."""

    def abandon(self) -> None:
        """It will never be complete."""


class Exchange:
    """One operation invoked: iterate over its pending responses and the last one."""

    def __init__(
        self, conversation: Conversation, context_id: int, request: Request, dataset: bytes | None
    ) -> None:
        self._conversation = conversation
        self._context_id = context_id
        self._message_id = request.message_id
        self._replies = conversation.expect(request.message_id)
        self._ended = False
        conversation.send(context_id, request, dataset)

    def cancel(self) -> None:
        """Ask the peer to stop; responses go on until it does. PS3.7 §9.3.2.3."""
        if not self._ended:
            self._conversation.send(self._context_id, CCancelRq(responding_to=self._message_id))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Reply:
        if self._ended:
            raise StopAsyncIteration
        reply = await self._replies.next()
        if category(reply.command.status) is not Category.PENDING:
            self._ended = True
            self._replies.close()
        return reply


Receive = Callable[[CStoreRq, NegotiatedContext], ReceivedObject]


class Requestor:
    """An association that we asked for; an async context manager that releases it at the end."""

    def __init__(self, request: AssociateRequest, receive: Receive | None) -> None:
        self._request = request
        self._receive = receive
        self._answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._released: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._conversation: Conversation | None = None
        self._error: RemoteRefused | TransportFailed | None = None
        self._arriving: tuple[CStoreRq, NegotiatedContext, ReceivedObject] | None = None

    @classmethod
    async def open(
        cls,
        target: Target,
        request: AssociateRequest,
        *,
        limits: Limits,
        deadlines: Deadlines,
        receive: Receive | None = None,
    ) -> Requestor:
        """Connect and associate. ``receive`` takes the objects that a C-GET brings.

        Raises:
            TransportFailed: no connection, TLS failed, or no answer in time.
            RemoteRefused: the association was rejected or aborted.
        """
        loop = asyncio.get_running_loop()
        requestor = cls(request, receive)
        sweeper = DeadlineSweeper(loop)
        session = target.tls() if target.tls else None  # made here, where its error is the caller's
        new_tls = None if session is None else lambda _address: session
        association = Association(Role.REQUESTOR, limits)
        local = (target.bind, 0) if target.bind else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(
                    lambda: Connection(association, requestor, deadlines, sweeper, new_tls),
                    target.host,
                    target.port,
                    local_addr=local,
                )
        except OSError as error:
            text = error.strerror or "no answer in time"
            raise TransportFailed(f"cannot connect to {target.host} port {target.port}: {text}") from error
        try:
            async with asyncio.timeout(deadlines.handshake_s + deadlines.pdu_s):
                await requestor._answer
        except TimeoutError as error:
            connection.abort()
            raise TransportFailed(f"no answer from {target.host} port {target.port} in time") from error
        return requestor

    # What the connection tells.

    def made(self, connection: Connection) -> bool:
        return True

    def connected(self, connection: Connection) -> None:
        self._conversation = Conversation(connection, Role.REQUESTOR)
        connection.association.request(self._request)
        connection.association.transport_connected()

    def received(self, event: Event) -> None:
        match event:
            case DatasetFragment():
                self._fragment(event)
            case CommandReceived():
                self._command(event.context_id, event.command)
            case AssociationAccepted():
                self._accepted(event)
            case AssociationRejected():
                self._fail(RemoteRefused(f"association rejected: {reject_text(event.reject)}"))
            case Aborted() if self.conversation.connection.closing:
                self._fail(TransportFailed(event.text))  # nobody aborted: the connection is gone
            case Aborted():
                self._fail(RemoteRefused(f"association aborted: {event.text}"))
            case ReleaseRequested():
                self._fail(RemoteRefused("the peer released the association"))
                self._agree_to_release(self.conversation)
            case ReleaseConfirmed():
                if not self._released.done():
                    self._released.set_result(None)
            case Closed():
                self._fail(TransportFailed("the peer closed the connection"))
            case _:
                raise LocalProtocolError(f"a requestor does not expect {type(event).__name__}")

    def refused(self, connection: Connection, reason: str, tls: TlsFailed | None) -> None:
        self._fail(TransportFailed(reason))

    def lost(self, connection: Connection) -> None:
        self._fail(TransportFailed("the peer closed the connection"))
        if not self._gone.done():
            self._gone.set_result(None)

    # What callers use.

    @property
    def conversation(self) -> Conversation:
        """The association's messages."""
        if self._conversation is None:
            raise self._error or TransportFailed("not connected")
        return self._conversation

    def context_for(self, abstract_syntax: Uid) -> NegotiatedContext:
        """An accepted context on which we may invoke.

        Raises:
            RemoteRefused: the peer accepted none.
        """
        for context in self.conversation.contexts.values():
            if context.abstract_syntax == abstract_syntax and self.conversation.we_invoke(context):
                return context
        raise RemoteRefused(f"the peer did not accept {abstract_syntax}")

    async def echo(self, sop_class: Uid) -> int:
        """C-ECHO; its status."""
        context = self.context_for(sop_class)
        exchange = self._invoke(context, lambda message_id: CEchoRq(message_id, sop_class), None)
        return (await anext(exchange)).command.status

    def find(self, sop_class: Uid, identifier: Callable[[Uid], bytes]) -> Exchange:
        """C-FIND: each pending response and the last one. ``identifier`` encodes for a transfer syntax."""
        context = self.context_for(sop_class)
        return self._invoke(
            context,
            lambda message_id: CFindRq(message_id=message_id, sop_class=sop_class),
            identifier(context.transfer_syntax),
        )

    def get(self, sop_class: Uid, identifier: Callable[[Uid], bytes]) -> Exchange:
        """C-GET: each pending response and the last one; objects go to ``receive``."""
        context = self.context_for(sop_class)
        return self._invoke(
            context,
            lambda message_id: CGetRq(message_id=message_id, sop_class=sop_class),
            identifier(context.transfer_syntax),
        )

    def move(self, sop_class: Uid, destination: AETitle, identifier: Callable[[Uid], bytes]) -> Exchange:
        """C-MOVE: each pending response and the last one."""
        context = self.context_for(sop_class)
        return self._invoke(
            context,
            lambda message_id: CMoveRq(message_id=message_id, sop_class=sop_class, destination=destination),
            identifier(context.transfer_syntax),
        )

    async def release(self) -> None:
        """Release in order; abort if the peer does not answer."""
        connection = self.conversation.connection
        if not connection.closing and self._error is None:
            connection.association.release()
            connection.flush()
            try:
                async with asyncio.timeout(RELEASE_TIMEOUT_S):
                    await asyncio.wait([self._released, self._gone], return_when=asyncio.FIRST_COMPLETED)
            except TimeoutError:
                connection.abort()
        connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.release()
        else:
            self.conversation.connection.abort()

    def _invoke(
        self, context: NegotiatedContext, make: Callable[[int], Request], dataset: bytes | None
    ) -> Exchange:
        return Exchange(self.conversation, context.id, make(self.conversation.new_message_id()), dataset)

    # Inside.

    def _accepted(self, event: AssociationAccepted) -> None:
        self.conversation.contexts = dict(event.outcome.contexts)
        if not self._answer.done():
            self._answer.set_result(None)

    def _command(self, context_id: int, command: Command) -> None:
        if isinstance(command, Response):
            self.conversation.take_response(context_id, command)
        elif isinstance(command, CStoreRq) and self._receive is not None and self._is_object(context_id):
            if not command.sop_instance:
                raise PeerProtocolError("the peer sends an object that has no UID")
            context = self.conversation.contexts[context_id]
            self._arriving = (command, context, self._receive(command, context))
        elif isinstance(command, Request):
            self.conversation.send(context_id, failure(command, Status.UNRECOGNIZED_OPERATION))

    def _is_object(self, context_id: int) -> bool:
        """Whether the peer may send objects on this context."""
        return self.conversation.peer_invokes(self.conversation.contexts[context_id])

    def _agree_to_release(self, conversation: Conversation) -> None:
        if conversation.is_streaming:
            conversation.connection.abort()  # half a message of ours is on its way
        else:
            conversation.connection.association.reply_release()

    def _fragment(self, event: DatasetFragment) -> None:
        if self.conversation.take_fragment(event.fragment, event.is_last) or self._arriving is None:
            return
        request, context, arriving = self._arriving
        arriving.fragment(event.fragment)
        if event.is_last:
            self._arriving = None
            try:
                status = arriving.finish()
            except LeadglassError as error:
                status = error.dimse_status
            self.conversation.send(
                context.id,
                CStoreRsp(
                    responding_to=request.message_id,
                    sop_class=request.sop_class,
                    sop_instance=request.sop_instance,
                    status=status,
                ),
            )

    def _fail(self, error: RemoteRefused | TransportFailed) -> None:
        if self._error is not None:
            return
        self._error = error
        if not self._answer.done():
            self._answer.set_exception(error)
        if self._conversation is not None:
            self._conversation.fail(error)
        if self._arriving is not None:
            self._arriving[2].abandon()
            self._arriving = None
