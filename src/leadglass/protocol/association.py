"""One association, sans I/O: bytes and requests in, events and bytes out. PS3.8 §9.2.

Every move is a cell of ``table.TABLE``. What a peer does wrong comes out as an ``Aborted`` event with
an A-ABORT queued, never as an exception; what our own side does wrong is a ``LocalProtocolError``.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import assert_never

from leadglass.model.errors import LocalProtocolError, PeerProtocolError
from leadglass.model.names import AETitle
from leadglass.protocol.codec import (
    decode_abort,
    decode_accept,
    decode_pdvs,
    decode_reject,
    decode_request,
    encode,
    four_bytes,
)
from leadglass.protocol.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    AssociationRequested,
    Closed,
    Event,
    ReleaseConfirmed,
    ReleaseRequested,
    RequestRefused,
)
from leadglass.protocol.framing import Frame, PduReader
from leadglass.protocol.headers import RECEIVED, HeaderRefused, judge_header
from leadglass.protocol.limits import Limits
from leadglass.protocol.messages import MessageReader, MessageWriter
from leadglass.protocol.negotiation import check_peer_pdu_size, interpret
from leadglass.protocol.pdu import (
    APPLICATION_CONTEXT,
    PROTOCOL_VERSION,
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextVerdict,
    PduType,
    ReleaseReply,
    ReleaseRequest,
    UserInformation,
)
from leadglass.protocol.reasons import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    AbortReason,
    AbortSource,
    abort_text,
)
from leadglass.protocol.table import TABLE, Action, Artim, MachineEvent, State, Way, step, step_otherwise

_NO_REQUEST = AssociateRequest(AETitle(""), AETitle(""), (), UserInformation())
"""Stands for a request not yet made: it proposes nothing, so nothing fits it."""


class Role(Enum):
    """Which end of the association we are."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"


