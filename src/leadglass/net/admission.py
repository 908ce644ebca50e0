"""Whether an association may be: the gate's answer, and what the peer is told where it may not."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from leadglass.gate import Admission, Gate
from leadglass.identity.session import TlsSession
from leadglass.model.caller import Equipment, Peer
from leadglass.model.errors import AuditFailed, NotAdmitted, TooManyAssociations
from leadglass.protocol.negotiation import refused_verbs, unserved_verbs
from leadglass.protocol.pdu import AssociateReject, AssociateRequest
from leadglass.protocol.reasons import (
    CALLED_AE_NOT_RECOGNIZED,
    CALLING_AE_NOT_RECOGNIZED,
    LOCAL_LIMIT_EXCEEDED,
    TEMPORARY_CONGESTION,
)

log = structlog.get_logger()


def admit_or_reject(
    gate: Gate,
    peer: Peer,
    request: AssociateRequest,
    association: str,
    why_full: Callable[[str], str],
    tls: TlsSession | None,
) -> Admission | AssociateReject:
    """Who the peer is, as a live association, or the standard's code that it is refused with.

    Either is recorded. ``why_full`` is for the gate; ``tls`` protects the connection.
    """
    try:
        admission = gate.admit(peer, association, why_full, equipment_of(request, tls))
        gate.record_not_offered(peer, refused_verbs(request, admission.verbs), association)
        gate.record_not_served(peer, unserved_verbs(request), association)
    except TooManyAssociations as error:
        _tell(association, error)
        return LOCAL_LIMIT_EXCEEDED
    except NotAdmitted as error:
        _tell(association, error)
        known = gate.name_of(peer) != ""
        return CALLED_AE_NOT_RECOGNIZED if known and not peer.called_ae_known else CALLING_AE_NOT_RECOGNIZED
    except AuditFailed as error:
        log.error("association refused", association=association, reason=str(error))
        return TEMPORARY_CONGESTION
    return admission


def equipment_of(request: AssociateRequest, tls: TlsSession | None) -> Equipment:
    """What an association says of the machine behind it."""
    user = request.user
    certificate = tls.peer if tls else None
    return Equipment(
        " ".join(filter(None, (user.implementation_class_uid, user.implementation_version))),
        f"{tls.version} {tls.cipher}" if tls else "",
        f"{certificate.not_after:%Y-%m-%d}" if certificate else "",
    )


def _tell(association: str, error: NotAdmitted) -> None:
    if not error.folded:  # a flood must not fill the log
        log.info("association refused", association=association, reason=str(error))
