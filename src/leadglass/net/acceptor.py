"""One association as its acceptor: admission, negotiation, and requests handed to services."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from leadglass.gate import Admission, Gate
from leadglass.identity.peers import CertificateRefused, TlsFailed
from leadglass.model.caller import CertificateFacts, Peer, Transport
from leadglass.model.decision import Rung, Step
from leadglass.model.errors import (
    PeerProtocolError,
    RemoteRefused,
    TransportFailed,
)
from leadglass.model.event import Outcome
from leadglass.net.admission import admit_or_reject
from leadglass.net.connection import Connection
from leadglass.net.conversation import Conversation
from leadglass.net.recording import record_association, record_refusal
from leadglass.net.scp.link import Operation, Result
from leadglass.net.services import Services
from leadglass.protocol.association import Role
from leadglass.protocol.commands import CCancelRq, Command, Request, Response
from leadglass.protocol.events import (
    Aborted,
    AssociationRequested,
    Closed,
    CommandReceived,
    DatasetFragment,
    Event,
    ReleaseRequested,
    RequestRefused,
)
from leadglass.protocol.limits import Limits
from leadglass.protocol.negotiation import negotiate
from leadglass.protocol.pdu import AssociateReject, AssociateRequest
from leadglass.protocol.reasons import reject_text
from leadglass.protocol.status import Status
from leadglass.protocol.table import MachineEvent, allows

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Hosting:
    """What every association of a server shares. ``called_aes`` are the archive's own AE titles."""

    gate: Gate
    services: Services
    limits: Limits
    called_aes: frozenset[str]
    executor: Executor


class Roster(Protocol):
    """Where associations come and go. ``net.server`` is the real one."""

    def opened(self, acceptor: Acceptor, connection: Connection) -> bool:
        """A connection is here; ``False`` if there is no slot for it."""

    def why_full(self, device: str) -> str:
        """Why a device may have no further association now; empty if it may."""

    def associated(self, acceptor: Acceptor) -> None:
        """It became an association and frees its slot."""

    def gone(self, acceptor: Acceptor, connection: Connection) -> None:
        """It is gone."""


