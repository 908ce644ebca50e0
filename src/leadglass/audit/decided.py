"""From the policy's decisions to lines of the trail; and decisions ended by something beside the policy."""

from __future__ import annotations

from dataclasses import replace

from leadglass.model.action import SITE_VERBS, Action
from leadglass.model.caller import Archive, Caller, Equipment, LocalAdministrator, Peer, Person
from leadglass.model.decision import Decision, Rung, RungState, Step
from leadglass.model.event import AuditEvent, Outcome


def stopped_at(decision: Decision, step: Step, detail: str) -> Decision:
    """The same climb, ended at ``step`` for this reason, unless the policy itself ended it before."""
    height = list(Step).index(step)
    climbed = decision.ladder[:height]
    if any(rung.state is RungState.FAILED for rung in climbed):
        return decision
    rest = (Rung(above.step, RungState.NOT_REACHED, "") for above in decision.ladder[height + 1 :])
    ladder = (*climbed, Rung(step, RungState.FAILED, detail), *rest)
    if decision.ladder[height].state is RungState.FAILED:  # the policy says how that may be mended
        return replace(decision, ladder=ladder)
    return replace(decision, allowed=False, rule=None, fix="", ladder=ladder)


def over_budget(decision: Decision, detail: str, fix: str) -> Decision:
    """Admitted by the policy, and stopped at the last rung; scope and conditions bind no association."""
    height = list(Step).index(Step.SCOPE)
    unbound = (Rung(step, RungState.PASSED, "none") for step in (Step.SCOPE, Step.CONDITIONS))
    ladder = (*decision.ladder[:height], *unbound, Rung(Step.BUDGET, RungState.FAILED, detail))
    return replace(decision, allowed=False, rule=None, fix=fix, ladder=ladder)


def summary(decision: Decision) -> str:
    """Why it was refused, in one line."""
    failed = decision.failed
    return f"{failed.step}: {failed.detail}" if failed else "refused"


def kind_of(action: Action) -> str:
    """The audit kind of an operation; see ``audit.kinds``."""
    return f"site.{action.verb}" if action.verb in SITE_VERBS else f"operation.{action.verb}"


def event_of(
    kind: str,
    outcome: Outcome,
    caller: Caller,
    decision: Decision,
    action: Action | None = None,
    association: str = "",
) -> AuditEvent:
    """The line of a decision; how far the caller came is told of refusals."""
    address, transport, calling_ae, called_ae = _whence(caller)
    return AuditEvent(
        kind=kind,
        outcome=outcome,
        who=decision.who,
        zone=decision.zone or "",
        address=address,
        transport=transport,
        calling_ae=calling_ae,
        called_ae=called_ae,
        verb=action.verb if action else "",
        target=action.target if action else "",
        rule=decision.rule or "",
        reason="" if decision.allowed else summary(decision),
        fix=decision.fix,
        ladder=() if outcome is Outcome.ALLOWED else decision.ladder,
        association=association,
        certificate=caller.foreign_certificate if isinstance(caller, Peer) else "",
    )


def with_equipment(event: AuditEvent, equipment: Equipment) -> AuditEvent:
    """The same line, with what the peer said of its software and how its connection is protected."""
    return replace(
        event,
        implementation=equipment.implementation,
        tls=equipment.tls,
        certificate_until=equipment.certificate_until,
    )


def _whence(caller: Caller) -> tuple[str, str, str, str]:
    """Its address and transport, and the AE titles of a device."""
    match caller:
        case Peer():
            return caller.address, caller.transport, caller.calling_ae or "", caller.called_ae or ""
        case Person():
            return caller.address, caller.transport, "", ""
        case Archive() | LocalAdministrator():
            return "", "", "", ""
