"""The one gate. The only caller of the policy, and the only maker of permits.

Every operation of every interface comes here with a caller and an action. The gate asks the
policy, has the answer recorded, and hands out a ``Permit`` or raises. If the answer cannot be
recorded nothing is permitted: the recorder raises ``AuditFailed`` and the operation ends. What has
happened all the same, a refusal or an end, is kept until it can be written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from leadglass.audit.coalesce import DenialCoalescer
from leadglass.audit.decided import event_of, kind_of, over_budget, stopped_at, summary, with_equipment
from leadglass.hours import Hours
from leadglass.model.action import Action, Verb
from leadglass.model.caller import UNKNOWN_EQUIPMENT, Archive, Caller, Equipment, Peer, Transport
from leadglass.model.clock import Clock
from leadglass.model.decision import Decision, Rung, Step
from leadglass.model.errors import NotAdmitted, NotPermitted, TooManyAssociations
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.names import AETitle
from leadglass.model.permit import Permit, issue_permit
from leadglass.model.usage import Load, Usage
from leadglass.policy.decide import admit, decide
from leadglass.policy.identify import identify, place, watched_at
from leadglass.policy.model import Device
from leadglass.policy.network import parse_address
from leadglass.policy.policy import Policy

log = structlog.get_logger()

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


@dataclass(frozen=True, slots=True)
class Revealed:
    """How many of some answers may be told, from the first on; ``refusal`` where that is not all."""

    told: int
    refusal: NotPermitted | None = None


class Gate:
    """Asks the policy, records the answer, hands out permits. For one thread: the shell's."""

    def __init__(self, policy: Policy, recorder: Recorder, clock: Clock) -> None:
        self._policy = policy
        self._recorder = recorder
        self._clock = clock
        self._denials = DenialCoalescer()
        self._hours = Hours(policy, decide, clock)
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
        self._hours.replace_policy(policy)
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

    def refuse_destination(self, peer: Peer, ae: AETitle, node: str, *, association: str) -> None:
        """Record that ``peer`` wanted something sent to nobody by ``node``, the archive.

        The line has the peer's address: whoever makes up titles shall hide no other refusal of the archive.

        Raises:
            AuditFailed: the trail cannot be written.
        """
        named = self._policy.lookup.by_ae.get(ae)
        target = named.name if named is not None else f"AE {ae}"  # which no device is called
        caller, action = Archive(node), Action(Verb.STORE, target)
        decision = decide(self._policy, caller, action, self._clock.now())
        event = event_of(kind_of(action), Outcome.DENIED, caller, decision, action, association)
        self._record_folded(replace(event, address=peer.address, calling_ae=peer.calling_ae or ""))

    def admit(
        self,
        peer: Peer,
        association: str,
        why_full: Callable[[str], str],
        equipment: Equipment = UNKNOWN_EQUIPMENT,
    ) -> Admission:
        """Let an association begin.

        ``why_full`` is asked about a device that the policy admits: why it may have no further
        association now, or nothing. ``equipment`` is recorded of whoever is admitted.

        Raises:
            NotAdmitted: refused; the ladder is in the audit trail, not in the error.
            TooManyAssociations: refused for now.
            AuditFailed: the trail cannot be written.
        """
        answer = admit(self._policy, peer, self._clock.now())
        decision = answer.decision
        if not decision.allowed:
            told = self._record_denial("association.refused", peer, decision, association=association)
            raise NotAdmitted(summary(decision), folded=not told)
        full = why_full(decision.who)
        if full:
            decision = over_budget(decision, full, _TOO_MANY_FIX.format(device=decision.who))
            told = self._record_denial("association.refused", peer, decision, association=association)
            raise TooManyAssociations(summary(decision), folded=not told)
        event = event_of("association.admitted", Outcome.ALLOWED, peer, decision, association=association)
        self._recorder.record([with_equipment(event, equipment)])
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
                self._record_denial(kind_of(action), peer, decision, action, association)

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
            stopped = stopped_at(decision, Step.VERB, f"this archive does not serve {verb}")
            self._record_denial(kind_of(action), peer, stopped, action, association)

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
        event = event_of(kind_of(action), Outcome.ALLOWED, caller, decision, action, association)
        self._recorder.record([event])
        return _permit(caller, action, decision)

    def permit_part(self, caller: Caller, action: Action, *, association: str = "") -> Permit:
        """Permit one part of an operation whose use case records its end itself.

        A store is recorded with its commit, the objects of a retrieval with its sum; here only
        a refusal is.

        Raises:
            NotPermitted: refused.
        """
        return _permit(caller, action, self._decide(caller, action, association))

    @property
    def counts_stores(self) -> bool:
        """Whether a rule in force bounds stores in an hour; else nobody need tell of them."""
        return self._hours.counts_stores

    def reveal(self, permit: Permit, patients: Sequence[Hashable], *, association: str = "") -> Revealed:
        """Take the patients of some answers, one each and in order, out of the hour of whoever searches.

        One shown already in this hour costs nothing. Once they do not fit, that refusal is recorded.
        """
        account = self._hours.account(permit.caller, permit.action, permit.who)
        if account is None:
            return Revealed(len(patients))
        now_s = self._clock.monotonic_s()
        fresh = account.unseen(patients)
        scope, granted = account.granted
        if scope != permit.scope or len(account.seen) + len(fresh) > granted:
            decision = self._hours.afford(permit, account, Usage(patients=len(fresh)))
            if not decision.allowed:
                refusal = self._refuse(permit.caller, permit.action, decision, association)
                while fresh and not self._hours.afford(permit, account, Usage(patients=len(fresh))).allowed:
                    fresh.pop()
                account.see(now_s, fresh)
                return Revealed(account.leading_seen(patients), refusal)
        account.see(now_s, patients)
        return Revealed(len(patients))

    def reserve(self, permit: Permit, load: Load, *, association: str = "") -> None:
        """Take a transfer out of its caller's hour: the whole of it, or nothing.

        Where more was asked for than fits, one that transfers nothing is refused too: else whoever has no
        patient left could try numbers, and learn which are somebody's.

        Raises:
            NotPermitted: it does not fit.
        """
        account = self._hours.account(permit.caller, permit.action, permit.who)
        if account is None:
            return
        patients = len(account.unseen(load.patients)) if load.patients else int(account.is_over)
        decision = self._hours.afford(permit, account, Usage(load.objects, load.size_bytes, patients))
        if not decision.allowed:
            raise self._refuse(permit.caller, permit.action, decision, association)
        now_s = self._clock.monotonic_s()
        account.add(now_s, load.objects, load.size_bytes)
        account.see(now_s, load.patients)

    def give_back(self, permit: Permit, load: Load) -> None:
        """What was reserved and not transferred, but for the patients: it may be known whose it is."""
        account = self._hours.account(permit.caller, permit.action, permit.who)
        if account is not None:
            account.give_back(load.objects, load.size_bytes)

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
        return stopped_at(decision, step, reason).ladder

    def flush(self) -> None:
        """Record the sums of folded refusals whose window has ended. Called every second or so."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._forget_at_s:  # the policy may say something else by then, by its dates
            self._forget_at_s = now_s + REMEMBERED_S
            self._refused.clear()
            self._hours.forget_idle()
        self._recorder.note(self._denials.flush(now_s))

    def close(self) -> None:
        """Record all sums of folded refusals, whether or not their window has ended."""
        self._recorder.note(self._denials.flush(math.inf))

    def _decide(self, caller: Caller, action: Action, association: str) -> Decision:
        decision = self._hours.begin(caller, action)
        if not decision.allowed:
            raise self._refuse(caller, action, decision, association)
        return decision

    def _refuse(self, caller: Caller, action: Action, decision: Decision, association: str) -> NotPermitted:
        """Record a refusal; of a budget, alert whoever reads the trail, once in the caller's hour."""
        self._record_denial(kind_of(action), caller, decision, action, association)
        over = decision.failed is not None and decision.failed.step is Step.BUDGET
        account = self._hours.account(caller, action, decision.device or "") if over else None
        if account is not None and account.exceed(self._clock.monotonic_s()):
            alert = event_of("budget.exceeded", Outcome.ALERT, caller, decision, action, association)
            log.warning(
                "budget exceeded", who=alert.who, verb=alert.verb, rule=alert.rule, reason=alert.reason
            )
            self._recorder.note([alert])
        return NotPermitted(summary(decision))

    def _record_denial(
        self,
        kind: str,
        caller: Caller,
        decision: Decision,
        action: Action | None = None,
        association: str = "",
    ) -> bool:
        """Whether it is a line of its own now; else it is counted with others like it."""
        return self._record_folded(event_of(kind, Outcome.DENIED, caller, decision, action, association))

    def _refusal(self, peer: Peer, step: Step, reason: str) -> AuditEvent:
        """The line of a caller stopped at the door; remembered, for a flood says the same again and again."""
        climbed = admit(self._policy, peer, self._clock.now()).decision
        decision = stopped_at(climbed, step, reason)
        event = replace(event_of("connection.refused", Outcome.DENIED, peer, decision), reason=reason)
        if len(self._refused) >= MAX_REMEMBERED:
            self._refused.clear()
        self._refused[peer, step, reason] = event
        return event

    def _record_folded(self, event: AuditEvent) -> bool:
        """Whether it is a line of its own now; else it is counted with others like it."""
        lines = self._denials.admit(event, self._clock.monotonic_s())
        self._recorder.note(lines)
        return any(line is event for line in lines)


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
        release=decision.release,
    )
