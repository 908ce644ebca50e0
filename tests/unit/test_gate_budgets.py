"""The gate holds everybody to what they may read in an hour, and says so in the trail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import count

import pytest
from structlog.testing import capture_logs

from leadglass.gate import Gate, Revealed
from leadglass.ledger import BUCKET_S, HOUR_S
from leadglass.model.action import Action, Facts, Verb
from leadglass.model.caller import Archive, LocalAdministrator, Person
from leadglass.model.decision import RungState, Step
from leadglass.model.errors import NotPermitted
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.permit import EVERYTHING, Permit, Scope, ScopeFilter, issue_permit
from leadglass.model.usage import Load
from leadglass.policy.conditions.per_hour import HARVEST
from tests.support.audit_rig import FakeClock
from tests.support.policies import ALICE, CERTIFICATE, CT1, EXAMPLE, NOW, US1, WS1, policy

GB = 10**9
READ = 'can = ["echo", "find", "get", "move"]'
FIVE = EXAMPLE.replace(READ, f'{READ}, per_hour = {{ objects = 100, bytes = "1 GB", patients = 5 }}')
SENDING = FIVE.replace('to = "ws1", can = ["store"]', 'to = "ws1", can = ["store"], per_hour = 10')
STORING = EXAMPLE.replace("per_hour = 600", 'per_hour = { bytes = "1 GB", patients = 2 }')
US = Action(Verb.STORE, facts=Facts(modality="US"))
FIND, GET, MOVE = (Action(verb) for verb in (Verb.FIND, Verb.GET, Verb.MOVE))
WS2_LINE = '[devices]\nws2 = { zone = "reading", ae = ["WS2"] }'
WS2 = replace(WS1, address="10.20.3.12", certificate=replace(CERTIFICATE, device="ws2"), calling_ae="WS2")
USUAL_PATIENTS, USUAL_OBJECTS, USUAL_BYTES = 200, 20_000, 20 * GB


class Notebook:
    """A trail."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def record(self, events: Iterable[AuditEvent]) -> None:
        self.events += events

    note = record

    def of(self, kind: str) -> list[AuditEvent]:
        return [event for event in self.events if event.kind == kind]


@pytest.fixture
def trail() -> Notebook:
    return Notebook()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(time=NOW)


@pytest.fixture
def gate(trail: Notebook, clock: FakeClock) -> Gate:
    text = FIVE.replace("[devices]", WS2_LINE)
    return Gate(policy(text), trail, clock)


def refused_at(gate: Gate, action: Action, caller: Person | type(WS1) = WS1) -> Step:  # type: ignore[valid-type]
    with pytest.raises(NotPermitted) as refusal:
        gate.permit(caller, action)
    return Step(str(refusal.value).partition(":")[0])


def reveal(gate: Gate, *patients: int) -> Revealed:
    return gate.reveal(gate.permit(WS1, FIND), patients)


def test_one_by_one_the_budget_is_used_up(gate: Gate, trail: Notebook) -> None:
    assert [reveal(gate, patient).told for patient in range(6)] == [1] * 5 + [0]
    assert refused_at(gate, FIND) is Step.BUDGET
    line = [event for event in trail.of("operation.find") if event.outcome is Outcome.DENIED][-1]
    failed = next(rung for rung in line.ladder if rung.state is RungState.FAILED)
    assert (failed.step, failed.detail) == (Step.BUDGET, "over 5 patients this hour")
    assert line.fix == "wait until the hour has passed, or raise patients in flows.read.per_hour"


def test_all_at_once_no_more_is_told_than_the_budget(gate: Gate, trail: Notebook) -> None:
    revealed = reveal(gate, *range(64))
    assert revealed.told == 5
    assert revealed.refusal is not None
    assert str(revealed.refusal) == "budget: over 5 patients this hour"
    assert len(trail.of("budget.exceeded")) == 1


def test_many_answers_of_one_patient_are_one_patient(gate: Gate) -> None:
    permit = gate.permit(WS1, FIND)
    for _ in range(10):
        assert gate.reveal(permit, [1, 1, 2, 1, 2]) == Revealed(5)
    assert reveal(gate, 3, 4, 5) == Revealed(3)


