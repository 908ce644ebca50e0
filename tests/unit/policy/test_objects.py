"""Which objects a rule is about, and what of them it shows: read, decided, explained, compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from leadglass.dataset.tags import BY_TAG
from leadglass.model.action import Action, Facts, Verb
from leadglass.model.caller import Archive
from leadglass.model.decision import Decision, Step
from leadglass.model.names import Uid
from leadglass.model.permit import NOTHING, Scope, ScopeFilter
from leadglass.policy import check_policy, explain, parse_question
from leadglass.policy.attributes import ALWAYS_SHOWN, ATTRIBUTES
from leadglass.policy.decide import decide
from leadglass.policy.reach import compare, reach
from leadglass.policy.scope import reaches
from tests.support.policies import ALICE, CT1, EXAMPLE, NOW, WS1, policy
from tests.support.said import assert_said

HERE = Path(__file__).parent
CT_CLASS, MR_CLASS = Uid("1.2.840.10008.5.1.4.1.1.2"), Uid("1.2.840.10008.5.1.4.1.1.4")
HEAD = """
version = 1
time_zone = "Europe/Berlin"
[zones]
m = { cidr = ["10.20.1.0/24"], transport = "mtls" }
r = { cidr = ["10.20.3.0/24"], transport = ["mtls", "https"] }
[devices]
ct1 = { zone = "m", ae = ["CT1"], site = "NORTH" }
us1 = { zone = "m", ae = ["US1"], site = "NORTH" }
mr9 = { zone = "m", ae = ["MR9"], site = "SOUTH" }
ws1 = { zone = "r", ae = ["WS1"], address = "10.20.3.11:11112" }
[groups]
rads = ["role:radiologist"]
"""
FIND = '[flows.f]\nfrom = ["ct1", "ws1"]\nto = "archive"\ncan = ["find", "get", "store"]\n'
GRANT = '[grants.g]\nwho = "rads"\nfrom = ["r"]\ncan = ["list", "view"]\n'
SENT = '[flows.s]\nfrom = ["archive"]\nto = "ws1"\ncan = ["store"]\n'


def findings(text: str) -> list[str]:
    checked = check_policy(HEAD + text, path="p", now=NOW)
    return [str(each).partition(": ")[2] for each in checked.findings]


def scope(text: str, verb: Verb = Verb.GET) -> Scope:
    decision = decide(policy(HEAD + FIND + text), WS1, Action(verb), NOW)
    assert decision.allowed
    return decision.scope


def asked(text: str, question: str) -> Decision:
    return explain(policy(HEAD + text), parse_question(question), NOW)


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "filtered"),
    [
        ('only = "sop_class:CTImageStorage"', ScopeFilter(sop_classes=frozenset({CT_CLASS}))),
        (f'only = "sop_class:{MR_CLASS}"', ScopeFilter(sop_classes=frozenset({MR_CLASS}))),
        ('only = "own"', ScopeFilter(senders=frozenset({"ws1"}))),
        ('newer_than = "90d"', ScopeFilter(studied_from=date(2026, 8, 24))),
        ('older_than = "12w"', ScopeFilter(studied_to=date(2026, 8, 29))),
        (
            'newer_than = "2y"\nolder_than = "1y"',
            ScopeFilter(studied_from=date(2024, 11, 22), studied_to=date(2025, 11, 21)),
        ),
        (
            'only = ["label:night", "own", "modality:CT", "modality:MR"]',
            ScopeFilter(
                labels=frozenset({"night"}), modalities=frozenset({"CT", "MR"}), senders=frozenset({"ws1"})
            ),
        ),
    ],
)
def test_search_is_narrowed_to_what_the_rule_names(line: str, filtered: ScopeFilter) -> None:
    assert scope(line) == Scope((filtered,))


def test_age_is_counted_by_the_calendar_of_the_site() -> None:
    loaded = policy(HEAD + FIND + 'newer_than = "1d"')
    late = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)  # the 23rd in Berlin
    decision = decide(loaded, WS1, Action(Verb.GET), late)
    assert decision.scope.alternatives[0].studied_from == date(2026, 11, 22)


def test_devices_of_one_site_share_what_is_their_own() -> None:
    loaded = policy(HEAD + FIND + 'only = "own"')
    decision = decide(loaded, CT1, Action(Verb.FIND), NOW)
    assert decision.scope == Scope((ScopeFilter(senders=frozenset({"ct1", "us1"})),))


@pytest.mark.parametrize(
    ("line", "filtered"),
    [
        ('on = "assigned"', ScopeFilter(labels=frozenset({"assigned.alice"}))),
        ('on = "label:night"', ScopeFilter(labels=frozenset({"night"}))),
        ('on = ["study:1.2.3", "study:1.2.4"]', ScopeFilter(studies=frozenset({Uid("1.2.3"), Uid("1.2.4")}))),
        (
            'on = "any"\nonly = "modality:CT"\nnewer_than = "1w"',
            ScopeFilter(modalities=frozenset({"CT"}), studied_from=date(2026, 11, 15)),
        ),
    ],
)
def test_grant_reaches_what_it_is_on(line: str, filtered: ScopeFilter) -> None:
    decision = decide(policy(HEAD + GRANT + line), ALICE, Action(Verb.VIEW), NOW)
    assert decision.scope == Scope((filtered,))


MISTAKES = [
    (FIND + "only = []", 'error: "only" is empty; name what is meant, or leave only out'),
    (
        FIND + 'only = "series:1"',
        'error: "series:1" is not understood; write "label:night" or "modality:CT" or "sop_class:CT',
    ),
    (FIND + 'only = "owner"', 'error: "owner" is not understood; write'),
    (
        FIND + 'only = "sop_class:CTImageStorag"',
        'error: unknown SOP class "CTImageStorag"; did you mean "CTImageStorage"?',
    ),
    (FIND + 'only = "sop_class:1..2"', 'error: "1..2" is no UID; copy it whole'),
    (FIND + 'only = "sop_class:CT*"', 'error: "sop_class:CT*" is a wildcard'),
    (FIND + 'only = "sop_class:1.*"', 'error: "sop_class:1.*" is a wildcard'),
    (
        FIND + 'newer_than = "soon"',
        'error: "soon" is no age; write "90d", "12w" or "2y"',
    ),
    (FIND + 'newer_than = "101y"', 'error: "101y" is no age'),
    (FIND + 'older_than = "0d"', 'error: "0d" is no age'),
    (
        FIND + 'older_than = "30d"\nnewer_than = "30d"',
        "error: no study is both; older_than must be the smaller of the two",
    ),
    (
        FIND.replace('"get", ', "") + 'show = ["PatientNam"]',
        'error: "show" has unknown "PatientNam"; did you mean "PatientName"?',
    ),
    (GRANT + "on = []", 'error: "on" is empty; write "any" for everything'),
    (
        GRANT + 'on = ["any", "label:x"]',
        'error: "any" is not understood; write "any" alone',
    ),
    (GRANT + 'on = ["label:x", "study:1.2"]', 'error: "on" says things of different kinds; make several'),
    (GRANT + 'on = ["assigned", "label:x"]', 'error: "on" says things of different kinds'),
    (
        GRANT + 'on = "assignedto"',
        'error: "assignedto" is not understood; write "any" alone or "assigned"',
    ),
    (GRANT + 'on = "study:*"', 'error: "study:*" is a wildcard'),
    (GRANT + 'on = "any"\nonly = "own"', 'error: "own" is not understood; write "modality:CT"'),
    (GRANT + 'on = "any"\nneed = ["reson"]', 'error: "need" has unknown "reson"; did you mean "reason"?'),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_each_mistake_is_named(text: str, message: str) -> None:
    assert findings(text)[0].startswith(message)


def test_each_mistake_about_objects_is_told_in_these_words() -> None:
    assert_said([found for text, _ in MISTAKES for found in findings(text)], HERE / "said_of_objects.txt")


def test_show_beside_what_is_given_whole_is_warned_of() -> None:
    (found,) = findings(FIND + 'show = ["StudyDate"]')
    assert found.startswith('warning: "show" bounds what queries answer; what get brings is whole; take get')
    assert findings(FIND.replace('"get", ', "") + 'show = ["StudyDate"]') == []


def test_attributes_are_those_of_the_index() -> None:
    assert {entry.keyword for entry in BY_TAG.values()} == ATTRIBUTES


# --- one object ----------------------------------------------------------------------------------


def test_what_a_device_stores_is_its_own() -> None:
    loaded = policy(HEAD + FIND + 'only = "own"')
    assert decide(loaded, CT1, Action(Verb.STORE), NOW).allowed
    assert decide(loaded, CT1, Action(Verb.GET), NOW).scope != NOTHING


@pytest.mark.parametrize(
    ("line", "facts", "allowed"),
    [
        ('only = "own"', Facts(sender="ws1"), True),
        ('only = "own"', Facts(sender="ct1"), False),
        ('only = "sop_class:CTImageStorage"', Facts(sop_class=CT_CLASS), True),
        ('only = "sop_class:CTImageStorage"', Facts(sop_class=MR_CLASS), False),
        ('newer_than = "30d"', Facts(study_date=date(2026, 11, 1)), True),
        ('newer_than = "30d"', Facts(study_date=date(2026, 10, 1)), False),
        ('older_than = "30d"', Facts(study_date=date(2026, 11, 1)), False),
    ],
)
def test_object_that_is_sent_must_meet_the_rule(line: str, facts: Facts, *, allowed: bool) -> None:
    loaded = policy(HEAD + SENT + line)
    question = Action(Verb.STORE, "ws1", facts)
    decision = decide(loaded, Archive("node1"), question, NOW)
    assert decision.allowed is allowed
    if not allowed:
        assert decision.failed is not None
        assert decision.failed.step is Step.SCOPE


@pytest.mark.parametrize(
    ("filtered", "facts", "reached"),
    [
        (ScopeFilter(), Facts(), True),
        (ScopeFilter(labels=frozenset({"a"})), Facts(labels=frozenset({"a", "b"})), True),
        (ScopeFilter(labels=frozenset({"a"})), Facts(), False),
        (ScopeFilter(modalities=frozenset({"CT"})), Facts(modality="MR"), False),
        (ScopeFilter(sop_classes=frozenset({CT_CLASS})), Facts(sop_class=CT_CLASS), True),
        (ScopeFilter(senders=frozenset({"ct1"})), Facts(), False),
        (ScopeFilter(studies=frozenset({Uid("1.2")})), Facts(study=Uid("1.2")), True),
        (ScopeFilter(studied_from=date(2026, 1, 1)), Facts(), False),
        (ScopeFilter(studied_from=date(2026, 1, 1)), Facts(study_date=date(2026, 1, 1)), True),
        (ScopeFilter(studied_to=date(2026, 1, 1)), Facts(study_date=date(2026, 1, 2)), False),
        (ScopeFilter(shows=frozenset({"StudyDate"})), Facts(attributes=frozenset({"StudyDate"})), True),
        (ScopeFilter(shows=frozenset({"StudyDate"})), Facts(attributes=frozenset({"PatientID"})), False),
        (ScopeFilter(shows=frozenset()), Facts(attributes=ALWAYS_SHOWN), True),
    ],
)
def test_scope_in_memory_reaches_what_it_says(filtered: ScopeFilter, facts: Facts, *, reached: bool) -> None:
    assert reaches(Scope((filtered,)), facts) is reached
    assert not reaches(NOTHING, facts)


# --- what is shown -------------------------------------------------------------------------------


def test_only_queries_are_bound_by_what_a_rule_shows() -> None:
    line = 'show = ["StudyDate", "Modality", "StudyInstanceUID"]'
    shown = ScopeFilter(shows=frozenset({"StudyDate", "Modality"}))
    assert scope(line, Verb.FIND) == Scope((shown,))
    assert scope(line, Verb.GET).alternatives == (ScopeFilter(),)


def test_query_that_matches_on_what_is_not_shown_is_refused_with_the_attribute() -> None:
    loaded = policy(HEAD + FIND + 'show = ["StudyDate"]')
    facts = Facts(attributes=frozenset({"PatientName", "StudyDate"}))
    decision = decide(loaded, WS1, Action(Verb.FIND, facts=facts), NOW)
    assert decision.failed is not None
    assert (decision.failed.step, decision.failed.detail) == (
        Step.SCOPE,
        "flows.f.show does not show PatientName, so nothing is matched on it",
    )
    assert decision.fix == "add PatientName to flows.f.show if that is really needed"


def test_only_rules_that_show_what_is_matched_carry_a_query() -> None:
    second = FIND.replace("flows.f", "flows.h") + 'only = "modality:CT"\nshow = ["StudyDate", "PatientID"]\n'
    loaded = policy(HEAD + FIND + 'show = ["StudyDate"]\n' + second)
    by_date = decide(loaded, WS1, Action(Verb.FIND, facts=Facts(attributes=frozenset({"StudyDate"}))), NOW)
    by_number = decide(loaded, WS1, Action(Verb.FIND, facts=Facts(attributes=frozenset({"PatientID"}))), NOW)
    assert len(by_date.scope.alternatives) == 2
    assert by_number.rule == "flow h"
    assert by_number.scope.alternatives[0].modalities == frozenset({"CT"})


# --- people --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("need", "given", "allowed"),
    [
        ('["reason"]', {"reason": "referred by the ward"}, True),
        ('["reason"]', {}, False),
        ('["approval"]', {"approved_by": "bob"}, True),
        ('["approval"]', {"approved_by": "Alice"}, False),
        ('["approval", "reason", "mfa"]', {"approved_by": "bob", "reason": "second opinion"}, True),
        ('["approval", "reason", "mfa"]', {"approved_by": "bob"}, False),
    ],
)
def test_grant_asks_for_a_reason_and_for_somebody_else_s_approval(
    need: str, given: dict[str, str], *, allowed: bool
) -> None:
    loaded = policy(HEAD + GRANT + f'on = "any"\nneed = {need}')
    decision = decide(loaded, replace(ALICE, **given), Action(Verb.VIEW), NOW)  # type: ignore[arg-type]
    assert decision.allowed is allowed
    if not allowed:
        assert decision.failed is not None
        assert decision.failed.step is Step.CONDITIONS


# --- questions and the whole space ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "question", "allowed"),
    [
        (FIND + 'only = "own"', "ct1 find archive", True),
        (FIND + 'only = "own"', "ct1 find archive sender=us1", True),
        (FIND + 'only = "own"', "ct1 find archive sender=mr9", False),
        (FIND + 'only = "label:night"', "ws1 get archive label=day", False),
        (FIND + 'only = "label:night"', "ws1 get archive label=night", True),
        (FIND + 'only = "sop_class:CTImageStorage"', "ws1 get archive sop_class=MRImageStorage", False),
        (FIND + 'only = "sop_class:CTImageStorage"', f"ws1 get archive sop_class={CT_CLASS}", True),
        (FIND + 'newer_than = "90d"', "ws1 find archive age=90d", True),
        (FIND + 'newer_than = "90d"', "ws1 find archive age=91", False),
        (FIND + 'older_than = "90d"', "ws1 find archive age=91d at=2026-12-24T23:00", True),
        (FIND + 'show = ["StudyDate"]', "ws1 find archive show=PatientName", False),
        (FIND + 'show = ["StudyDate"]', "ws1 find archive show=StudyDate", True),
        (GRANT + 'on = "assigned"', "rads view any label=assigned.rads", True),
        (GRANT + 'on = "assigned"', "rads view any label=assigned.bob", False),
        (GRANT + 'on = "study:1.2.3"', "rads view any study=1.2.3", True),
        (GRANT + 'on = "study:1.2.3"', "rads view any study=1.2.4", False),
        (GRANT + 'on = "any"\nneed = ["reason", "approval"]', "rads view any reason approved", True),
        (GRANT + 'on = "any"\nneed = ["reason", "approval"]', "rads view any reason", False),
    ],
)
def test_question_says_what_is_to_be_found(text: str, question: str, *, allowed: bool) -> None:
    decision = asked(text, question)
    assert decision.allowed is allowed
    assert allowed or decision.scope == NOTHING
    assert [rung.step for rung in decision.ladder] == list(Step)


def test_search_out_of_reach_is_explained_at_the_scope() -> None:
    decision = asked(FIND + 'only = "label:night"', "ws1 get archive label=day")
    assert decision.failed is not None
    assert str(decision.failed.step) == "scope"
    assert decision.failed.detail == "only label night: such an object is not reached"


@pytest.mark.parametrize(
    ("before", "after", "opened", "closed"),
    [
        (
            '"move"] }',
            '"move"], only = "sop_class:CTImageStorage" }',
            [],
            "ws1 find archive sop_class=any other, transport=mtls",
        ),
        (
            '"move"] }',
            '"move"], newer_than = "90d" }',
            [],
            "ws1 find archive age=91d or unknown, transport=mtls",
        ),
        ('"move"] }', '"move"], only = "own" }', [], "ws1 find archive sender=any other, transport=mtls"),
        (
            '"move"] }',
            '"move"], show = ["StudyDate", "Modality"] }',
            [],
            "ws1 find archive show=any other, transport=mtls",
        ),
        (
            'need = ["mfa"]',
            'need = ["mfa", "reason"]',
            [],
            "rads view any mfa, without reason",
        ),
        (
            'need = ["mfa"]',
            'need = ["mfa", "approval"]',
            [],
            "rads view any mfa, without approved",
        ),
        ('on = "any"', 'on = "assigned"', [], "rads view any label=none, mfa"),
        ('on = "any"', 'on = "study:1.2.3"', [], "rads view any study=any other, mfa"),
    ],
)
def test_narrower_rule_closes_the_rest_and_going_back_opens_it(
    before: str, after: str, opened: list[str], closed: str
) -> None:
    assert before in EXAMPLE
    changed = check_policy(EXAMPLE.replace(before, after), path="p", now=NOW).policy
    assert changed is not None
    difference = compare(policy(EXAMPLE), changed, NOW)
    assert [str(each) for each in difference.opened] == opened
    assert closed in [str(each) for each in difference.closed], difference.closed
    assert compare(changed, policy(EXAMPLE), NOW).opened == difference.closed


def test_reach_tells_objects_and_attributes() -> None:
    lines = [str(each) for each in reach(policy(HEAD + FIND + 'only = "own"\nshow = ["StudyDate"]'), NOW)]
    assert "ct1 find archive sender=ct1 or us1, show=StudyDate" in lines
    assert "ct1 get archive sender=ct1 or us1" in lines
    assert "ct1 store archive" in lines
