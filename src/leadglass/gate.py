"""The one gate. The only caller of the policy, and the only maker of permits.

Every operation of every interface comes here with a caller and an action. The gate asks the
policy, has the answer recorded, and hands out a ``Permit`` or raises. If the answer cannot be
recorded nothing is permitted: the recorder raises ``AuditFailed`` and the operation ends. What has
happened all the same, a refusal or an end, is kept until it can be written.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from leadglass.audit.coalesce import DenialCoalescer
from leadglass.model.action import SITE_VERBS, Action, Verb
from leadglass.model.caller import Archive, Caller, LocalAdministrator, Peer, Person, Transport
from leadglass.model.clock import Clock
from leadglass.model.decision import Decision, Rung, RungState, Step
from leadglass.model.errors import NotAdmitted, NotPermitted, TooManyAssociations
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.names import AETitle
from leadglass.model.permit import Permit, issue_permit
from leadglass.policy.decide import admit, decide
from leadglass.policy.identify import identify, place, watched_at
from leadglass.policy.model import Device
from leadglass.policy.network import parse_address
from leadglass.policy.policy import Policy

HOUR_S = 3600.0
BUCKET_S = 60.0
MAX_REMEMBERED = 4096
REMEMBERED_S = 10.0
_TOO_MANY_FIX = (
    "find out why {device} keeps so many open; if it needs them, raise limits.associations_per_device or"
    " limits.associations_total in leadglass.toml"
)


class Recorder(Protocol):
    """Takes lines for the audit trail. ``archive.committer`` is the real one."""

    def record(self, events: Iterable[AuditEvent]) -> None:
        """Queue the lines, in order, of what must not happen unless it is recorded.

        Raises:
            AuditFailed: the trail cannot be written now.
        """

    def note(self, events: Iterable[AuditEvent]) -> None:
        """Queue the lines of what has happened; they are kept until they can be written.

        Raises:
            AuditFailed: too many wait already.
        """


@dataclass(frozen=True, slots=True)
class Admission:
    """An association that may be: who it is, and the verbs it can ever be permitted."""

    who: str
    zone: str
    site: str
    verbs: frozenset[Verb]


@dataclass(slots=True)
class _HourCount:
    """How many objects one device stored within the last hour, in buckets of a minute."""

    buckets: deque[list[float]] = field(default_factory=deque)
    total: int = 0

    def expire(self, now_s: float) -> int:
        while self.buckets and self.buckets[0][0] <= now_s - HOUR_S:
            self.total -= int(self.buckets.popleft()[1])
        return self.total

    def add(self, now_s: float) -> None:
        if not self.buckets or now_s - self.buckets[-1][0] >= BUCKET_S:
            self.buckets.append([now_s, 0])
        self.buckets[-1][1] += 1
        self.total += 1


class Gate:
    """Asks the policy, records the answer, hands out permits. For one thread: the shell's."""

    def __init__(self, policy: Policy, recorder: Recorder, clock: Clock) -> None:
        self._policy = policy
        self._recorder = recorder
        self._clock = clock
        self._denials = DenialCoalescer()
        self._stores: dict[str, _HourCount] = {}
        self._has_budgets = _has_budgets(policy)
        self._refused: dict[tuple[Peer, Step, str], AuditEvent] = {}  # of this moment, under this policy
        self._forget_at_s = 0.0
        self._zones: dict[tuple[str, Transport], str | None] = {}  # by address, under this policy

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._policy

    def replace_policy(self, policy: Policy) -> None:
        """Put another policy in force, from the next decision on."""
        self._policy = policy
        self._has_budgets = _has_budgets(policy)
        self._refused.clear()
        self._zones.clear()

    def device_of(self, peer: Peer) -> Device | None:
        """The device a peer proves to be, whatever it may do."""
        return identify(self._policy, peer).device

    def name_of(self, peer: Peer) -> str:
        """What the audit calls a peer that the policy knows or watches, whatever it may do; else empty."""
        identity = identify(self._policy, peer)
        return identity.who if identity.device is not None or identity.learning is not None else ""

    def watches(self, address: str) -> bool:
        """Whether a stranger's certificate is taken from there over mTLS: the address is being learned."""
        try:
            known = parse_address(address)
        except ValueError:
            return False
        return watched_at(self._policy, known, Transport.MTLS, self._clock.now()) is not None

    def zone_of(self, address: str, transport: Transport) -> str | None:
        """The zone that a connection comes from."""
        if (address, transport) in self._zones:
            return self._zones[address, transport]
        try:
            zone = place(self._policy, parse_address(address), transport)
        except ValueError:
            return None
        if len(self._zones) >= MAX_REMEMBERED:
            self._zones.clear()
        name = self._zones[address, transport] = zone.name if zone else None
        return name

    def destination(self, ae: AETitle) -> Device | None:
        """The device of that AE title, if the archive can reach it."""
        device = self._policy.lookup.by_ae.get(ae)
        return device if device is not None and device.address is not None else None

    def admit(self, peer: Peer, association: str, why_full: Callable[[str], str]) -> Admission:
        """Let an association begin.

        ``why_full`` is asked about a device that the policy admits: why it may have no further
        association now, or nothing.

        Raises:
            NotAdmitted: refused; the ladder is in the audit trail, not in the error.
            TooManyAssociations: refused for now.
            AuditFailed: the trail cannot be written.
        """
        answer = admit(self._policy, peer, self._clock.now())
        decision = answer.decision
        if not decision.allowed:
            told = self._record_denial("association.refused", peer, decision, association=association)
            raise NotAdmitted(_summary(decision), folded=not told)
        full = why_full(decision.who)
        if full:
            decision = _over_budget(decision, full, _TOO_MANY_FIX.format(device=decision.who))
            told = self._record_denial("association.refused", peer, decision, association=association)
            raise TooManyAssociations(_summary(decision), folded=not told)
        event = _event("association.admitted", Outcome.ALLOWED, peer, decision, association=association)
        self._recorder.record([replace(event, ladder=())])
        return Admission(decision.who, decision.zone or "", decision.site, answer.verbs)

    def record_not_offered(self, peer: Peer, verbs: Iterable[Verb], association: str) -> None:
        """Record what a peer proposed and was refused at negotiation, each verb with its ladder.

        Raises:
            AuditFailed: the trail cannot be written.
        """
        for verb in sorted(verbs):
            action = Action(verb)
            decision = decide(self._policy, peer, action, self._clock.now())
            if not decision.allowed:
                self._record_denial(_kind(action), peer, decision, action, association)

    def record_not_served(self, peer: Peer, verbs: Iterable[Verb], association: str) -> None:
        """Record what a peer that is being learned wants and this archive does not serve. Nobody else's.

        Raises:
            AuditFailed: the trail cannot be written.
        """
        if identify(self._policy, peer).learning is None:
            return
        for verb in sorted(verbs):
            action = Action(verb)
            decision = decide(self._policy, peer, action, self._clock.now())
            stopped = _stopped_at(decision, Step.VERB, f"this archive does not serve {verb}")
            self._record_denial(_kind(action), peer, stopped, action, association)

    def still_admitted(self, peer: Peer) -> Decision:
        """Ask again about a live association, after the policy or a revocation changed."""
        return admit(self._policy, peer, self._clock.now()).decision

    def permit(self, caller: Caller, action: Action, *, association: str = "") -> Permit:
        """Permit one operation and record it.

        Raises:
            NotPermitted: refused.
            AuditFailed: the trail cannot be written.
        """
        decision = self._decide(caller, action, association)
        event = _event(_kind(action), Outcome.ALLOWED, caller, decision, action, association)
        self._recorder.record([replace(event, ladder=())])
        return _permit(caller, action, decision)

    def permit_part(self, caller: Caller, action: Action, *, association: str = "") -> Permit:
        """Permit one part of an operation whose use case records its end itself.

        A store is recorded with its commit, the objects of a retrieval with its sum; here only
        a refusal is.

        Raises:
            NotPermitted: refused.
        """
        return _permit(caller, action, self._decide(caller, action, association))

    def record(self, event: AuditEvent) -> None:
        """Have a line recorded of something that has happened.

        Raises:
            AuditFailed: too many wait already to be written.
        """
        self._recorder.note([event])

    def record_refused_connection(self, peer: Peer, step: Step, reason: str, association: str) -> bool:
        """Record a caller stopped at the door: at ``step``, or where the policy stops it before that.

        Whether that is a line of its own: one like many others of a moment ago is only counted.
        """
        event = self._refused.get((peer, step, reason))
        if event is None:
            event = self._refusal(peer, step, reason)
            return self._record_folded(replace(event, association=association))
        return self._record_folded(event)

    def stopped_ladder(self, peer: Peer, action: Action | None, step: Step, reason: str) -> tuple[Rung, ...]:
        """How far a peer came that was stopped, at ``step``, by something other than the policy.

        ``action`` is ``None`` where it was stopped before it asked for any.
        """
        now = self._clock.now()
        if action is None:
            decision = admit(self._policy, peer, now).decision
        else:
            decision = decide(self._policy, peer, action, now)
        return _stopped_at(decision, step, reason).ladder

    def flush(self) -> None:
        """Record the sums of folded refusals whose window has ended. Called every second or so."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._forget_at_s:  # the policy may say something else by then, by its dates
            self._forget_at_s = now_s + REMEMBERED_S
            self._refused.clear()
        self._recorder.note(self._denials.flush(self._clock.monotonic_s()))

    def close(self) -> None:
        """Record all sums of folded refusals, whether or not their window has ended."""
        self._recorder.note(self._denials.flush(math.inf))

    def _decide(self, caller: Caller, action: Action, association: str) -> Decision:
        counted = self._has_budgets and isinstance(caller, Peer) and action.verb is Verb.STORE
        if counted and isinstance(caller, Peer):
            action = replace(action, facts=replace(action.facts, stores_this_hour=self._stored(caller)))
        decision = decide(self._policy, caller, action, self._clock.now())
        if not decision.allowed:
            self._record_denial(_kind(action), caller, decision, action, association)
            raise NotPermitted(_summary(decision))
        if counted and decision.device is not None:
            self._stores.setdefault(decision.device, _HourCount()).add(self._clock.monotonic_s())
        return decision

    def _stored(self, peer: Peer) -> int:
        device = self.device_of(peer)
        count = self._stores.get(device.name) if device else None
        return count.expire(self._clock.monotonic_s()) if count else 0

    def _record_denial(
        self,
        kind: str,
        caller: Caller,
        decision: Decision,
        action: Action | None = None,
        association: str = "",
    ) -> bool:
        """Whether it is a line of its own now; else it is counted with others like it."""
        return self._record_folded(_event(kind, Outcome.DENIED, caller, decision, action, association))

    def _refusal(self, peer: Peer, step: Step, reason: str) -> AuditEvent:
        """The line of a caller stopped at the door; remembered, for a flood says the same again and again."""
        climbed = admit(self._policy, peer, self._clock.now()).decision
        decision = _stopped_at(climbed, step, reason)
        event = replace(_event("connection.refused", Outcome.DENIED, peer, decision), reason=reason)
        if len(self._refused) >= MAX_REMEMBERED:
            self._refused.clear()
        self._refused[peer, step, reason] = event
        return event

    def _record_folded(self, event: AuditEvent) -> bool:
        """Whether it is a line of its own now; else it is counted with others like it."""
        lines = self._denials.admit(event, self._clock.monotonic_s())
        self._recorder.note(lines)
        return any(line is event for line in lines)


def _has_budgets(policy: Policy) -> bool:
    return any(flow.budget is not None for flow in policy.flows.values())


def _permit(caller: Caller, action: Action, decision: Decision) -> Permit:
    return issue_permit(
        caller,
        action,
        decision.scope,
        who=decision.who,
        rule=decision.rule or "",
        zone=decision.zone or "",
        site=decision.site,
        keeping=decision.keeping,
    )


def _stopped_at(decision: Decision, step: Step, detail: str) -> Decision:
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


def _over_budget(decision: Decision, detail: str, fix: str) -> Decision:
    """Admitted by the policy, and stopped at the last rung; scope and conditions bind no association."""
    height = list(Step).index(Step.SCOPE)
    unbound = (Rung(step, RungState.PASSED, "none") for step in (Step.SCOPE, Step.CONDITIONS))
    ladder = (*decision.ladder[:height], *unbound, Rung(Step.BUDGET, RungState.FAILED, detail))
    return replace(decision, allowed=False, rule=None, fix=fix, ladder=ladder)


def _summary(decision: Decision) -> str:
    failed = decision.failed
    return f"{failed.step}: {failed.detail}" if failed else "refused"


def _kind(action: Action) -> str:
    """The audit kind of an operation; see ``audit.kinds``."""
    return f"site.{action.verb}" if action.verb in SITE_VERBS else f"operation.{action.verb}"


def _event(
    kind: str,
    outcome: Outcome,
    caller: Caller,
    decision: Decision,
    action: Action | None = None,
    association: str = "",
) -> AuditEvent:
    event = AuditEvent(
        kind=kind,
        outcome=outcome,
        who=decision.who,
        zone=decision.zone or "",
        verb=action.verb if action else "",
        target=action.target if action else "",
        rule=decision.rule or "",
        reason="" if decision.allowed else _summary(decision),
        fix=decision.fix,
        ladder=decision.ladder,
        association=association,
    )
    match caller:
        case Peer():
            return replace(
                event,
                address=caller.address,
                transport=caller.transport,
                calling_ae=caller.calling_ae or "",
                called_ae=caller.called_ae or "",
                certificate=caller.foreign_certificate,
            )
        case Person():
            return replace(event, address=caller.address, transport=caller.transport)
        case Archive() | LocalAdministrator():
            return event
