"""The gate: asks the policy, records the answer, and permits nothing that is not recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from leadglass.audit.coalesce import MAX_REASONS
from leadglass.gate import MAX_REMEMBERED, Gate
from leadglass.ledger import HOUR_S
from leadglass.model.action import ARCHIVE, SITE, Action, Facts, Verb
from leadglass.model.caller import Archive, CertificateFacts, LocalAdministrator, Transport
from leadglass.model.decision import RungState, Step
from leadglass.model.errors import AuditFailed, NotAdmitted, NotPermitted, TooManyAssociations
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.names import AETitle
from leadglass.model.permit import EVERYTHING, NOTHING, Keeping
from tests.support.archive_rig import archive_rig
from tests.support.audit_rig import FakeClock
from tests.support.policies import ALICE, CT1, EXAMPLE, NOW, US1, WS1, policy

STRANGER = replace(CT1, address="198.51.100.9", certificate=None, calling_ae="STRANGER")
CT = Facts(modality="CT")
EMPTY = "version = 1"


def has_room(_device: str) -> str:
    return ""


def is_full(device: str) -> str:
    return f"{device} has all it may have"


class Notebook:
    """A trail that can be full."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.broken = False

    def record(self, events: Iterable[AuditEvent]) -> None:
        if self.broken:
            raise AuditFailed("the disk is full")
        self.note(events)

    def note(self, events: Iterable[AuditEvent]) -> None:
        self.events += events

    def take(self) -> list[AuditEvent]:
        """What was recorded since the last time."""
        taken, self.events = self.events, []
        return taken


@pytest.fixture
def trail() -> Notebook:
    return Notebook()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(time=NOW)


@pytest.fixture
def gate(trail: Notebook, clock: FakeClock) -> Gate:
    return Gate(policy(EXAMPLE), trail, clock)


def test_an_allowed_operation_is_permitted_and_recorded(gate: Gate, trail: Notebook) -> None:
    permit = gate.permit(WS1, Action(Verb.FIND), association="a1")
    assert (permit.caller, permit.action, permit.who, permit.rule, permit.zone) == (
        WS1,
        Action(Verb.FIND),
        "ws1",
        "flow read",
        "reading",
    )
    [line] = trail.take()
    assert (line.kind, line.outcome, line.who, line.rule) == (
        "operation.find",
        Outcome.ALLOWED,
        "ws1",
        "flow read",
    )
    assert (line.address, line.transport, line.calling_ae, line.association) == (
        WS1.address,
        "mtls",
        "WS1",
        "a1",
    )
    assert line.ladder == ()
    assert line.reason == ""


def test_a_refused_operation_is_recorded_with_its_ladder_and_the_fix(gate: Gate, trail: Notebook) -> None:
    with pytest.raises(NotPermitted) as refusal:
        gate.permit(CT1, Action(Verb.FIND))
    [line] = trail.take()
    assert line.outcome is Outcome.DENIED
    failed = next(rung for rung in line.ladder if rung.state is RungState.FAILED)
    assert failed.step is Step.VERB
    assert line.fix
    assert line.reason.startswith("verb: ")
    assert refusal.value.public_message == "Not permitted."
    assert "find" not in refusal.value.public_message


def test_titles_that_somebody_makes_up_hide_no_other_refusal_of_the_archive(
    gate: Gate, trail: Notebook
) -> None:
    for number in range(2 * MAX_REASONS):
        gate.refuse_destination(WS1, AETitle(f"X{number}"), "NORTH", association="a1")
    for device in ("ct1", "us1", "night"):
        with pytest.raises(NotPermitted):
            gate.permit_part(Archive("NORTH"), Action(Verb.STORE, device), association="a2")
    by_address = Counter(event.address for event in trail.events)
    assert by_address == {WS1.address: MAX_REASONS + 1, "": 3}
    assert [event.target for event in trail.events[-3:]] == ["ct1", "us1", "night"]


def test_refusals_that_repeat_are_one_line_and_a_sum(gate: Gate, trail: Notebook, clock: FakeClock) -> None:
    for _ in range(100):
        with pytest.raises(NotPermitted):
            gate.permit(CT1, Action(Verb.FIND))
    assert len(trail.take()) == 1
    gate.flush()
    assert trail.take() == []
    clock.pass_s(61)
    gate.flush()
    assert [line.count for line in trail.take()] == [99]


