"""The policy's door for the gate. Ruff keeps everybody else from asking here."""

from __future__ import annotations

from datetime import datetime

from leadglass.model.action import Action
from leadglass.model.caller import Caller, Peer
from leadglass.model.decision import Decision
from leadglass.policy.engine import Admission, evaluate, evaluate_admission
from leadglass.policy.policy import Policy

__all__ = ["Admission", "admit", "decide"]


def decide(policy: Policy, caller: Caller, action: Action, now: datetime) -> Decision:
    """Whether ``caller`` may do ``action`` at ``now`` (aware). Whatever no rule allows is refused."""
    return evaluate(policy, caller, action, now)


def admit(policy: Policy, peer: Peer, now: datetime) -> Admission:
    """Whether ``peer`` may associate, and which verbs a living flow gives it."""
    return evaluate_admission(policy, peer, now)