def test_answers_before_the_first_that_does_not_fit_go_out_even_of_patients_shown_before(
    gate: Gate,
) -> None:
    permit = gate.permit(WS1, FIND)
    assert gate.reveal(permit, [1, 2, 3, 4]) == Revealed(4)
    assert gate.reveal(permit, [1, 9, 2, 10, 1]).told == 3


def test_what_was_shown_can_be_fetched_when_the_budget_is_used_up(gate: Gate) -> None:
    reveal(gate, *range(5))
    permit = gate.permit(WS1, GET)
    gate.reserve(permit, Load(3, 300, frozenset({0, 4})))
    with pytest.raises(NotPermitted, match="over 5 patients"):
        gate.reserve(permit, Load(3, 300, frozenset({0, 5})))


def test_when_it_is_used_up_nobody_learns_by_trying_who_is_here(gate: Gate) -> None:
    reveal(gate, *range(5))
    gate.reserve(gate.permit(WS1, GET), Load(0, 0))
    with pytest.raises(NotPermitted, match="over 5 patients"):
        gate.reserve(gate.permit(WS1, GET), Load(1, 1, frozenset({6})))
    with pytest.raises(NotPermitted, match="over 5 patients"):
        gate.reserve(gate.permit(WS1, GET), Load(0, 0))
    assert refused_at(gate, FIND) is Step.BUDGET


def test_at_the_end_of_the_budget_a_list_can_be_read_again_until_more_is_asked_for(gate: Gate) -> None:
    reveal(gate, *range(5))
    for _ in range(3):
        assert reveal(gate, *range(5)) == Revealed(5)
    assert reveal(gate, 5).told == 0
    assert refused_at(gate, FIND) is Step.BUDGET


