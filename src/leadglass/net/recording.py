"""The audit's lines of a connection and of the association on it, beside those of what it asks for."""

from __future__ import annotations

import structlog

from leadglass.gate import Admission, Gate
from leadglass.model.caller import Peer
from leadglass.model.decision import Rung, Step
from leadglass.model.errors import AuditFailed
from leadglass.model.event import AuditEvent, Outcome

log = structlog.get_logger()


def record_refusal(gate: Gate, peer: Peer, step: Step, reason: str, association: str) -> None:
    """That a connection came no further than this step."""
    try:
        told = gate.record_refused_connection(peer, step, reason, association)
    except AuditFailed:
        log.error("refusal not recorded", association=association, reason=reason)
        return
    if told:  # a flood must not fill the log
        log.info("connection refused", address=peer.address, listener=peer.listener, reason=reason)


def record_association(
    gate: Gate,
    peer: Peer,
    admission: Admission | None,
    association: str,
    told: tuple[str, Outcome, str],
    ladder: tuple[Rung, ...] = (),
) -> None:
    """What became of an association; ``told`` is the kind of the line, its outcome, and the reason."""
    kind, outcome, reason = told
    event = AuditEvent(
        kind=kind,
        outcome=outcome,
        who=admission.who if admission else "",
        zone=admission.zone if admission else "",
        address=peer.address,
        transport=peer.transport,
        calling_ae=peer.calling_ae or "",
        called_ae=peer.called_ae or "",
        association=association,
        reason=reason,
        ladder=ladder,
    )
    try:
        gate.record(event)
    except AuditFailed:
        log.error("not recorded", kind=kind, association=association)
