"""What six bytes can already refuse: a PDU that is unknown, out of place, or too large. PS3.8 §9.3.1."""

from __future__ import annotations

from leadglass.model.errors import PeerProtocolError
from leadglass.protocol.codec import FIXED_BODY_BYTES
from leadglass.protocol.limits import Limits
from leadglass.protocol.pdu import PduType
from leadglass.protocol.reasons import AbortReason
from leadglass.protocol.table import TABLE, VIOLATIONS, MachineEvent, State

RECEIVED = {
    PduType.ASSOCIATE_RQ: MachineEvent.RECEIVED_ASSOCIATE_RQ,
    PduType.ASSOCIATE_AC: MachineEvent.RECEIVED_ASSOCIATE_AC,
    PduType.ASSOCIATE_RJ: MachineEvent.RECEIVED_ASSOCIATE_RJ,
    PduType.P_DATA_TF: MachineEvent.RECEIVED_P_DATA,
    PduType.RELEASE_RQ: MachineEvent.RECEIVED_RELEASE_RQ,
    PduType.RELEASE_RP: MachineEvent.RECEIVED_RELEASE_RP,
    PduType.ABORT: MachineEvent.RECEIVED_ABORT,
}
"""The machine event each PDU is."""

_PDU_TYPES: dict[int, PduType] = {int(pdu_type): pdu_type for pdu_type in PduType}

_TLS_HANDSHAKE = 0x16
_TLS_ALERT = 0x15


class HeaderRefused(PeerProtocolError):
    """A header that ends the association, by which event of the table and for which reason."""

    def __init__(self, event: MachineEvent, reason: AbortReason, text: str) -> None:
        super().__init__(text)
        self.event = event
        self.reason = reason


def judge_header(state: State, pdu_type: int, length: int, limits: Limits) -> PduType:
    """Let a PDU's body come and say which it is, or refuse it.

    Raises:
        HeaderRefused: the state machine answers it with an abort whatever its body says, or it
            declares more than its type may have.
    """
    known = _PDU_TYPES.get(pdu_type)
    if known is None:
        text = _explain_unknown(state, pdu_type)
        raise HeaderRefused(MachineEvent.RECEIVED_INVALID_PDU, AbortReason.UNRECOGNIZED_PDU, text)
    event = RECEIVED[known]
    action, _ = TABLE[state, event]
    if action in VIOLATIONS:
        text = f"{known.name} received in {state.value}"
        raise HeaderRefused(event, AbortReason.UNEXPECTED_PDU, text)
    limit = _limit_bytes(known, limits)
    if length > limit:
        text = f"{known.name} declares {length} bytes, the limit is {limit}"
        raise HeaderRefused(MachineEvent.RECEIVED_INVALID_PDU, AbortReason.INVALID_PARAMETER_VALUE, text)
    return known


def _limit_bytes(pdu_type: PduType, limits: Limits) -> int:
    if pdu_type is PduType.P_DATA_TF:
        return limits.max_pdu_bytes
    if pdu_type in {PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC}:
        return limits.max_associate_bytes
    return FIXED_BODY_BYTES


def _explain_unknown(state: State, pdu_type: int) -> str:
    """For the administrator: what the peer seems to speak instead."""
    if state is State.STA2 and pdu_type == _TLS_HANDSHAKE:
        return "a TLS ClientHello on a plaintext listener: the peer must use the TLS port, or no TLS"
    if state is State.STA5 and pdu_type == _TLS_ALERT:
        return "a TLS alert: the peer's port expects TLS"
    return f"PDU type 0x{pdu_type:02x} does not exist: the peer does not speak DICOM"