def test_close_tells_sums_before_their_time(gate: Gate, trail: Notebook) -> None:
    for _ in range(3):
        with pytest.raises(NotPermitted):
            gate.permit(CT1, Action(Verb.FIND))
    gate.close()
    assert [line.count for line in trail.take()] == [1, 2]
    gate.close()
    assert trail.take() == []


def test_a_part_is_recorded_only_when_it_is_refused(gate: Gate, trail: Notebook) -> None:
    permit = gate.permit_part(CT1, Action(Verb.STORE, facts=CT))
    assert permit.rule == "flow acquire"
    assert trail.take() == []
    with pytest.raises(NotPermitted):
        gate.permit_part(CT1, Action(Verb.STORE, facts=Facts(modality="MR")))
    [line] = trail.take()
    assert (line.kind, line.outcome) == ("operation.store", Outcome.DENIED)


def test_what_cannot_be_recorded_is_not_permitted(gate: Gate, trail: Notebook) -> None:
    trail.broken = True
    with pytest.raises(AuditFailed):
        gate.permit(WS1, Action(Verb.FIND))
    with pytest.raises(AuditFailed):
        gate.admit(WS1, "a1", has_room)
    assert trail.take() == []


def test_a_refusal_and_an_end_are_noted_while_nothing_may_begin(gate: Gate, trail: Notebook) -> None:
    trail.broken = True
    with pytest.raises(NotPermitted):
        gate.permit(CT1, Action(Verb.FIND))
    gate.record(AuditEvent("association.ended", Outcome.DONE, "ct1"))
    assert [line.kind for line in trail.take()] == ["operation.find", "association.ended"]


def test_a_real_trail_that_cannot_be_written_permits_nothing(tmp_path: Path) -> None:
    with archive_rig(tmp_path) as rig:
        rig.start()
        administrator, status = LocalAdministrator("tester"), Action(Verb.STATUS, SITE)
        rig.gate.permit(administrator, status)
        with rig.without_table("audit_event"):
            rig.committer.note([AuditEvent("server.started", Outcome.DONE, "NORTH")])
            with pytest.raises(AuditFailed):
                rig.committer.flush()
            with pytest.raises(AuditFailed):
                rig.gate.permit(administrator, status)
        rig.committer.flush()
        rig.gate.permit(administrator, status)


def test_an_association_is_admitted_with_the_verbs_it_can_ever_have(gate: Gate, trail: Notebook) -> None:
    admission = gate.admit(CT1, "a1", has_room)
    assert (admission.who, admission.zone) == ("ct1", "modalities")
    assert admission.verbs == {Verb.ECHO, Verb.STORE, Verb.WORKLIST, Verb.MPPS, Verb.COMMIT}
    [line] = trail.take()
    assert (line.kind, line.outcome, line.ladder) == ("association.admitted", Outcome.ALLOWED, ())


def test_a_stranger_is_not_admitted_and_the_ladder_is_recorded(gate: Gate, trail: Notebook) -> None:
    with pytest.raises(NotAdmitted):
        gate.admit(STRANGER, "a1", has_room)
    [line] = trail.take()
    assert (line.kind, line.outcome, line.calling_ae) == ("association.refused", Outcome.DENIED, "STRANGER")
    assert line.ladder


def test_a_device_that_has_all_it_may_have_is_refused_at_the_last_rung(gate: Gate, trail: Notebook) -> None:
    with pytest.raises(TooManyAssociations):
        gate.admit(CT1, "a1", is_full)
    [line] = trail.take()
    assert (line.kind, line.outcome, line.who) == ("association.refused", Outcome.DENIED, "ct1")
    assert line.reason == "budget: ct1 has all it may have"
    assert "limits.associations_per_device" in line.fix
    assert [rung.step for rung in line.ladder] == list(Step)
    assert [rung.state for rung in line.ladder] == [RungState.PASSED] * 7 + [RungState.FAILED]


def test_a_stranger_does_not_learn_whose_associations_are_all_taken(gate: Gate, trail: Notebook) -> None:
    with pytest.raises(NotAdmitted) as refusal:
        gate.admit(STRANGER, "a1", is_full)
    assert not isinstance(refusal.value, TooManyAssociations)


