"""``per_hour``: how it is read, what holds where it is silent, and what a change of it opens and closes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leadglass.model.action import Action, Facts, Verb
from leadglass.model.usage import Usage
from leadglass.policy import Policy, parse_question
from leadglass.policy.check import check_policy
from leadglass.policy.condition import Asked
from leadglass.policy.conditions.per_hour import HARVEST, PerHour
from leadglass.policy.decide import decide
from leadglass.policy.explain import explain
from leadglass.policy.question import QuestionInvalid
from leadglass.policy.reach import compare
from tests.support.policies import ALICE, EXAMPLE, NOW, WS1, policy

READ = 'can = ["echo", "find", "get", "move"]'
GRANT = 'need = ["mfa"]'


def reading(budget: str, text: str = EXAMPLE) -> str:
    return text.replace(READ, f"{READ}, per_hour = {budget}")


def everywhere(budget: str) -> str:
    return EXAMPLE.replace("[zones]", f"per_hour = {budget}\n[zones]")


def findings(text: str) -> list[str]:
    return [str(finding) for finding in check_policy(text, path="p", now=NOW).findings]


def test_what_is_built_in_holds_where_the_policy_is_silent() -> None:
    silent = policy(EXAMPLE)
    assert silent.flows["read"].harvest == replace(HARVEST, where="flows.read.per_hour")
    assert silent.grants["home"].harvest == replace(HARVEST, where="grants.home.per_hour")
    assert silent.flows["read"].budget is None


def test_a_number_alone_counts_stores() -> None:
    flow = policy(EXAMPLE).flows["old-us"]
    assert flow.budget == PerHour("flows.old-us.per_hour", objects=600)
    assert flow.harvest.objects == HARVEST.objects


def test_a_table_bounds_what_it_names_and_the_rest_stays() -> None:
    flow = policy(reading('{ bytes = "20 GB", patients = 40 }')).flows["read"]
    assert flow.harvest == PerHour("flows.read.per_hour", HARVEST.objects, 20 * 10**9, 40)
    assert flow.budget == PerHour("flows.read.per_hour", None, 20 * 10**9, 40)


def test_the_top_of_the_file_holds_for_every_rule_that_says_nothing_else() -> None:
    both = policy(reading("{ objects = 7 }", everywhere('{ objects = 5, bytes = "3TB", patients = 9 }')))
    assert both.flows["read"].harvest == PerHour("flows.read.per_hour", 7, 3 * 10**12, 9)
    assert both.grants["home"].harvest == PerHour("grants.home.per_hour", 5, 3 * 10**12, 9)
    assert both.flows["old-us"].budget == PerHour("flows.old-us.per_hour", objects=600)


def test_a_grant_has_a_budget_of_its_own() -> None:
    grant = policy(EXAMPLE.replace(GRANT, f"{GRANT}, per_hour = {{ patients = 30 }}")).grants["home"]
    assert grant.harvest == PerHour("grants.home.per_hour", HARVEST.objects, HARVEST.size_bytes, 30)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (reading("{ objects = 0 }"), '"objects" must be from 1 to 10000000'),
        (reading("{ patients = 1_000_001 }"), '"patients" must be from 1 to 1000000'),
        (reading('{ bytes = "20" }'), '"20" is no amount of bytes; write it like "20 GB", in MB, GB or TB'),
        (reading('{ bytes = "0 GB" }'), '"0 GB" is no amount of bytes'),
        (reading("{ bytes = 20 }"), '"bytes" must be a string, not a number'),
        (reading("{ patient = 20 }"), 'unknown key "patient"; did you mean "patients"?'),
        (reading('"many"'), '"per_hour" must be a whole number, not a string'),
        (everywhere("600"), '"per_hour" must be a table, not a number'),
        (EXAMPLE.replace(GRANT, f"{GRANT}, per_hour = 600"), '"per_hour" must be a table, not a number'),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    assert any(said in finding for finding in findings(text)), findings(text)


def test_a_number_alone_where_nothing_is_stored_is_warned_of() -> None:
    [said] = findings(reading("600"))
    assert "warning: a number alone counts stores, and flow read gives none" in said
    assert "write per_hour = { objects = 600 }" in said
    assert findings(reading("{ objects = 600 }")) == []


@pytest.mark.parametrize(
    ("question", "allowed"),
    [
        ("ws1 find archive patients=39", True),
        ("ws1 find archive patients=40", False),
        ("ws1 find archive objects=100 bytes=20000000000", True),
        ("ws1 get archive objects=99 bytes=19999999999 patients=39", True),
        ("ws1 get archive objects=100", False),
        ("ws1 move archive bytes=20000000000", False),
        ("ws1 move archive patients=40", False),
        ("ws1 echo archive objects=100 patients=40", True),
        ("rads list any from=reading mfa patients=2499", True),
        ("rads list any from=reading mfa patients=2500", False),
        ("rads view any from=reading mfa objects=250000", False),
        ("us1 store archive objects=599", True),
        ("us1 store archive objects=600", False),
        ("us1 store archive stores=600", False),
    ],
)
def test_questions_tell_what_was_used_of_the_hour(question: str, allowed: bool) -> None:  # noqa: FBT001
    small = policy(reading('{ objects = 100, bytes = "20 GB", patients = 40 }'))
    assert explain(small, parse_question(question), NOW).allowed is allowed


def test_a_question_says_stores_or_objects() -> None:
    with pytest.raises(QuestionInvalid, match="are the same"):
        parse_question("us1 store archive stores=5 objects=6")


def test_the_rung_tells_what_is_left_and_the_fix_names_the_line() -> None:
    small = policy(reading('{ objects = 100, bytes = "20 GB", patients = 40 }'))
    decision = explain(small, parse_question("ws1 get archive objects=7 bytes=55 patients=3"), NOW)
    assert decision.ladder[-1].detail == "7 of 100 objects, 55 of 20 GB, 3 of 40 patients this hour"
    refused = explain(small, parse_question("ws1 get archive bytes=20000000000"), NOW)
    assert refused.failed is not None
    assert refused.failed.detail == "over 20 GB this hour"
    assert refused.fix == "wait until the hour has passed, or raise bytes in flows.read.per_hour"


def test_an_amount_that_is_no_whole_unit_is_told_in_bytes() -> None:
    told = PerHour("here", size_bytes=1_500).check(Asked(Verb.GET, NOW)).detail
    assert told == "0 of 1500 bytes this hour"


OPENED = [
    ("{ patients = 40 }", "{ patients = 41 }", ["find", "get", "move"], "patients=40"),
    ("{ objects = 40 }", "{ objects = 41 }", ["get", "move"], "objects=40"),
    ('{ bytes = "1 GB" }', '{ bytes = "2 GB" }', ["get", "move"], "bytes=1000000000"),
    ("{ patients = 40 }", "{ objects = 250_000 }", ["find", "get", "move"], "patients=40"),
]


@pytest.mark.parametrize(("before", "after", "verbs", "told"), OPENED)
def test_a_larger_budget_opens_and_a_smaller_one_closes(
    before: str, after: str, verbs: list[str], told: str
) -> None:
    old, new = policy(reading(before)), policy(reading(after))
    wider, narrower = compare(old, new, NOW), compare(new, old, NOW)
    lines = [f"ws1 {verb} archive transport=mtls, {told}" for verb in verbs]
    assert [str(line) for line in wider.opened] == lines
    assert wider.closed == ()
    assert [str(line) for line in narrower.closed] == lines
    assert narrower.opened == ()


def test_a_budget_for_all_closes_for_every_reader_and_no_other() -> None:
    difference = compare(policy(EXAMPLE), policy(everywhere("{ patients = 100 }")), NOW)
    assert difference.opened == ()
    assert {(line.subject, line.verb) for line in difference.closed} == {
        *(("ws1", verb) for verb in (Verb.FIND, Verb.GET, Verb.MOVE)),
        *(("rads", verb) for verb in (Verb.LIST, Verb.VIEW)),
    }


def test_a_budget_of_what_the_archive_sends_is_compared() -> None:
    sending = EXAMPLE.replace('to = "ws1", can = ["store"]', 'to = "ws1", can = ["store"], per_hour = 10')
    difference = compare(policy(EXAMPLE), policy(sending), NOW)
    assert [str(line) for line in difference.closed] == ["archive store ws1 stores=10"]


def test_what_is_built_in_tells_nothing_apart() -> None:
    stated = policy(everywhere('{ objects = 250_000, bytes = "250 GB", patients = 2_500 }'))
    assert compare(policy(EXAMPLE), stated, NOW) == compare(policy(EXAMPLE), policy(EXAMPLE), NOW)


def ask(held: Policy, verb: Verb, used: Usage) -> bool:
    return decide(held, WS1, Action(verb, facts=Facts(this_hour=used)), NOW).allowed


def test_any_rule_with_room_is_enough() -> None:
    text = reading("{ patients = 40 }").replace(
        "[grants]",
        f'a = {{ from = ["ws1"], to = "archive", {READ}, per_hour = {{ patients = 4 }} }}\n[grants]',
    )
    assert ask(policy(text), Verb.FIND, Usage(patients=39))
    assert not ask(policy(text), Verb.FIND, Usage(patients=40))


def test_people_are_refused_at_the_last_rung() -> None:
    action = Action(Verb.LIST, facts=Facts(this_hour=Usage(patients=2_500)))
    decision = decide(policy(EXAMPLE), ALICE, action, NOW)
    assert decision.failed is not None
    assert decision.failed.detail == "over 2500 patients this hour"
