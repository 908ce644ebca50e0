"""How much of a peer's word we take before we stop listening."""

from __future__ import annotations

from dataclasses import dataclass

MAX_ASSOCIATE_BYTES = 64 * 1024
MAX_RECEIVED_PDU_BYTES = 1024 * 1024
ANNOUNCED_PDU_BYTES = 256 * 1024
MIN_PEER_PDU_BYTES = 128
DEFAULT_PEER_PDU_BYTES = 16 * 1024
MAX_PRESENTATION_CONTEXTS = 128  # PS3.8 §7.1.1.13: odd ids 1 to 255


@dataclass(frozen=True, slots=True)
class Limits:
    """Security limits of one association. All sizes are of a PDU without its 6-byte header.

    ``announced_pdu_bytes`` is what we tell the peer; ``max_pdu_bytes`` what we bear from it, since
    old devices overshoot. ``max_send_pdu_bytes`` bounds what we send to a peer that announces more,
    or 0 for unlimited. ``max_pdvs`` bounds the events one PDU can make. The asynchronous operations
    window is the most we agree to (PS3.7 §D.3.3.3).
    """

    max_associate_bytes: int = MAX_ASSOCIATE_BYTES
    max_pdu_bytes: int = MAX_RECEIVED_PDU_BYTES
    announced_pdu_bytes: int = ANNOUNCED_PDU_BYTES
    max_send_pdu_bytes: int = ANNOUNCED_PDU_BYTES
    max_pdvs: int = 1024
    max_command_bytes: int = 16 * 1024
    max_operations_invoked: int = 16
    max_operations_performed: int = 1