def test_an_empty_policy_admits_and_permits_nobody(gate: Gate) -> None:
    gate.replace_policy(policy(EMPTY))
    for peer in (CT1, WS1, US1, STRANGER):
        with pytest.raises(NotAdmitted):
            gate.admit(peer, "a1", has_room)
        for verb in Verb:
            with pytest.raises(NotPermitted):
                gate.permit(peer, Action(verb))
    with pytest.raises(NotPermitted):
        gate.permit(ALICE, Action(Verb.VIEW))
    with pytest.raises(NotPermitted):
        gate.permit(Archive("NORTH"), Action(Verb.STORE, "ws1"))


def test_a_connection_refused_at_the_door_is_recorded_as_far_as_it_came(gate: Gate, trail: Notebook) -> None:
    early = replace(CT1, calling_ae=None, called_ae=None)
    gate.record_refused_connection(early, Step.TRANSPORT, "TLS handshake not finished in time", "a1")
    [line] = trail.take()
    assert (line.kind, line.reason) == ("connection.refused", "TLS handshake not finished in time")
    states = {rung.step: rung.state for rung in line.ladder}
    assert states[Step.ZONE] is RungState.PASSED
    assert states[Step.TRANSPORT] is RungState.FAILED
    assert states[Step.DEVICE] is RungState.NOT_REACHED


def test_a_refusal_like_one_of_a_moment_ago_is_counted_and_says_so(gate: Gate, trail: Notebook) -> None:
    early = replace(CT1, calling_ae=None, called_ae=None)
    told = [gate.record_refused_connection(early, Step.TRANSPORT, "silent", f"a{n}") for n in range(3)]
    assert told == [True, False, False]
    assert len(trail.take()) == 1
    folded = []
    for number in range(3):
        with pytest.raises(NotAdmitted) as refused:
            gate.admit(STRANGER, f"b{number}", lambda _device: "")
        folded.append(refused.value.folded)
    assert folded == [False, True, True]


def test_a_refusal_is_judged_anew_by_another_policy(gate: Gate, trail: Notebook) -> None:
    early = replace(CT1, calling_ae=None, called_ae=None)
    gate.record_refused_connection(early, Step.TRANSPORT, "silent", "a1")
    gate.replace_policy(policy(EMPTY))
    gate.record_refused_connection(early, Step.TRANSPORT, "silent", "a2")
    failed = [
        next(rung.step for rung in line.ladder if rung.state is RungState.FAILED) for line in trail.take()
    ]
    assert failed == [Step.TRANSPORT, Step.ZONE]


def test_refusals_alike_are_counted_and_told_as_one(gate: Gate, trail: Notebook) -> None:
    early = replace(CT1, calling_ae=None, called_ae=None)
    for number in range(10):
        gate.record_refused_connection(early, Step.TRANSPORT, "silent", f"a{number}")
    trail.take()
    gate.close()
    [line] = trail.take()
    assert (line.count, line.reason, line.association) == (9, "silent", "")


def test_a_zone_is_found_anew_under_another_policy(gate: Gate) -> None:
    assert gate.zone_of(CT1.address, CT1.transport)
    gate.replace_policy(policy(EMPTY))
    assert gate.zone_of(CT1.address, CT1.transport) is None


def test_refusals_that_all_differ_are_not_all_remembered(gate: Gate) -> None:
    for number in range(MAX_REMEMBERED + 1):
        caller = replace(CT1, address=f"10.0.{number // 256}.{number % 256}")
        gate.record_refused_connection(caller, Step.TRANSPORT, "silent", f"a{number}")
    assert len(gate._refused) == 1


def test_where_the_policy_stopped_it_before_that_is_what_is_told(gate: Gate, trail: Notebook) -> None:
    gate.record_refused_connection(STRANGER, Step.DEVICE, "no A-ASSOCIATE-RQ in time", "a1")
    [line] = trail.take()
    failed = next(rung for rung in line.ladder if rung.state is RungState.FAILED)
    assert failed.step in {Step.ZONE, Step.TRANSPORT}


