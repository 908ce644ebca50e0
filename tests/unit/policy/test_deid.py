"""``deid``: read, decided, explained, compared, and as narrow as it says."""

from __future__ import annotations

import pytest

from leadglass.dataset.deidentify.judge import Action as Becomes
from leadglass.dataset.deidentify.judge import listed
from leadglass.dataset.dictionary import keywords
from leadglass.model.action import Action, Facts, Verb
from leadglass.model.caller import Archive
from leadglass.model.decision import Decision, Step
from leadglass.model.permit import Release, Scope, ScopeFilter
from leadglass.policy import check_policy, explain, parse_question
from leadglass.policy.attributes import ALWAYS_SHOWN, ATTRIBUTES, IDENTIFYING, UNIDENTIFYING
from leadglass.policy.decide import decide
from leadglass.policy.invariant import parse_invariant
from leadglass.policy.narrowest import narrowest_rule
from leadglass.policy.question import QuestionInvalid
from leadglass.policy.reach import compare, reach
from leadglass.policy.scope import reaches, release_of
from tests.support.policies import NOW, WS1, policy

HEAD = """
version = 1
[zones]
r = { cidr = ["10.20.3.0/24"], transport = "mtls" }
[devices]
ws1 = { zone = "r", ae = ["WS1"], address = "10.20.3.11:11112" }
[flows]
"""
BARE = 'bare = { from = ["ws1"], to = "archive", can = ["echo", "find", "get", "move"], deid = "basic" }\n'
WHOLE = 'whole = { from = ["ws1"], to = "archive", can = ["echo", "find", "get", "move"] }\n'
CT = 'ct = { from = ["ws1"], to = "archive", can = ["find", "get"], only = "modality:CT" }\n'
OUT = 'out = { from = ["archive"], to = "ws1", can = ["echo", "store"], deid = "basic" }\n'
WHOLE_OUT = 'whole-out = { from = ["archive"], to = "ws1", can = ["store"], only = "modality:CT" }\n'
SHOW = 'show = { from = ["ws1"], to = "archive", can = ["find"], show = ["StudyDate"] }\n'


def decided(flows: str, verb: Verb, facts: Facts | None = None) -> Decision:
    return decide(policy(HEAD + flows), WS1, Action(verb, facts=facts or Facts()), NOW)


def sent(flows: str, modality: str) -> Decision:
    action = Action(Verb.STORE, "ws1", Facts(modality=modality))
    return decide(policy(HEAD + flows), Archive("NORTH"), action, NOW)


def asked(flows: str, question: str) -> Decision:
    return explain(policy(HEAD + flows), parse_question(question), NOW)


def findings(flows: str) -> list[str]:
    checked = check_policy(HEAD + flows, path="p", now=NOW)
    return [str(each).partition(": ")[2] for each in checked.findings if "error" in str(each)]


def test_what_queries_hide_is_what_the_profile_takes() -> None:
    taken = {word for word, tag in keywords().items() if listed().get(tag, Becomes.KEEP) is not Becomes.KEEP}
    assert ATTRIBUTES & taken == IDENTIFYING
    assert UNIDENTIFYING == ATTRIBUTES - IDENTIFYING - ALWAYS_SHOWN


