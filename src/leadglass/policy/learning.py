"""Decides for whom the policy does not know and watches at its address, before it has a rule.

It is let far enough in to show what it wants and no further: what it stores is kept apart, what it asks
for is nothing. No flow reaches it, and none is made of what it asks for by itself.
"""

from __future__ import annotations

from dataclasses import replace

from leadglass.model.action import ARCHIVE, MACHINE_VERBS, Action, Verb
from leadglass.model.decision import Decision, Step
from leadglass.model.permit import NOTHING, Keeping
from leadglass.policy.identity import Identity
from leadglass.policy.ladder import allow, failed, not_for, passed, refuse
from leadglass.policy.model import Learning

LEARNED_VERBS = frozenset({Verb.ECHO, Verb.STORE, Verb.FIND, Verb.WORKLIST})
"""What may be tried while learning: it changes nothing, and nothing comes out."""


def decide_learning(identity: Identity, learning: Learning, action: Action) -> Decision:
    """Somebody at a watched address asks the archive; it is known to be that, and nothing else."""
    if action.target != ARCHIVE or action.verb not in MACHINE_VERBS:
        return not_for(identity, action, "what is being learned")
    if action.verb not in LEARNED_VERBS:
        detail = f"{action.verb} is never given to what is being learned; accept a rule for it first"
        return refuse(identity, (failed(Step.VERB, detail),), learning.rule, "")
    rungs = (
        passed(Step.VERB, f"{action.verb}, by {learning.rule}"),
        passed(Step.SCOPE, "into quarantine" if action.verb is Verb.STORE else "nothing"),
        passed(Step.CONDITIONS, f"until {learning.until.last_day}"),
        passed(Step.BUDGET, "none"),
    )
    return replace(allow(identity, rungs, learning.rule, NOTHING), keeping=Keeping.APART)
