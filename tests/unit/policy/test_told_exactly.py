"""What is told of decisions, tests, invariants and rules, word for word, and in what order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from leadglass.model.action import ARCHIVE, SITE, Action, Verb
from leadglass.model.caller import Archive, Caller, LocalAdministrator, Transport
from leadglass.model.decision import Decision, Rung, RungState, Step
from leadglass.model.permit import EVERYTHING, NOTHING
from leadglass.policy import PolicyInvalid, check_policy, explain, load_policy, parse_question
from leadglass.policy.decide import admit, decide
from leadglass.policy.invariant import parse_invariant, prove
from leadglass.policy.model import Expectation
from leadglass.policy.moments import moments
from leadglass.policy.narrowest import NoRuleHelps, narrowest_rule
from leadglass.policy.template import TemplateZone, render_policy
from leadglass.policy.tests import newly_failed, run_tests
from tests.support.policies import ALICE, CT1, EXAMPLE, NOW, US1, WS1, policy
from tests.support.said import assert_said

HERE = Path(__file__).parent
POLICY = policy(EXAMPLE)
ROOT = LocalAdministrator("root")
LATER = datetime(2027, 4, 1, tzinfo=UTC)
SHORT = EXAMPLE.partition("[tests]")[0]


def line(decision: Decision) -> str:
    rungs = " / ".join(f"{rung.step}: {rung.state.value} {rung.detail}".rstrip() for rung in decision.ladder)
    where = f"{decision.who} {decision.device} {decision.zone} {decision.site!r}"
    return f"{decision.allowed} {decision.rule}: {where}: {rungs} | {decision.fix}"


def test_administrator_on_the_host_is_told_in_these_words() -> None:
    asked = [(Verb.STATUS, SITE), (Verb.MANAGE, SITE), (Verb.STATUS, ARCHIVE), (Verb.FIND, SITE)]
    decisions = [decide(POLICY, ROOT, Action(verb, target), NOW) for verb, target in asked]
    assert [each.scope for each in decisions] == [EVERYTHING, EVERYTHING, NOTHING, NOTHING]
    assert_said([line(each) for each in decisions], HERE / "said_to_the_administrator.txt")


def test_admissions_are_told_in_these_words() -> None:
    over = policy(SHORT.replace('"get", "move"] }', '"get", "move"], expires = 2026-12-01 }'))
    nothing = policy(SHORT.replace('["zone:reading"]', '["ct1"]'))
    both = policy(
        SHORT.replace("[flows]", '[flows]\nalso = { from = ["ws1"], to = "archive", can = ["store"] }')
    )
    bad = replace(US1, address="not an address")
    asked = [
        (POLICY, WS1, NOW),
        (over, WS1, LATER),
        (nothing, WS1, NOW),
        (both, WS1, NOW),
        (POLICY, bad, NOW),
    ]
    told = []
    for rules, peer, now in asked:
        admission = admit(rules, peer, now)
        assert admission.decision.scope == NOTHING
        told.append(f"{sorted(admission.verbs)}: {line(admission.decision)}")
    assert_said(told, HERE / "said_of_admissions.txt")


@pytest.mark.parametrize(
    ("caller", "action"),
    [
        (Archive("node1"), Action(Verb.STORE, "nowhere")),
        (Archive("node1"), Action(Verb.STORE, "ct1")),
        (Archive("node1"), Action(Verb.STORE, "us1")),
        (replace(ALICE, transport=Transport.PLAIN), Action(Verb.VIEW)),
        (replace(CT1, certificate=None), Action(Verb.STORE)),
        (replace(US1, calling_ae=None), Action(Verb.STORE)),
        (replace(US1, called_ae="SOUTH", called_ae_known=False), Action(Verb.STORE)),
    ],
)
def test_ladder_ends_at_its_failed_rung_and_the_rest_is_empty(caller: Caller, action: Action) -> None:
    decision = decide(POLICY, caller, action, NOW)
    height = [rung.state for rung in decision.ladder].index(RungState.FAILED)
    assert all(rung.state is RungState.PASSED and rung.detail for rung in decision.ladder[:height])
    rest = decision.ladder[height + 1 :]
    assert rest == tuple(Rung(step, RungState.NOT_REACHED, "") for step in list(Step)[height + 1 :])
    assert decision.ladder[height].detail


def test_search_out_of_reach_leaves_the_rest_unreached() -> None:
    night = policy(SHORT.replace('"get", "move"] }', '"get", "move"], only = "label:night" }'))
    decision = explain(night, parse_question("ws1 find archive label=day"), NOW)
    assert decision.ladder[6:] == tuple(Rung(step, RungState.NOT_REACHED, "") for step in list(Step)[6:])


# --- tests of the policy --------------------------------------------------------------------------

BROKEN = (
    SHORT
    + """
