"""The policy's answers where an hour's traffic counts: what was used of it is part of the question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from leadglass.audit.decided import over_budget
from leadglass.ledger import Account, Ledger, Traffic, before_one_more
from leadglass.model.action import NO_FACTS, Action, Facts, Verb
from leadglass.model.caller import Archive, Caller, Peer, Person
from leadglass.model.clock import Clock
from leadglass.model.decision import Decision
from leadglass.model.permit import EVERYTHING, Permit, Release
from leadglass.model.usage import NO_USAGE, Usage
from leadglass.policy.climb import SEARCHES
from leadglass.policy.identify import identify
from leadglass.policy.policy import Policy

PATIENTS_TOLD_BY = frozenset({Verb.FIND, Verb.LIST})


Decide = Callable[[Policy, Caller, Action, datetime], Decision]


class Hours:
    """What every caller used within the last hour, and what the policy says of more. The gate's own.

    ``decide`` asks the policy, which nobody but the gate does.
    """

    def __init__(self, policy: Policy, decide: Decide, clock: Clock) -> None:
        self._decide = decide
        self._clock = clock
        self._ledger = Ledger()
        self.replace_policy(policy)

    def replace_policy(self, policy: Policy) -> None:
        """Ask another policy from now on. What was used stays."""
        self._policy = policy
        self.counts_stores = any(flow.budget is not None for flow in policy.flows.values())

    def forget_idle(self) -> None:
        """Drop the accounts of whoever did nothing within the hour."""
        self._ledger.forget_idle(self._clock.monotonic_s())

    def account(self, caller: Caller, action: Action, device: str = "") -> Account | None:
        """Where it is counted: all reading, and stores where the policy bounds them.

        ``device`` where that is proven already.
        """
        match caller, action.verb:
            case Peer(), verb if verb in SEARCHES or (verb is Verb.STORE and self.counts_stores):
                proven = None if device else identify(self._policy, caller).device
                name = proven.name if proven is not None else device
                traffic = Traffic.STORES if verb is Verb.STORE else Traffic.READING
                return self._ledger.account(traffic, name) if name else None
            case Person(), verb if verb in SEARCHES:
                return self._ledger.account(Traffic.READING_OF_PEOPLE, caller.name)
            case Archive(), Verb.STORE if self.counts_stores and action.target in self._policy.devices:
                return self._ledger.account(Traffic.SENDING, action.target)
            case _:
                return None

    def begin(self, caller: Caller, action: Action) -> Decision:
        """The policy's answer before it is known whose objects they are. A peer's store counts at once.

        A search with no room for a further patient may show those again that it has shown, until more
        were asked for.
        """
        account = self.account(caller, action)
        if account is None:
            return self._decide(self._policy, caller, action, self._clock.now())
        now_s = self._clock.monotonic_s()
        used = account.used(now_s)
        if action.verb in PATIENTS_TOLD_BY:
            decision = self._ask(caller, action, used)
            account.granted = (decision.scope, used.patients + 1)
            if decision.allowed or account.is_over:
                account.is_over = not decision.allowed
                return decision
        decision = self._ask(caller, action, replace(used, patients=0))
        if decision.allowed and action.verb is Verb.STORE and isinstance(caller, Peer):
            account.add(now_s, 1, 0)
        return decision

    def afford(self, permit: Permit, account: Account, wanted: Usage) -> Decision:
        """The policy's answer to something permitted that goes on, and uses so much of the hour."""
        hour = before_one_more(account.used(self._clock.monotonic_s()), wanted)
        decision = self._ask(permit.caller, permit.action, hour)
        reached = (decision.scope, decision.release)
        if not decision.allowed or reached in ((permit.scope, permit.release), (EVERYTHING, Release.WHOLE)):
            return decision
        fresh = self._ask(permit.caller, permit.action, NO_USAGE)
        if reached == (fresh.scope, fresh.release):
            return decision  # not for want of room: the days have moved on, or the policy is another
        return over_budget(decision, "the rules with room left reach less than this", "ask for less")

    def _ask(self, caller: Caller, action: Action, hour: Usage) -> Decision:
        told = action.facts
        facts = Facts(this_hour=hour) if told is NO_FACTS else replace(told, this_hour=hour)
        weighed = Action(action.verb, action.target, facts)
        return self._decide(self._policy, caller, weighed, self._clock.now())