# --- read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flow", "error"),
    [
        (
            BARE.replace("basic", "basik"),
            'error: "basik" is no way to de-identify; did you mean "basic"?',
        ),
        (
            BARE.replace('"move"', '"store"'),
            (
                'error: "deid" is about what goes out, and store lets nothing out; '
                "give store in a flow of its own, without deid"
            ),
        ),
        (
            BARE.replace('"move"', '"worklist", "mpps"'),
            (
                'error: "deid" is about what goes out, and mpps lets nothing out; '
                "give mpps and worklist in a flow of its own, without deid"
            ),
        ),
        (
            'a = { from = ["ws1"], to = "archive", can = ["echo"], deid = "basic" }',
            (
                'error: "deid" is about what goes out, and this flow lets nothing out; '
                "add find or get or move, or remove deid"
            ),
        ),
        (
            OUT.replace(', "store"', ""),
            'error: "deid" is about what goes out, and this flow lets nothing out; add store, or remove deid',
        ),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(flow: str, error: str) -> None:
    assert error in findings(flow)


def test_what_is_right_is_taken() -> None:
    assert findings(BARE + OUT) == []


# --- decided -------------------------------------------------------------------------------------


def test_retrieval_reaches_without_identity_but_for_what_another_rule_gives() -> None:
    bare = ScopeFilter(release=Release.DEIDENTIFIED)
    assert decided(BARE, Verb.GET).scope == Scope((bare,))
    both = decided(BARE + CT, Verb.GET).scope
    assert both == Scope((bare, ScopeFilter(modalities=frozenset({"CT"}))))
    assert release_of(both, Facts(modality="CT")) is Release.WHOLE
    assert release_of(both, Facts(modality="MR")) is Release.DEIDENTIFIED
    assert release_of(both, Facts()) is Release.DEIDENTIFIED
    assert decided(BARE + WHOLE, Verb.GET).scope == Scope((ScopeFilter(),))


def test_query_shows_and_matches_on_nothing_that_identifies() -> None:
    (shown,) = decided(BARE, Verb.FIND).scope.alternatives
    assert shown.shows == UNIDENTIFYING
    refused = decided(BARE, Verb.FIND, Facts(attributes=frozenset({"PatientName", "Modality"})))
    assert refused.failed is not None
    assert (refused.failed.step, refused.failed.detail) == (
        Step.SCOPE,
        "flows.bare.deid does not tell PatientName, so nothing is matched on it",
    )
    narrow = BARE.replace(" }", ', show = ["StudyDate", "Modality"] }')
    (shown,) = decided(narrow, Verb.FIND).scope.alternatives
    assert shown.shows == frozenset({"Modality"})
    assert not decided(BARE, Verb.GET, Facts(attributes=frozenset({"PatientID"}))).allowed
    by_number = decided(BARE + CT, Verb.GET, Facts(attributes=frozenset({"PatientID"})))
    assert by_number.scope == Scope((ScopeFilter(modalities=frozenset({"CT"})),))


def test_what_the_archive_sends_goes_whole_where_a_rule_says_so() -> None:
    for flows in (OUT + WHOLE_OUT, WHOLE_OUT + OUT):
        assert (sent(flows, "CT").release, sent(flows, "CT").rule) == (Release.WHOLE, "flow whole-out")
        assert (sent(flows, "MR").release, sent(flows, "MR").rule) == (Release.DEIDENTIFIED, "flow out")
    assert "without identity" in sent(OUT, "MR").ladder[list(Step).index(Step.SCOPE)].detail
    assert decide(policy(HEAD + OUT), Archive("NORTH"), Action(Verb.ECHO, "ws1"), NOW).allowed


# --- asked and compared --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flows", "question", "allowed"),
    [
        (BARE, "ws1 get archive", True),
        (BARE, "ws1 get archive identity=removed", True),
        (BARE, "ws1 get archive identity=kept", False),
        (BARE, "ws1 find archive identity=kept", False),
        (BARE, "ws1 find archive show=PatientName", False),
        (BARE, "ws1 find archive show=Modality", True),
        (WHOLE, "ws1 get archive identity=kept", True),
        (WHOLE, "ws1 get archive identity=removed", True),
        (BARE + CT, "ws1 get archive modality=CT identity=kept", True),
        (BARE + CT, "ws1 get archive modality=MR identity=kept", False),
        (OUT, "archive store ws1 identity=kept", False),
        (OUT, "archive store ws1", True),
    ],
)
def test_questions_ask_for_identity(flows: str, question: str, *, allowed: bool) -> None:
    assert asked(flows, question).allowed is allowed


def test_refusal_says_what_lets_nothing_out_with_identity() -> None:
    refused = asked(BARE, "ws1 get archive identity=kept")
    assert refused.failed is not None
    assert refused.failed.detail == "flows.bare.deid lets nothing out with its identity"
    assert refused.fix == "write a flow without deid for what get needs whole"
    with pytest.raises(QuestionInvalid, match="write identity=kept or identity=removed"):
        parse_question("ws1 get archive identity=gone")
    assert reaches(Scope((ScopeFilter(),)), Facts(identity=True))
    assert not reaches(Scope((ScopeFilter(release=Release.DEIDENTIFIED),)), Facts(identity=True))


@pytest.mark.parametrize(
    ("before", "after", "opened"),
    [
        (
            BARE,
            WHOLE,
            [f"ws1 {verb} archive identity=kept, transport=mtls" for verb in ["find", "get", "move"]],
        ),
        (OUT, OUT.replace(', deid = "basic"', ""), ["archive store ws1 identity=kept"]),
        (
            BARE,
            BARE + CT,
            [
                "ws1 find archive modality=CT, identity=kept, transport=mtls",
                "ws1 get archive modality=CT, identity=kept, transport=mtls",
            ],
        ),
        (WHOLE, WHOLE + BARE, []),
        ("", OUT, ["archive echo ws1", "archive store ws1 identity=removed"]),
    ],
)
def test_identity_is_an_opening(before: str, after: str, opened: list[str]) -> None:
    old, new = policy(HEAD + before), policy(HEAD + after)
    difference = compare(old, new, NOW)
    assert [str(each) for each in difference.opened] == opened
    assert difference.closed == ()
    assert compare(new, old, NOW).closed == difference.opened


def test_reach_and_shows_beside_it_are_told() -> None:
    lines = [str(each) for each in reach(policy(HEAD + BARE + SHOW + OUT), NOW)]
    assert "ws1 get archive identity=removed" in lines
    assert "archive store ws1 identity=removed" in lines
    opened = compare(policy(HEAD + SHOW), policy(HEAD + SHOW + BARE), NOW).opened
    # The dates that the other rule shows stay as they were; what tells nobody opens, and no name does.
    assert [str(each) for each in opened if each.verb is Verb.FIND] == [
        "ws1 find archive show=AcquisitionNumber, identity=removed, transport=mtls"
    ]


def test_narrowest_rule_takes_identity_where_that_is_asked() -> None:
    empty = policy(HEAD)
    rule = narrowest_rule(empty, parse_question("ws1 get archive identity=removed"), NOW)
    assert rule.entry == {"from": ("ws1",), "to": "archive", "can": ("get",), "deid": "basic"}
    rule = narrowest_rule(policy(HEAD + BARE), parse_question("ws1 get archive identity=kept"), NOW)
    assert rule.entry == {"from": ("ws1",), "to": "archive", "can": ("get",)}


def test_invariant_sees_it_as_any_other_path() -> None:
    loaded = policy(HEAD + BARE)
    assert parse_invariant("no path from ws1 to store", loaded).text