@pytest.mark.parametrize("action", [GET, MOVE])
def test_retrievals_use_objects_bytes_and_patients(gate: Gate, action: Action) -> None:
    permit = gate.permit(WS1, action)
    gate.reserve(permit, Load(60, GB // 2, frozenset({1, 2})))
    for load, what in (
        (Load(41, 1, frozenset({1})), "100 objects"),
        (Load(1, GB // 2 + 1, frozenset({1})), "1 GB"),
        (Load(1, 1, frozenset({3, 4, 5, 6})), "5 patients"),
    ):
        with pytest.raises(NotPermitted, match=f"over {what} this hour"):
            gate.reserve(permit, load)
    gate.reserve(permit, Load(40, GB // 2, frozenset({3, 4, 5})))
    assert refused_at(gate, action) is Step.BUDGET


def test_what_did_not_go_is_given_back(gate: Gate) -> None:
    permit = gate.permit(WS1, GET)
    for _ in range(10):
        gate.reserve(permit, Load(100, GB, frozenset({1})))
        gate.give_back(permit, Load(100, GB))
    gate.reserve(permit, Load(100, GB, frozenset({1})))


def test_the_budget_is_there_again_when_the_hour_has_passed(gate: Gate, clock: FakeClock) -> None:
    reveal(gate, *range(6))
    clock.pass_s(HOUR_S - 1)
    assert refused_at(gate, FIND) is Step.BUDGET
    clock.pass_s(BUCKET_S + 1)
    assert reveal(gate, 6, 7, 8, 9, 10) == Revealed(5)
    assert reveal(gate, 6, 7, 8, 9, 10) == Revealed(5)  # what was asked for too much is forgotten too


def test_others_are_not_touched(gate: Gate) -> None:
    reveal(gate, *range(64))
    assert refused_at(gate, FIND) is Step.BUDGET
    assert gate.reveal(gate.permit(WS2, FIND), range(5)) == Revealed(5)
    gate.permit(WS1, Action(Verb.ECHO))
    gate.permit_part(CT1, Action(Verb.STORE, facts=Facts(modality="CT")))


def test_an_alert_comes_once_in_an_hour_and_each_refusal_as_usual(
    gate: Gate, trail: Notebook, clock: FakeClock
) -> None:
    reveal(gate, *range(64))
    for _ in range(20):
        refused_at(gate, FIND)
    gate.close()
    [alert] = trail.of("budget.exceeded")
    assert (alert.outcome, alert.who, alert.verb, alert.rule) == (
        Outcome.ALERT,
        "ws1",
        Verb.FIND,
        "flow read",
    )
    assert (alert.address, alert.calling_ae) == (WS1.address, "WS1")
    denied = [event for event in trail.of("operation.find") if event.outcome is Outcome.DENIED]
    assert sum(event.count for event in denied) == 21
    clock.pass_s(HOUR_S + BUCKET_S)
    reveal(gate, *range(100, 164))
    assert len(trail.of("budget.exceeded")) == 2


def test_the_log_is_told_and_names_no_patient(gate: Gate) -> None:
    with capture_logs() as logged:
        reveal(gate, *range(123456, 123520))
    [line] = logged
    assert (line["event"], line["log_level"], line["who"]) == ("budget exceeded", "warning", "ws1")
    assert "1234" not in str(line)


def test_what_was_used_counts_under_another_policy_and_its_budget_at_once(gate: Gate) -> None:
    permit = gate.permit(WS1, FIND)
    assert gate.reveal(permit, range(4)) == Revealed(4)
    gate.replace_policy(policy(FIVE.replace("patients = 5", "patients = 2")))
    assert gate.reveal(permit, [77]).told == 0
    assert refused_at(gate, FIND) is Step.BUDGET
    gate.replace_policy(policy(FIVE.replace("patients = 5", "patients = 6")))
    assert gate.reveal(permit, [77, 78, 79]).told == 2


def test_a_reader_at_ten_times_usual_volume_is_not_cut_by_the_default(
    trail: Notebook, clock: FakeClock
) -> None:
    """Over nine hours, and evenly: whoever is new is listed, looked at again and again, and fetched."""
    gate = Gate(policy(EXAMPLE), trail, clock)
    each_minute = 10 * USUAL_PATIENTS // 60
    listed: list[int] = []
    for minute in range(9 * 60):
        new = range(each_minute * minute, each_minute * (minute + 1))
        listed = [*listed, *new][-10 * each_minute :]  # a list of ten minutes, shown every minute
        for start in range(0, len(listed), 64):
            chunk = listed[start : start + 64]
            assert gate.reveal(gate.permit(WS1, FIND), chunk) == Revealed(len(chunk))
        load = Load(10 * USUAL_OBJECTS // 60, 10 * USUAL_BYTES // 60, frozenset(new))
        gate.reserve(gate.permit(WS1, MOVE), load)
        clock.pass_s(60)
    assert {event.outcome for event in trail.events} == {Outcome.ALLOWED}


@pytest.mark.parametrize("chunk", [1, 64])
def test_walking_through_all_patients_ends_at_the_default(
    trail: Notebook, clock: FakeClock, chunk: int
) -> None:
    gate = Gate(policy(EXAMPLE), trail, clock)
    told = 0
    for start in count(0, chunk):
        try:
            told += gate.reveal(gate.permit(WS1, FIND), range(start, start + chunk)).told
        except NotPermitted:
            break
        clock.pass_s(0.5)
    assert told == HARVEST.patients
    assert len(trail.of("budget.exceeded")) == 1


def test_people_are_held_to_it_too(trail: Notebook, clock: FakeClock) -> None:
    text = EXAMPLE.replace('need = ["mfa"]', 'need = ["mfa"], per_hour = { patients = 3 }')
    gate = Gate(policy(text), trail, clock)
    assert gate.reveal(gate.permit(ALICE, Action(Verb.LIST)), range(10)).told == 3
    assert refused_at(gate, Action(Verb.LIST), ALICE) is Step.BUDGET
    view = gate.permit(ALICE, Action(Verb.VIEW))
    gate.reserve(view, Load(1, 1, frozenset({2})))
    with pytest.raises(NotPermitted):
        gate.reserve(view, Load(1, 1, frozenset({3})))
    gate.permit(replace(ALICE, name="bob"), Action(Verb.LIST))


def test_a_person_and_a_device_of_one_name_are_two(trail: Notebook, clock: FakeClock) -> None:
    gate = Gate(policy(EXAMPLE), trail, clock)
    gate.reveal(gate.permit(WS1, FIND), range(5000))
    gate.permit(replace(ALICE, name="ws1"), Action(Verb.LIST))


def test_what_the_archive_sends_to_a_device_is_bounded_by_its_flow(trail: Notebook, clock: FakeClock) -> None:
    gate = Gate(policy(SENDING), trail, clock)
    store = Action(Verb.STORE, "ws1", Facts(modality="CT"))
    permit = gate.permit_part(Archive("NORTH"), store)
    gate.reserve(permit, Load(10, 10, frozenset({1})))
    with pytest.raises(NotPermitted, match="over 10 objects"):
        gate.permit_part(Archive("NORTH"), store)
    with pytest.raises(NotPermitted, match="no device"):
        gate.permit_part(Archive("NORTH"), replace(store, target="nobody"))
    gate.give_back(permit, Load(10, 10))
    gate.permit_part(Archive("NORTH"), store)


def test_stores_are_bounded_by_bytes_and_patients_once_they_are_known(
    trail: Notebook, clock: FakeClock
) -> None:
    gate = Gate(policy(STORING), trail, clock)
    assert gate.counts_stores
    for patient in (1, 1, 2):
        gate.reserve(gate.permit_part(US1, US), Load(0, 1000, frozenset({patient})))
    permit = gate.permit_part(US1, US)
    with pytest.raises(NotPermitted, match="over 2 patients"):
        gate.reserve(permit, Load(0, 1000, frozenset({3})))
    with pytest.raises(NotPermitted, match="over 1 GB"):
        gate.reserve(permit, Load(0, GB, frozenset({2})))
    gate.reserve(permit, Load(0, 1000, frozenset({2})))


def test_where_no_rule_bounds_stores_none_is_counted(trail: Notebook, clock: FakeClock) -> None:
    gate = Gate(policy(EXAMPLE.replace(", per_hour = 600", "")), trail, clock)
    assert not gate.counts_stores
    permit = gate.permit_part(US1, US)
    for patient in range(10):
        gate.reserve(permit, Load(10**6, 10**15, frozenset({patient})))
    gate.give_back(permit, Load(1, 1))


def test_the_local_administrator_has_no_budget(gate: Gate) -> None:
    action = Action(Verb.FIND)
    permit = issue_permit(LocalAdministrator("root"), action, EVERYTHING, who="root", rule="test")
    assert gate.reveal(permit, range(100)) == Revealed(100)


TWO_RULES = EXAMPLE.replace(
    f'read     = {{ from = ["zone:reading"], to = "archive", {READ} }}',
    f'night-a = {{ from = ["ws1"], to = "archive", {READ}, only = "label:night", '
    "per_hour = { patients = 8 } }\n"
    f'read-b = {{ from = ["ws1"], to = "archive", {READ}, per_hour = {{ patients = 3 }} }}',
)


def test_a_rule_whose_budget_is_used_up_takes_its_reach_with_it(trail: Notebook, clock: FakeClock) -> None:
    gate = Gate(policy(TWO_RULES), trail, clock)
    whole = gate.permit(WS1, FIND)
    assert whole.scope == EVERYTHING
    assert gate.reveal(whole, range(10)).told == 3
    night = gate.permit(WS1, FIND)
    assert night.scope == Scope((ScopeFilter(frozenset({"night"})),))
    assert gate.reveal(whole, [50]).told == 0  # what it was permitted for has no budget any more
    assert gate.reveal(night, range(100, 110)).told == 5


def test_a_search_over_midnight_is_not_cut_because_a_rule_reaches_by_days(
    trail: Notebook, clock: FakeClock
) -> None:
    gate = Gate(policy(EXAMPLE.replace(READ, f'{READ}, newer_than = "30d"')), trail, clock)
    permit = gate.permit(WS1, FIND)
    clock.pass_s(86_400)
    assert gate.reveal(permit, range(10)) == Revealed(10)
    assert gate.permit(WS1, FIND).scope != permit.scope


def test_a_further_rule_with_a_smaller_budget_takes_nothing_away(trail: Notebook, clock: FakeClock) -> None:
    text = FIVE.replace(
        "[grants]", f'a = {{ from = ["ws1"], to = "archive", {READ}, per_hour = SMALL }}\n[grants]'
    )
    gate = Gate(policy(text.replace("SMALL", "{ patients = 1 }")), trail, clock)
    permit: Permit = gate.permit(WS1, FIND)
    assert permit.rule == "flow a"
    assert gate.reveal(permit, range(10)).told == 5
