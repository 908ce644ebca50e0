"""What the audit trail records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from leadglass.model.decision import Rung
from leadglass.model.permit import Permit


class Outcome(StrEnum):
    """How it ended."""

    ALLOWED = "allowed"
    DENIED = "denied"
    DONE = "done"
    FAILED = "failed"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One line of the trail: who, what, from where, by which rule, with which outcome.

    ``kind`` is dotted: ``association.admit``, ``instance.stored``, ``instance.quarantined``,
    ``query.find``, ``device.added``, ``policy.reloaded``, ``server.started``.
    ``study``, ``instance`` and ``patient_id`` only where PS3.15 §A.5 needs them; never a
    patient's name. ``count`` sums what was folded into this line. ``reason`` is free of PHI.
    ``modality`` is that of an object that came in; ``certificate`` the SHA-256 of a foreign one shown.
    ``implementation``, ``tls`` and ``certificate_until`` are of a machine's association, as
    ``model.caller.Equipment`` has them. ``size_bytes`` sums the data sets that came in or were sent.
    ``onward_rule`` lets the archive send on what somebody moved by ``rule``.
    """

    kind: str
    outcome: Outcome
    who: str
    zone: str = ""
    address: str = ""
    transport: str = ""
    calling_ae: str = ""
    called_ae: str = ""
    verb: str = ""
    target: str = ""
    rule: str = ""
    reason: str = ""
    fix: str = ""
    ladder: tuple[Rung, ...] = ()
    association: str = ""
    study: str = ""
    instance: str = ""
    patient_id: str = ""
    count: int = 1
    modality: str = ""
    certificate: str = ""
    implementation: str = ""
    tls: str = ""
    certificate_until: str = ""
    size_bytes: int = 0
    onward_rule: str = ""


def under(
    permit: Permit,
    kind: str,
    outcome: Outcome = Outcome.DONE,
    *,
    reason: str = "",
    study: str = "",
    instance: str = "",
    count: int = 1,
) -> AuditEvent:
    """A line of what the holder of a permit did."""
    return AuditEvent(
        kind=kind,
        outcome=outcome,
        who=permit.who,
        verb=permit.action.verb,
        target=permit.action.target,
        rule=permit.rule,
        reason=reason,
        study=study,
        instance=instance,
        count=count,
    )
