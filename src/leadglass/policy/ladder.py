"""The ladder of a decision: eight rungs, always all of them, always in order."""

from __future__ import annotations

from leadglass.model.action import Action
from leadglass.model.decision import Decision, Rung, RungState, Step
from leadglass.model.permit import NOTHING, Scope
from leadglass.policy.identity import Identity
from leadglass.sitefile import quoted

_NOT_REACHED = tuple(Rung(step, RungState.NOT_REACHED, "") for step in Step)


def passed(step: Step, detail: str) -> Rung:
    """A rung that was climbed."""
    return Rung(step, RungState.PASSED, detail)


def failed(step: Step, detail: str) -> Rung:
    """The rung that stopped the caller."""
    return Rung(step, RungState.FAILED, detail)


def allow(identity: Identity, rungs: tuple[Rung, ...], rule: str, scope: Scope) -> Decision:
    """Allowed by ``rule``; ``rungs`` are those climbed after the identity's."""
    return _decide(identity, rungs, allowed=True, rule=rule, fix="", scope=scope)


def refuse(identity: Identity, rungs: tuple[Rung, ...], rule: str | None, fix: str) -> Decision:
    """Refused at the last of ``rungs``."""
    return _decide(identity, rungs, allowed=False, rule=rule, fix=fix, scope=NOTHING)


def stopped(identity: Identity) -> Decision:
    """Refused by the guard that stopped the identification."""
    return refuse(identity, (), f"guard {identity.guard}", identity.fix)


def not_for(identity: Identity, action: Action, kind: str) -> Decision:
    """Refused because callers of this ``kind`` can never be given this verb on this target."""
    rung = failed(Step.VERB, f"{action.verb} on {quoted(action.target)} is never given to {kind}")
    return refuse(identity, (rung,), None, "")


def _decide(
    identity: Identity, rungs: tuple[Rung, ...], *, allowed: bool, rule: str | None, fix: str, scope: Scope
) -> Decision:
    climbed = identity.rungs + rungs
    device = identity.device
    return Decision(
        allowed=allowed,
        who=identity.who,
        rule=rule,
        ladder=climbed + _NOT_REACHED[len(climbed) :],
        fix=fix,
        device=device.name if device else None,
        zone=identity.zone.name if identity.zone else None,
        site=device.site if device else "",
        scope=scope,
    )