class Association:
    """The upper layer of one connection.

    Requestor: ``request``, connect, ``transport_connected``, feed ``receive_data``. Acceptor:
    ``transport_connected``, feed, answer ``AssociationRequested``. After every call, send what
    ``data_to_send`` returns, run or stop the ARTIM timer as ``artim_running`` says, and close the
    transport when ``wants_close``; then call ``transport_closed``, whose last event is ``Closed``.
    """

    def __init__(self, role: Role, limits: Limits) -> None:
        self._role = role
        self._limits = limits
        self._state = State.STA1
        self._artim_running = False
        self._wants_close = False
        self._ended = False  # nothing the peer still sends counts
        self._closed = False
        self._orderly = False
        self._reply_held_back = False
        self._reader = PduReader()
        self._pdus_received = 0
        self._out: list[bytes | memoryview] = []
        self._request = _NO_REQUEST
        self._peer_max_pdu_bytes = 0
        self._incoming = MessageReader((), limits.max_command_bytes)
        self._outgoing = MessageWriter((), 0)

    @property
    def state(self) -> State:
        """Where the machine stands."""
        return self._state

    @property
    def wants_close(self) -> bool:
        """Whether the transport is to be closed, once everything queued is sent."""
        return self._wants_close

    @property
    def artim_running(self) -> bool:
        """Whether the shell's ARTIM timer must run. PS3.8 §9.1.5."""
        return self._artim_running

    @property
    def receiving_pdu(self) -> bool:
        """Whether a PDU has begun to arrive and is not whole: the shell's deadline for it runs."""
        return self._reader.is_inside_pdu

    @property
    def pdus_received(self) -> int:
        """How many whole PDUs have arrived: with each, the deadline begins anew."""
        return self._pdus_received

    @property
    def peer_max_pdu_bytes(self) -> int:
        """The largest P-DATA-TF we send, without its header; 0 before an association exists."""
        return self._peer_max_pdu_bytes

    def transport_connected(self) -> None:
        """The connection is open.

        Raises:
            LocalProtocolError: called twice, or as requestor before ``request``.
        """
        if self._role is Role.ACCEPTOR:
            self._move(MachineEvent.TRANSPORT_INDICATION)
        else:
            self._move(MachineEvent.TRANSPORT_CONFIRM)
            self._out.append(encode(self._request))

    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take bytes from the peer. A ``bytes`` chunk may be referred to for long, others are copied.

        Raises:
            LocalProtocolError: the transport was never connected.
        """
        if self._ended:
            return []
        if self._state in {State.STA1, State.STA4}:
            raise LocalProtocolError(f"bytes received in {self._state.value}")
        events: list[Event] = []
        self._reader.feed(data)
        try:
            while (frame := self._reader.next_frame(self._judge_header)) is not None:
                self._pdus_received += 1
                self._take_frame(frame, events)
        except HeaderRefused as refused:
            self._break_off(refused.event, refused.reason, str(refused), events)
        except PeerProtocolError as error:
            reason = AbortReason.INVALID_PARAMETER_VALUE
            self._break_off(MachineEvent.RECEIVED_INVALID_PDU, reason, str(error), events)
        return events

    def transport_closed(self) -> list[Event]:
        """The connection is gone, whoever closed it. Calling again changes nothing."""
        if self._closed:
            return []
        events: list[Event] = []
        if self._state is not State.STA1 and self._move(MachineEvent.TRANSPORT_CLOSED) is Action.AA_4:
            text = "the connection was lost"
            events.append(Aborted(AbortSource.PROVIDER, AbortReason.NOT_SPECIFIED, True, text))
        self._end()
        self._closed = True
        return [*events, Closed(self._orderly)]

    def artim_expired(self) -> list[Event]:
        """The ARTIM timer ran out. One that lost the race against its stop is ignored."""
        if self._artim_running:
            self._move(MachineEvent.ARTIM_EXPIRED)
        return []

    def data_to_send(self) -> list[bytes | memoryview]:
        """What to write, in order. Taking it empties the queue."""
        out, self._out = self._out, []
        return out

    def request(self, request: AssociateRequest) -> None:
        """Ask for an association; it is sent once the transport is connected."""
        if self._role is not Role.REQUESTOR:
            raise LocalProtocolError("an acceptor does not request")
        self._move(MachineEvent.ASSOCIATE_REQUEST)
        self._request = request

    def accept(self, accept: AssociateAccept) -> None:
        """Answer ``AssociationRequested`` with yes.

        Raises:
            LocalProtocolError: nothing was asked, or a context is answered that was not proposed.
        """
        proposed = {context.id for context in self._request.contexts}
        if not {result.id for result in accept.contexts} <= proposed:
            raise LocalProtocolError("an acceptance of what was not proposed")
        self._move(MachineEvent.ASSOCIATE_ACCEPT)
        self._out.append(encode(accept))
        self._establish(accept, self._request.user)

    def reject(self, reject: AssociateReject) -> None:
        """Answer ``AssociationRequested`` with no."""
        self._move(MachineEvent.ASSOCIATE_REJECT)
        self._out.append(encode(reject))

    def release(self) -> None:
        """Ask for an orderly end. Messages of the peer may still arrive before it agrees."""
        self._outgoing.need_whole_message()
        self._move(MachineEvent.RELEASE_REQUEST)
        self._out.append(encode(ReleaseRequest()))

    def reply_release(self) -> None:
        """Agree to the peer's release.

        When both sides asked at once, the acceptor first hears the answer to its own request (PS3.8
        §9.2.3, Sta10); until then the reply is held back.
        """
        if self._state is State.STA10:
            self._reply_held_back = True
            return
        self._outgoing.need_whole_message()
        self._move(MachineEvent.RELEASE_RESPONSE)
        self._out.append(encode(ReleaseReply()))

    def abort(self) -> None:
        """Break off as service user. Where it is over already, nothing happens.

        Raises:
            LocalProtocolError: no association was begun (Sta1, Sta2): just close the transport.
        """
        if self._ended or self._state is State.STA13:
            return
        if self._move(MachineEvent.ABORT_REQUEST) is Action.AA_1:
            self._out.append(encode(Abort(AbortSource.USER, AbortReason.NOT_SPECIFIED)))

    def send_command(self, context_id: int, command: bytes, *, has_dataset: bool) -> None:
        """Queue a command set. With ``has_dataset``, its data set must follow before anything else.

        Raises:
            LocalProtocolError: no association (any more), a context never accepted, or a data set
                unfinished.
        """
        self._move(MachineEvent.P_DATA_REQUEST)
        self._out += self._outgoing.command(context_id, command, has_dataset=has_dataset)

    def send_dataset_fragment(
        self, context_id: int, fragment: bytes | bytearray | memoryview, *, is_last: bool
    ) -> None:
        """Queue the next piece of a data set, cut to the peer's PDU size and not copied.

        The bytes must not change until sent. Only the last piece may be odd (PS3.8 Annex E.1).

        Raises:
            LocalProtocolError: no association (any more), no data set due on this context, or an odd
                piece before the last.
        """
        self._move(MachineEvent.P_DATA_REQUEST)
        self._out += self._outgoing.dataset_fragment(context_id, fragment, is_last=is_last)

    def send_message(
        self, context_id: int, command: bytes, dataset: Iterable[bytes | bytearray | memoryview] | None = None
    ) -> None:
        """Queue a whole message, its pieces referred to and not copied."""
        self.send_command(context_id, command, has_dataset=dataset is not None)
        if dataset is None:
            return
        held: bytes | bytearray | memoryview = b""
        for fragment in dataset:
            self.send_dataset_fragment(context_id, held, is_last=False)
            held = fragment
        self.send_dataset_fragment(context_id, held, is_last=True)

    def _move(self, event: MachineEvent) -> Action:
        return self._go(*step(self._state, event))

    def _move_otherwise(self, event: MachineEvent) -> Action:
        return self._go(*step_otherwise(self._state, event))

    def _go(self, action: Action, way: Way) -> Action:
        self._state = way.next_state
        if way.artim is not Artim.LEAVE:
            self._artim_running = way.artim is Artim.START
        if way.closes:
            self._wants_close = True
        if way.orderly:
            self._orderly = True
        if way.next_state is State.STA1:
            self._end()
        return action

    def _end(self) -> None:
        self._ended = True
        self._reader.drop()

    def _judge_header(self, type_byte: int, length: int) -> PduType:
        return judge_header(self._state, type_byte, length, self._limits)

    def _establish(self, accept: AssociateAccept, peer: UserInformation) -> None:
        contexts = [result.id for result in accept.contexts if result.result is ContextVerdict.ACCEPTED]
        ours = self._limits.max_send_pdu_bytes
        self._peer_max_pdu_bytes = min(peer.max_pdu_bytes or ours, ours)
        self._incoming = MessageReader(contexts, self._limits.max_command_bytes)
        self._outgoing = MessageWriter(contexts, self._peer_max_pdu_bytes)

    def _break_off(self, event: MachineEvent, reason: AbortReason, text: str, events: list[Event]) -> None:
        """Abort for what the peer did, and stop listening."""
        action = self._move(event)
        self._end()
        # PS3.8 Table 9-9: AA-1 speaks for the service user, whose reason is not significant.
        if action is Action.AA_1:
            abort = Abort(AbortSource.USER, AbortReason.NOT_SPECIFIED)
        else:
            abort = Abort(AbortSource.PROVIDER, reason)
        self._out.append(encode(abort))
        if action is not Action.AA_7:  # after AA-7 there is no association to be told about
            events.append(Aborted(abort.source, abort.reason, False, text))

    def _take_frame(self, frame: Frame, events: list[Event]) -> None:
        pdu_type = frame.pdu_type
        if TABLE[self._state, RECEIVED[pdu_type]][0] is Action.AA_6:
            self._move(RECEIVED[pdu_type])
            return
        match pdu_type:
            case PduType.P_DATA_TF:
                self._take_p_data(frame.body, events)
            case PduType.ASSOCIATE_RQ:
                events.append(self._take_request(decode_request(frame.body)))
            case PduType.ASSOCIATE_AC:
                events.append(self._take_accept(decode_accept(frame.body)))
            case PduType.ASSOCIATE_RJ:
                reject = decode_reject(frame.body)
                self._move(MachineEvent.RECEIVED_ASSOCIATE_RJ)
                events.append(AssociationRejected(reject))
            case PduType.RELEASE_RQ:
                four_bytes(frame.body)
                self._take_release_request()
                events.append(ReleaseRequested())
            case PduType.RELEASE_RP:
                four_bytes(frame.body)
                self._take_release_reply()
                events.append(ReleaseConfirmed())
            case PduType.ABORT:
                abort = decode_abort(frame.body)
                if self._move(MachineEvent.RECEIVED_ABORT) is Action.AA_3:
                    text = abort_text(abort.source, abort.reason)
                    events.append(Aborted(abort.source, abort.reason, True, text))
            case _:
                assert_never(pdu_type)

    def _take_p_data(self, body: memoryview, events: list[Event]) -> None:
        pdvs = decode_pdvs(body, self._limits.max_pdvs)
        self._move(MachineEvent.RECEIVED_P_DATA)
        for pdv in pdvs:
            event = self._incoming.take(pdv)
            if event is not None:
                events.append(event)

    def _take_request(self, request: AssociateRequest) -> Event:
        check_peer_pdu_size(request.user)
        reject: AssociateReject | None = None
        if not request.protocol_version & PROTOCOL_VERSION:
            reject = PROTOCOL_VERSION_NOT_SUPPORTED
        elif request.application_context != APPLICATION_CONTEXT:
            reject = APPLICATION_CONTEXT_NOT_SUPPORTED
        if reject is not None:
            self._move_otherwise(MachineEvent.RECEIVED_ASSOCIATE_RQ)
            self._out.append(encode(reject))
            return RequestRefused(request, reject)
        self._move(MachineEvent.RECEIVED_ASSOCIATE_RQ)
        self._request = request
        return AssociationRequested(request)

    def _take_accept(self, accept: AssociateAccept) -> Event:
        check_peer_pdu_size(accept.user)
        outcome = interpret(self._request, accept)
        self._move(MachineEvent.RECEIVED_ASSOCIATE_AC)
        self._establish(accept, accept.user)
        return AssociationAccepted(accept, outcome)

    def _take_release_request(self) -> None:
        if self._state is State.STA7 and self._role is Role.ACCEPTOR:
            self._move_otherwise(MachineEvent.RECEIVED_RELEASE_RQ)
        else:
            self._move(MachineEvent.RECEIVED_RELEASE_RQ)

    def _take_release_reply(self) -> None:
        if self._move(MachineEvent.RECEIVED_RELEASE_RP) is Action.AR_10 and self._reply_held_back:
            self._move(MachineEvent.RELEASE_RESPONSE)
            self._out.append(encode(ReleaseReply()))