class Acceptor:
    """Handles one connection's events; implements ``connection.Handler`` and ``scp.link.Link``."""

    def __init__(
        self, hosting: Hosting, roster: Roster, listener: str, transport: Transport, association: str
    ) -> None:
        self._hosting = hosting
        self._roster = roster
        self._listener = listener
        self._transport = transport
        self._association = association
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._conversation: Conversation | None = None
        self._peer: Peer | None = None
        self._admission: Admission | None = None
        self._operations: dict[int, Operation] = {}
        self._receiving: Operation | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._window = 1
        self._release_wanted = False
        self._ended = ""

    # What the connection tells.

    def made(self, connection: Connection) -> bool:
        self._connection = connection
        if self._roster.opened(self, connection):
            return True
        self._refuse(connection, Step.TCP, "no free slot for connections that are not yet associated")
        return False

    def connected(self, connection: Connection) -> None:
        self._conversation = Conversation(connection, Role.ACCEPTOR)
        certificate = connection.tls.peer if connection.tls else None
        self._peer = self.door_peer(connection, certificate)
        connection.association.transport_connected()

    def received(self, event: Event) -> None:
        match event:
            case DatasetFragment():
                self._fragment(event)
            case CommandReceived():
                self._command(event.context_id, event.command)
            case AssociationRequested():
                self._requested(event.request)
            case ReleaseRequested():
                self._release_asked()
            case Aborted():
                self._aborted(event)
            case RequestRefused():
                self._not_our_language(event)
            case Closed():
                self._end("connection closed")
            case _:
                raise PeerProtocolError(f"an acceptor does not expect {type(event).__name__}")

    def refused(self, connection: Connection, reason: str, tls: TlsFailed | None) -> None:
        if self._admission is not None:
            ladder = self._hosting.gate.stopped_ladder(self.peer, None, Step.VERB, reason)
            self._record("association.aborted", Outcome.FAILED, reason, ladder)
        elif isinstance(tls, CertificateRefused):
            self._refuse(connection, Step.DEVICE, reason, tls.certificate)
        else:
            self._refuse(connection, Step.TRANSPORT, reason)

    def lost(self, connection: Connection) -> None:
        self._end("connection lost")
        self._roster.gone(self, connection)

    # What the server and the services use.

    @property
    def peer(self) -> Peer:
        if self._peer is None:
            raise PeerProtocolError("no association yet")
        return self._peer

    @property
    def association(self) -> str:
        return self._association

    @property
    def conversation(self) -> Conversation:
        if self._conversation is None:
            raise PeerProtocolError("no association yet")
        return self._conversation

    @property
    def admission(self) -> Admission | None:
        """Who was admitted; ``None`` before an association."""
        return self._admission

    @property
    def connection(self) -> Connection | None:
        """The connection, once it is up."""
        return self._connection

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self._operations)

    def respond(self, context_id: int, response: Command, dataset: bytes | None = None) -> None:
        if not self._ended:
            self.conversation.send(context_id, response, dataset)

    def respond_all(self, context_id: int, responses: Sequence[tuple[Command, bytes | None]]) -> None:
        if not self._ended:
            self.conversation.send_all(context_id, responses)

    def respond_soon(self, context_id: int, response: Command) -> None:
        if not self._ended:
            self.conversation.send_soon(context_id, response)

    def finished(self, operation: Operation) -> None:
        self._forget(operation)
        if self._connection is not None:
            self._connection.touch()
            if len(self._operations) < self._window:
                self._connection.resume_reading()
        self._release_if_idle()

    def fell_behind(self) -> None:
        if self._connection is not None:
            self._connection.pause_reading()

    def caught_up(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop ended meanwhile, and nobody is read any more
            self._loop.call_soon_threadsafe(self._read_on)

    def _read_on(self) -> None:
        if self._connection is not None and not self._full_of_stores():
            self._connection.resume_reading()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._worked)

    async def run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._hosting.executor, work)

    def recheck(self, certificate: CertificateFacts | None) -> None:
        """The policy or a revocation changed: end the association if it may no longer be."""
        closing = self._connection is None or self._connection.closing
        if self._admission is None or self._peer is None or self._ended or closing:
            return
        self._peer = replace(self._peer, certificate=certificate)
        decision = self._hosting.gate.still_admitted(self._peer)
        if not decision.allowed:
            failed = decision.failed
            reason = failed.detail if failed else ""
            self._record("association.cut", Outcome.DENIED, reason, decision.ladder)
            self.abort()

    def door_peer(self, connection: Connection, certificate: CertificateFacts | None = None) -> Peer:
        """Who this is as far as the connection alone tells."""
        return Peer(
            address=connection.address,
            transport=self._transport,
            listener=self._listener,
            certificate=certificate,
        )

    def evict(self, why: str) -> None:
        """Give this connection's slot to a newer one."""
        if self._connection is not None and not self._connection.closing:
            self._refuse(self._connection, Step.TCP, f"its place was needed: {why}")
            self._connection.drop()

    def abort(self) -> None:
        """End the association now."""
        if self._connection is not None:
            self._connection.abort()

    # Inside.

    def _requested(self, request: AssociateRequest) -> None:
        self._peer = replace(
            self.peer,
            calling_ae=request.calling_ae,
            called_ae=request.called_ae,
            called_ae_known=request.called_ae in self._hosting.called_aes,
        )
        upper_layer = self.conversation.connection.association
        if not allows(upper_layer.state, MachineEvent.ASSOCIATE_ACCEPT):
            return  # broken off in the same breath; that event comes next
        tls = self.conversation.connection.tls
        admission = admit_or_reject(
            self._hosting.gate, self._peer, request, self._association, self._roster.why_full, tls
        )
        if isinstance(admission, AssociateReject):
            upper_layer.reject(admission)
            self._ended = "refused"
            return
        accept, outcome = negotiate(request, permitted=admission.verbs, limits=self._hosting.limits)
        self.conversation.contexts = dict(outcome.contexts)
        self._window = outcome.async_window.invoked
        self._admission = admission
        self._roster.associated(self)
        upper_layer.accept(accept)

    def _not_our_language(self, event: RequestRefused) -> None:
        """A version or application context that nobody speaks; the rejection is queued already."""
        peer = replace(self.peer, calling_ae=event.request.calling_ae, called_ae=event.request.called_ae)
        self._peer = peer
        self.refused(self.conversation.connection, reject_text(event.reject), None)
        self._ended = "refused"

    def _command(self, context_id: int, command: Command) -> None:
        match command:
            case CCancelRq():
                operation = self._operations.get(command.responding_to)
                if operation is not None:
                    operation.cancel()
            case _ if isinstance(command, Response):
                self.conversation.take_response(context_id, command)
            case _:
                self._begin(context_id, command)

    def _begin(self, context_id: int, request: Request) -> None:
        context = self.conversation.contexts[context_id]
        refusal: int | None = None
        if request.message_id in self._operations:
            refusal = Status.DUPLICATE_INVOCATION
        elif len(self._operations) >= self._window:
            refusal = Status.OUT_OF_RESOURCES
        operation = self._hosting.services.begin(self, context, request, refusal)
        if operation is None:
            return
        if refusal is None:
            self._operations[request.message_id] = operation
        self._receiving = operation

    def _fragment(self, event: DatasetFragment) -> None:
        if self.conversation.take_fragment(event.fragment, event.is_last):
            return
        operation = self._receiving
        if operation is None:
            return
        if event.is_last:
            self._receiving = None
        operation.fragment(event.fragment, event.is_last)
        if event.is_last and self._connection is not None and self._full_of_stores():
            self._connection.pause_reading()

    def _full_of_stores(self) -> bool:
        """As many whole requests as agreed; none must hear from the peer (cancel, sub-operations)."""
        return (
            self._receiving is None
            and len(self._operations) >= self._window
            and not any(operation.listens for operation in self._operations.values())
        )

    def _forget(self, operation: Operation) -> None:
        self._operations = {key: value for key, value in self._operations.items() if value is not operation}

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # a bug of ours; the peer must not wait for an answer for ever
            log.error("an operation broke", association=self._association, error=type(error).__name__)
            self.abort()

    def _release_asked(self) -> None:
        """The peer sends nothing more: what it left half sent never comes, nor do its responses."""
        self._release_wanted = True
        half_sent, self._receiving = self._receiving, None
        if half_sent is not None:
            half_sent.abandon()
            self._forget(half_sent)
        self.conversation.fail(RemoteRefused("the peer released the association"))
        self._release_if_idle()

    def _release_if_idle(self) -> None:
        connection = self._connection
        if self._release_wanted and not self._operations and connection is not None:
            self._release_wanted = False
            if not allows(connection.association.state, MachineEvent.RELEASE_RESPONSE):
                return  # it asked for release and broke off in the same breath
            connection.association.reply_release()
            connection.flush()
            self._end("released")

    def _aborted(self, event: Aborted) -> None:
        if not event.by_peer and self._connection is not None:
            self.refused(self._connection, event.text, None)
        self._end("aborted")

    def _end(self, reason: str) -> None:
        """Nothing more will be sent: abandon what is under way. Runs once."""
        if self._ended:
            return
        self._ended = reason
        for operation in list(self._operations.values()):
            operation.abandon()
        if self._receiving is not None:
            self._receiving.abandon()
        self._receiving = None
        if self._conversation is not None:
            self._conversation.fail(TransportFailed(f"the association ended: {reason}"))
        if self._admission is not None:
            self._record("association.ended", Outcome.DONE, reason)

    def _refuse(
        self, connection: Connection, step: Step, reason: str, certificate: CertificateFacts | None = None
    ) -> None:
        """Record that a connection came no further than this step."""
        peer = self._peer or self.door_peer(connection, certificate)
        record_refusal(self._hosting.gate, peer, step, reason, self._association)

    def _record(self, kind: str, outcome: Outcome, reason: str, ladder: tuple[Rung, ...] = ()) -> None:
        told = (kind, outcome, reason)
        record_association(self._hosting.gate, self.peer, self._admission, self._association, told, ladder)