def test_verbs_refused_at_negotiation_are_recorded_each(gate: Gate, trail: Notebook) -> None:
    gate.record_not_offered(CT1, {Verb.FIND, Verb.GET, Verb.STORE}, "a1")
    assert [line.kind for line in trail.take()] == ["operation.find", "operation.get", "operation.store"]
    gate.record_not_offered(CT1, {Verb.ECHO}, "a1")
    assert trail.take() == []


WATCHING = f"""{EXAMPLE}[learning]
mr9 = {{ ip = "10.20.9.9", zone = "legacy", until = 2026-12-06 }}
mr8 = {{ ip = "10.20.1.8", zone = "modalities", until = 2026-12-06 }}
"""
MR9 = replace(US1, address="10.20.9.9", calling_ae="MAGNET")


def test_what_is_being_learned_is_admitted_and_its_permit_is_for_quarantine(
    gate: Gate, trail: Notebook
) -> None:
    gate.replace_policy(policy(WATCHING))
    admission = gate.admit(MR9, "a1", has_room)
    assert (admission.who, admission.zone) == ("learning:mr9", "legacy")
    assert gate.permit_part(MR9, Action(Verb.STORE, facts=CT)).keeping is Keeping.APART
    assert gate.permit(MR9, Action(Verb.FIND)).scope == NOTHING
    assert gate.permit_part(CT1, Action(Verb.STORE, facts=CT)).keeping is Keeping.SERVED
    assert [(line.kind, line.who) for line in trail.take()] == [
        ("association.admitted", "learning:mr9"),
        ("operation.find", "learning:mr9"),
    ]


def test_what_it_wants_and_nobody_serves_is_recorded_of_it_alone(gate: Gate, trail: Notebook) -> None:
    gate.replace_policy(policy(WATCHING))
    gate.record_not_served(MR9, {Verb.MPPS, Verb.WORKLIST}, "a1")
    lines = trail.take()
    assert [(line.kind, line.outcome, line.who) for line in lines] == [
        ("operation.mpps", Outcome.DENIED, "learning:mr9"),
        ("operation.worklist", Outcome.DENIED, "learning:mr9"),
    ]
    assert lines[1].reason == "verb: this archive does not serve worklist"
    gate.record_not_served(CT1, {Verb.MPPS}, "a1")
    assert trail.take() == []


def test_a_foreign_certificate_is_recorded_by_its_digest(gate: Gate, trail: Notebook) -> None:
    gate.replace_policy(policy(WATCHING))
    foreign = CertificateFacts("ab" * 32, 9, "CN=x", issued_here=False, device=None, not_after=NOW)
    gate.admit(replace(CT1, address="10.20.1.8", calling_ae="COIL", certificate=foreign), "a1", has_room)
    gate.admit(CT1, "a2", has_room)
    assert [line.certificate for line in trail.take()] == ["ab" * 32, ""]


def test_a_peer_has_a_name_if_the_policy_knows_or_watches_it(gate: Gate) -> None:
    gate.replace_policy(policy(WATCHING))
    assert [gate.name_of(peer) for peer in (CT1, MR9, STRANGER)] == ["ct1", "learning:mr9", ""]


def test_a_strangers_certificate_is_taken_where_an_address_is_watched_over_tls(
    gate: Gate, clock: FakeClock
) -> None:
    gate.replace_policy(policy(WATCHING))
    watched = ("10.20.1.8", "::ffff:10.20.1.8", "10.20.9.9", "10.20.1.7", "")
    assert [gate.watches(address) for address in watched] == [True, True, False, False, False]
    clock.time += timedelta(days=15)
    assert not gate.watches("10.20.1.8")


def test_a_ladder_can_be_had_of_what_stopped_elsewhere(gate: Gate) -> None:
    at_door = gate.stopped_ladder(CT1, None, Step.VERB, "idle for too long")
    in_operation = gate.stopped_ladder(CT1, Action(Verb.STORE, facts=CT), Step.CONDITIONS, "broken")
    for ladder, step in ((at_door, Step.VERB), (in_operation, Step.CONDITIONS)):
        failed = [rung.step for rung in ladder if rung.state is RungState.FAILED]
        assert failed == [step]


def test_another_policy_is_in_force_from_the_next_decision_on(gate: Gate) -> None:
    gate.permit(CT1, Action(Verb.ECHO))
    assert gate.still_admitted(CT1).allowed
    gate.replace_policy(policy(EMPTY))
    assert gate.policy.devices == {}
    with pytest.raises(NotPermitted):
        gate.permit(CT1, Action(Verb.ECHO))
    assert not gate.still_admitted(CT1).allowed