[tests]
allow = ["us1 find archive", "us9 find archive", "ct1 store archive"]
deny = ["ct1 store archive", "us1 find archive"]
[invariants]
none = "no path from any to find"
odd = "nothing at all"
fine = "no path from us1 to find"
"""
)


def test_failed_tests_and_invariants_are_told_in_these_words() -> None:
    rules = check_policy(BROKEN, path="policy.toml", now=NOW).policy
    assert rules is not None
    failed = run_tests(rules, NOW)
    assert_said(
        [f"{each.place.line}:{each.place.column}: {each}" for each in failed], HERE / "said_of_tests.txt"
    )
    assert [each.expects for each in failed] == [Expectation.ALLOW] * 2 + [Expectation.DENY] * 3
    assert [each.invariant for each in failed] == ["", "", "", "none", "odd"]
    assert [each.decision is None for each in failed] == [False, True, False, True, True]


def test_only_a_test_that_wants_something_in_and_failed_before_is_passed_over() -> None:
    rules = check_policy(BROKEN, path="policy.toml", now=NOW).policy
    assert rules is not None
    failed = run_tests(rules, NOW)
    assert newly_failed((), rules, NOW) == ()
    assert newly_failed(failed, POLICY, NOW) == failed
    assert newly_failed(failed, rules, NOW) == failed[1:]


def test_refused_policy_names_its_file_and_the_place() -> None:
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(BROKEN, path="draft.toml", now=NOW)
    first = caught.value.findings[0]
    assert (first.path, first.severity.value, first.line) == (
        "draft.toml",
        "error",
        BROKEN.count("\n", 0, BROKEN.index("allow = ")) + 1,
    )
    assert str(first).startswith("draft.toml:")
    with pytest.raises(PolicyInvalid) as unread:
        load_policy("version = ", path="draft.toml", now=NOW)
    assert [each.path for each in unread.value.findings] == ["draft.toml"]


# --- invariants and rules -------------------------------------------------------------------------


def test_every_cell_that_an_invariant_is_about_is_counted_once() -> None:
    invariant = parse_invariant("no path from us1 to find", POLICY)
    assert invariant.text == "no path from us1 to find"
    verdict = prove(POLICY, invariant, NOW)
    assert (verdict.holds, verdict.examined) == (True, 16)
    shown = prove(POLICY, parse_invariant("no path from ws1 to find", POLICY), NOW)
    assert (shown.holds, shown.examined) == (False, 1)


@pytest.mark.parametrize(
    ("question", "where"),
    [
        ("us1 store archive ip=10.20.9.9", None),
        ("archive find night", 'verb: find on "night" is never given to the archive itself'),
    ],
)
def test_why_no_rule_helps_is_told_in_these_words(question: str, where: str | None) -> None:
    asked = parse_question(question)
    with pytest.raises(NoRuleHelps) as caught:
        narrowest_rule(POLICY, asked, NOW)
    decision = explain(POLICY, asked, NOW)
    assert decision.failed is not None
    told = where or f"device: {decision.failed.detail}; {decision.fix}"
    assert str(caught.value) == f"no further rule would permit it: {told}"


def test_fresh_policy_is_written_in_these_words() -> None:
    zones = (
        TemplateZone("modalities", ("10.1.0.0/16",), Transport.MTLS, comment="scanners"),
        TemplateZone("reading", (), Transport.MTLS),
        TemplateZone("legacy", ("10.9.0.0/28",), Transport.PLAIN, NOW.date(), "old"),
        TemplateZone("spare", ("10.8.0.0/28",), Transport.MTLS),
    )
    assert_said(render_policy("North", zones).splitlines(), HERE / "said_by_a_fresh_policy.txt")


# --- what chance mutations of the code once left unnoticed ------------------------------------------

PEOPLE = SHORT.replace('on = "any"', 'on = ["study:1.2", "study:1.3"]')
BERLIN = 'time_zone = "Europe/Berlin"\n'


def scope_of(text: str, caller: Caller, verb: Verb) -> str:
    return decide(policy(text), caller, Action(verb), NOW).ladder[5].detail


def test_reach_is_told_in_words() -> None:
    several = SHORT.replace('"get", "move"] }', '"get", "move"], only = ["modality:MR", "modality:CT"] }')
    assert scope_of(several, WS1, Verb.GET) == "only modality CT or MR"
    assert scope_of(PEOPLE, ALICE, Verb.VIEW) == "only study 1.2 or 1.3"
    assert scope_of(SHORT, WS1, Verb.GET) == "everything"


def test_every_ladder_has_all_rungs_in_order() -> None:
    decisions = [
        decide(POLICY, Archive("node1"), Action(Verb.STORE, "ws1"), NOW),
        decide(POLICY, WS1, Action(Verb.GET), NOW),
        decide(POLICY, ALICE, Action(Verb.VIEW), NOW),
    ]
    for decision in decisions:
        assert decision.allowed
        assert [rung.step for rung in decision.ladder] == list(Step)


@pytest.mark.parametrize(
    ("transport", "address", "told"),
    [
        (Transport.PLAIN, "10.20.9.3", "people do not come in plaintext"),
        (Transport.MTLS, "10.20.3.40", "people do not come over DICOM"),
    ],
)
def test_person_who_comes_like_a_machine_is_told_to_use_https(
    transport: Transport, address: str, told: str
) -> None:
    decision = decide(POLICY, replace(ALICE, transport=transport, address=address), Action(Verb.VIEW), NOW)
    assert decision.failed == Rung(Step.TRANSPORT, RungState.FAILED, told)
    assert decision.fix == "use https"


def test_days_begin_at_midnight_of_the_policy() -> None:
    days = policy(BERLIN + SHORT.replace('"get", "move"] }', '"get", "move"], weekdays = "mon-fri" }'))
    first, *later = moments(days, NOW)
    assert first == NOW
    assert {(each.hour, each.minute) for each in later} == {(0, 0)}
    assert len(later) == 7


def test_whole_inventory_of_a_device_is_read() -> None:
    words = ("owner", "location", "vendor", "model", "serial", "software", "note")
    said = ", ".join(f'{word} = "its {word}"' for word in words)
    full = policy(SHORT.replace("ct1  = {", f"ct1  = {{ {said},").replace(', owner = "radiology"', ""))
    inventory = full.devices["ct1"].inventory
    assert [getattr(inventory, word) for word in words] == [f"its {word}" for word in words]
    bare = full.devices["night"].inventory
    assert {getattr(bare, word) for word in words} == {""}


def test_age_in_a_flow_is_by_the_clock_of_the_policy() -> None:
    aged = policy(BERLIN + SHORT.replace('"get", "move"] }', '"get", "move"], older_than = "1d" }'))
    late = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)  # the 23rd in Berlin
    assert decide(aged, WS1, Action(Verb.GET), late).scope.alternatives[0].studied_to == date(2026, 11, 21)


@pytest.mark.parametrize(
    ("only", "place"),
    [('["label:a", "label:b c"]', 12), ('["modality:CT", "modality:ct"]', 16)],
)
def test_word_of_a_list_is_named_by_its_own_place(only: str, place: int) -> None:
    line = f'read = {{ from = ["ws1"], to = "archive", can = ["get"], only = {only} }}'
    before, _, rest = SHORT.partition("read     =")
    checked = check_policy(before + line + rest[rest.index("\n") :], path="p", now=NOW)
    (found,) = checked.findings
    assert found.column == line.index("only = ") + 1 + len("only = ") + place
