"""Decides. Pure: a policy, a caller, an action and the time give one answer, with its reasons.

``decide`` is the door for the gate; ``explain`` and the policy's own tests come in here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from leadglass.model.action import ARCHIVE, SITE, SITE_VERBS, Action, Verb
from leadglass.model.caller import Archive, Caller, LocalAdministrator, Peer, Person
from leadglass.model.decision import Decision, Step
from leadglass.model.permit import EVERYTHING, NOTHING
from leadglass.policy.condition import Asked
from leadglass.policy.fixes import flow_fix
from leadglass.policy.identify import hold_review, identify
from leadglass.policy.identity import Identity
from leadglass.policy.ladder import allow, failed, not_for, passed, refuse, stopped
from leadglass.policy.machines import decide_incoming, decide_outgoing
from leadglass.policy.model import Device, Flow
from leadglass.policy.people import decide_person
from leadglass.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a peer may associate at all, and which verbs some rule gives it now."""

    decision: Decision
    verbs: frozenset[Verb]


def evaluate(policy: Policy, caller: Caller, action: Action, now: datetime) -> Decision:
    """Whether ``caller`` may do ``action`` at ``now`` (aware). Whatever no rule allows is refused."""
    identity = hold_review(identify(policy, caller), now)
    if not identity.is_known:
        return stopped(identity)
    match caller:
        case Peer():
            return decide_incoming(policy, identity, action, now)
        case Person():
            return decide_person(policy, identity, caller, action, now)
        case Archive():
            return decide_outgoing(policy, identity, action, now)
        case LocalAdministrator():
            return _decide_local(identity, action)
        case _:
            assert_never(caller)


def evaluate_admission(policy: Policy, peer: Peer, now: datetime) -> Admission:
    """Whether ``peer`` may associate: it is known, and a living flow gives it something.

    The rungs after ``verb`` are not reached: they are climbed at each operation.
    """
    identity = hold_review(identify(policy, peer), now)
    device = identity.device
    if device is None or not identity.is_known:
        return Admission(stopped(identity), frozenset())
    asked = Asked(Verb.ECHO, now)
    flows = tuple(flow for flow in policy.lookup.flows_from[device.name] if flow.can)
    living = [flow for flow in flows if all(bound.check(asked).ok for bound in flow.term)]
    if not living:
        return Admission(_nothing_living(flows, identity, device, asked), frozenset())
    verbs = frozenset(verb for flow in living for verb in flow.can)
    rule = "flow " + ", ".join(flow.name for flow in living)
    rung = passed(Step.VERB, ", ".join(sorted(verbs)))
    return Admission(allow(identity, (rung,), rule, NOTHING), verbs)


def _nothing_living(flows: tuple[Flow, ...], identity: Identity, device: Device, asked: Asked) -> Decision:
    for flow in flows:
        ended = next(result for bound in flow.term if not (result := bound.check(asked)).ok)
        rung = failed(Step.VERB, f"flow {flow.name} from {device.name}: {ended.detail}")
        return refuse(identity, (rung,), f"flow {flow.name}", ended.fix)
    rung = failed(Step.VERB, f"no flow from {device.name} to the archive")
    return refuse(identity, (rung,), None, flow_fix(device.name, ARCHIVE, Verb.ECHO, asked.now))


def _decide_local(identity: Identity, action: Action) -> Decision:
    if action.verb not in SITE_VERBS or action.target != SITE:
        return not_for(identity, action, "the local administrator")
    none = tuple(passed(step, "none") for step in (Step.CONDITIONS, Step.BUDGET))
    rungs = (passed(Step.VERB, action.verb), passed(Step.SCOPE, "everything"), *none)
    return allow(identity, rungs, "local administrator", EVERYTHING)
