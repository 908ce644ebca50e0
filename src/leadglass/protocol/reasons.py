"""Reject and abort codes, and what they say. PS3.8 Tables 9-21 and 9-26."""

from __future__ import annotations

from enum import IntEnum

from leadglass.protocol.pdu import AssociateReject


class RejectResult(IntEnum):
    """Whether trying again may help."""

    PERMANENT = 1
    TRANSIENT = 2


class RejectSource(IntEnum):
    """Which layer of the acceptor refused."""

    USER = 1
    PROVIDER_ACSE = 2
    PROVIDER_PRESENTATION = 3


class AbortSource(IntEnum):
    """Who aborts."""

    USER = 0
    PROVIDER = 2


class AbortReason(IntEnum):
    """Why a provider aborts; not significant when the user does."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER_VALUE = 6


NO_REASON = AssociateReject(RejectResult.PERMANENT, RejectSource.USER, 1)
APPLICATION_CONTEXT_NOT_SUPPORTED = AssociateReject(RejectResult.PERMANENT, RejectSource.USER, 2)
CALLING_AE_NOT_RECOGNIZED = AssociateReject(RejectResult.PERMANENT, RejectSource.USER, 3)
CALLED_AE_NOT_RECOGNIZED = AssociateReject(RejectResult.PERMANENT, RejectSource.USER, 7)
PROTOCOL_VERSION_NOT_SUPPORTED = AssociateReject(RejectResult.PERMANENT, RejectSource.PROVIDER_ACSE, 2)
TEMPORARY_CONGESTION = AssociateReject(RejectResult.TRANSIENT, RejectSource.PROVIDER_PRESENTATION, 1)
LOCAL_LIMIT_EXCEEDED = AssociateReject(RejectResult.TRANSIENT, RejectSource.PROVIDER_PRESENTATION, 2)

_REJECT_REASONS: dict[tuple[int, int], str] = {
    (RejectSource.USER, 1): "no reason given",
    (RejectSource.USER, 2): "application context name not supported",
    (RejectSource.USER, 3): "calling AE title not recognized",
    (RejectSource.USER, 7): "called AE title not recognized",
    (RejectSource.PROVIDER_ACSE, 1): "no reason given",
    (RejectSource.PROVIDER_ACSE, 2): "protocol version not supported",
    (RejectSource.PROVIDER_PRESENTATION, 1): "temporary congestion",
    (RejectSource.PROVIDER_PRESENTATION, 2): "local limit exceeded",
}

_ABORT_REASONS: dict[int, str] = {
    AbortReason.NOT_SPECIFIED: "no reason given",
    AbortReason.UNRECOGNIZED_PDU: "unrecognized PDU",
    AbortReason.UNEXPECTED_PDU: "unexpected PDU",
    AbortReason.UNRECOGNIZED_PARAMETER: "unrecognized PDU parameter",
    AbortReason.UNEXPECTED_PARAMETER: "unexpected PDU parameter",
    AbortReason.INVALID_PARAMETER_VALUE: "invalid PDU parameter value",
}


def reject_text(reject: AssociateReject) -> str:
    """A rejection in words, for an administrator. Unknown codes are given as numbers."""
    duration = "for now" if reject.result == RejectResult.TRANSIENT else "permanently"
    codes = f"reason {reject.reason} of source {reject.source}"
    return f"rejected {duration}: {_REJECT_REASONS.get((reject.source, reject.reason), codes)}"


def abort_text(source: int, reason: int) -> str:
    """An abort in words, for an administrator. Unknown codes are given as numbers."""
    if source == AbortSource.USER:
        return "aborted by the application"
    return f"aborted by the provider: {_ABORT_REASONS.get(reason, f'reason {reason}')}"
