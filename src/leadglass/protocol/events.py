"""What an association tells its shell."""

from __future__ import annotations

from dataclasses import dataclass

from leadglass.protocol.commands import Command
from leadglass.protocol.negotiation import Outcome
from leadglass.protocol.pdu import AssociateAccept, AssociateReject, AssociateRequest


@dataclass(frozen=True, slots=True)
class AssociationRequested:
    """A peer asks. Answer with ``accept`` or ``reject``."""

    request: AssociateRequest


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """A peer asked in a version or application context we do not speak; ``reject`` is already queued."""

    request: AssociateRequest
    reject: AssociateReject


@dataclass(frozen=True, slots=True)
class AssociationAccepted:
    """The peer accepted; ``outcome`` is what was agreed."""

    accept: AssociateAccept
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class AssociationRejected:
    """The peer refused; ``reasons.reject_text`` says why."""

    reject: AssociateReject


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A whole command set. If ``command.has_dataset``, fragments follow on the same context."""

    context_id: int
    command: Command


@dataclass(frozen=True, slots=True)
class DatasetFragment:
    """The next piece of the current message's data set. ``fragment`` may be kept as long as wanted.

    Keeping one keeps its whole PDU in memory, so gather small ones into a buffer of your own.
    """

    context_id: int
    fragment: bytes | memoryview
    is_last: bool


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The peer wants to end; a data set cut short before this is not whole. Call ``reply_release``."""


@dataclass(frozen=True, slots=True)
class ReleaseConfirmed:
    """The peer agreed to our release."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """The association was broken off.

    ``by_peer``: the peer aborted or its connection was lost; otherwise we did, because it broke the
    protocol. ``source`` and ``reason`` are as on the wire; ``text`` is for the administrator's log.
    """

    source: int
    reason: int
    by_peer: bool
    text: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The transport is gone. Always the last event, once. ``orderly``: after a release or rejection."""

    orderly: bool


Event = (
    AssociationRequested
    | RequestRefused
    | AssociationAccepted
    | AssociationRejected
    | CommandReceived
    | DatasetFragment
    | ReleaseRequested
    | ReleaseConfirmed
    | Aborted
    | Closed
)