def test_a_budget_is_per_device_and_per_hour(gate: Gate, trail: Notebook, clock: FakeClock) -> None:
    store = Action(Verb.STORE, facts=Facts(modality="US"))
    for _ in range(600):
        gate.permit_part(US1, store)
        clock.pass_s(1)
    with pytest.raises(NotPermitted):
        gate.permit_part(US1, store)
    line, alert = trail.take()
    assert next(rung.step for rung in line.ladder if rung.state is RungState.FAILED) is Step.BUDGET
    assert (alert.kind, alert.outcome, alert.who) == ("budget.exceeded", Outcome.ALERT, "us1")
    gate.permit_part(CT1, Action(Verb.STORE, facts=CT))
    clock.pass_s(HOUR_S - 600)
    gate.permit_part(US1, store)  # the first minute is an hour ago


def test_a_refused_store_costs_no_budget(gate: Gate) -> None:
    for _ in range(700):
        with pytest.raises(NotPermitted):
            gate.permit_part(US1, Action(Verb.STORE, facts=CT))
    gate.permit_part(US1, Action(Verb.STORE, facts=Facts(modality="US")))


def test_a_budget_holds_over_a_change_of_policy(gate: Gate) -> None:
    store = Action(Verb.STORE, facts=Facts(modality="US"))
    for _ in range(600):
        gate.permit_part(US1, store)
    gate.replace_policy(policy(EXAMPLE))
    with pytest.raises(NotPermitted):
        gate.permit_part(US1, store)


def test_an_unknown_peer_has_no_budget(gate: Gate) -> None:
    with pytest.raises(NotPermitted):
        gate.permit_part(STRANGER, Action(Verb.STORE, facts=CT))


def test_a_rule_ends_when_its_time_does(gate: Gate, clock: FakeClock) -> None:
    gate.permit(US1, Action(Verb.ECHO))
    clock.time = NOW + timedelta(days=90)
    with pytest.raises(NotPermitted):
        gate.permit(US1, Action(Verb.ECHO))


@pytest.mark.parametrize("verb", [Verb.STATUS, Verb.MANAGE, Verb.AUDIT, Verb.CHECK, Verb.OPERATE])
def test_the_local_administrator_is_recorded_like_everybody(gate: Gate, trail: Notebook, verb: Verb) -> None:
    permit = gate.permit(LocalAdministrator("root"), Action(verb, SITE))
    assert permit.scope == EVERYTHING
    [line] = trail.take()
    assert (line.kind, line.who, line.address, line.target) == (f"site.{verb}", "root", "", SITE)
    with pytest.raises(NotPermitted):
        gate.permit(LocalAdministrator("root"), Action(Verb.FIND, ARCHIVE))


def test_a_person_is_recorded_with_where_they_are(gate: Gate, trail: Notebook) -> None:
    gate.permit(ALICE, Action(Verb.VIEW))
    [line] = trail.take()
    assert (line.kind, line.who, line.address, line.transport) == (
        "operation.view",
        "alice",
        ALICE.address,
        "https",
    )


def test_the_archive_sends_only_where_a_flow_lets_it(gate: Gate) -> None:
    permit = gate.permit_part(Archive("NORTH"), Action(Verb.STORE, "ws1", CT))
    assert permit.rule == "flow deliver"
    with pytest.raises(NotPermitted):
        gate.permit_part(Archive("NORTH"), Action(Verb.STORE, "ct1", CT))


def test_what_it_tells_of_peers_zones_and_destinations(gate: Gate) -> None:
    device = gate.device_of(CT1)
    assert device is not None
    assert device.name == "ct1"
    assert gate.device_of(STRANGER) is None
    assert gate.zone_of("10.20.1.9", Transport.MTLS) == "modalities"
    assert gate.zone_of("10.20.1.9", Transport.PLAIN) is None
    assert gate.zone_of("", Transport.PLAIN) is None
    destination = gate.destination(AETitle("WS1"))
    assert destination is not None
    assert destination.name == "ws1"
    assert gate.destination(AETitle("CT1")) is None
    assert gate.destination(AETitle("NOBODY")) is None
