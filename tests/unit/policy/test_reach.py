"""The decision space: what a change opens and closes, in words, and that nothing is missed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.model.action import MACHINE_VERBS, PERSON_VERBS
from leadglass.policy import Policy, check_policy, explain, parse_question
from leadglass.policy.reach import Difference, compare, reach
from leadglass.policy.space import Space
from tests.support.policies import EXAMPLE, NOW, policy

OLD = policy(EXAMPLE)
SHIFTS = EXAMPLE.replace("[zones]", 'time_zone = "Europe/Berlin"\n[zones]', 1)
US1, MOVED = "transport=plain, ip=10.20.9.5", "transport=plain, ip=10.20.9.6"
IN_TIME = "before 2027-02-01T00:00Z"
DAY, LONG_DAY = 'hours = "07:00-19:00"', 'hours = "07:00-20:00"'


def loaded(text: str) -> Policy:
    """A changed policy, whatever its own tests say of it."""
    checked = check_policy(text, path="policy.toml", now=NOW)
    assert checked.policy is not None, checked.findings
    return checked.policy


def told(difference: Difference) -> tuple[list[str], list[str]]:
    return [str(each) for each in difference.opened], [str(each) for each in difference.closed]


def changed(before: str, after: str) -> tuple[list[str], list[str]]:
    assert before in EXAMPLE
    return told(compare(OLD, loaded(EXAMPLE.replace(before, after)), NOW))


@pytest.mark.parametrize(
    ("before", "after", "opened", "closed"),
    [
        (
            'makes = ["CT", "SR"]',
            'makes = ["CT", "SR", "PT"]',
            ["ct1 store archive modality=PT, transport=mtls"],
            [],
        ),
        (
            ', makes = ["CT", "SR"]',
            "",
            ["ct1 store archive modality=any other, transport=mtls"],
            [],
        ),
        ('"get", "move"]', '"get"]', [], ["ws1 move archive transport=mtls"]),
        (
            'only = "label:night", expires = 2027-03-31',
            "expires = 2027-03-31",
            ["archive store night label=none, before 2027-04-01T00:00Z"],
            [],
        ),
        (
            "expires = 2027-03-31",
            "expires = 2027-04-30",
            ["archive store night label=night, at=2027-04-01T00:00Z"],
            [],
        ),
        (
            "per_hour = 600",
            "per_hour = 601",
            [f"us1 store archive modality=US, {US1}, stores=600, {IN_TIME}"],
            [],
        ),
        (
            'need = ["mfa"]',
            "need = []",
            ["rads list any from=reading, without mfa", "rads view any from=reading, without mfa"],
            [],
        ),
        (
            'ws1  = { zone = "reading", ae = ["WS1"]',
            'ws1  = { zone = "reading", ae = ["WS1", "WSQ"]',
            [f"ws1 {verb} archive transport=mtls, ae=WSQ" for verb in ("echo", "find", "get", "move")],
            [],
        ),
        (
            'ip = "10.20.9.5"',
            'ip = "10.20.9.6"',
            [
                f"us1 echo archive {MOVED}, {IN_TIME}",
                f"us1 store archive modality=US, {MOVED}, stores=0, {IN_TIME}",
                f"us1 worklist archive {MOVED}, {IN_TIME}",
            ],
            [
                f"us1 echo archive {US1}, {IN_TIME}",
                f"us1 store archive modality=US, {US1}, stores=0, {IN_TIME}",
                f"us1 worklist archive {US1}, {IN_TIME}",
            ],
        ),
    ],
)  # fmt: skip
def test_change_is_told_in_the_questions_that_it_answers_differently(
    before: str, after: str, opened: list[str], closed: list[str]
) -> None:
    assert changed(before, after) == (opened, closed)


def test_text_that_says_the_same_otherwise_changes_nothing() -> None:
    other = EXAMPLE.replace("[flows]", '[flows]\nmore = { from = ["ws1"], to = "archive", can = ["find"] }')
    other = other.replace("acquire  =", "renamed  =")
    difference = compare(OLD, loaded(other), NOW)
    assert told(difference) == ([], [])
    assert difference.examined > 100


def test_new_device_opens_all_that_its_zone_gives_and_going_back_closes_it() -> None:
    new = loaded(EXAMPLE.replace("[groups]", 'ct2 = { zone = "modalities", ae = ["CT2"] }\n[groups]', 1))
    opened, closed = told(compare(OLD, new, NOW))
    assert closed == []
    assert {line.split()[0] for line in opened} == {"ct2"}
    assert told(compare(new, OLD, NOW)) == ([], opened)


def test_hours_that_end_later_open_the_hour_between_on_each_day() -> None:
    day = loaded(SHIFTS.replace('"move"] }', f'"move"], {DAY} }}', 1))
    longer = loaded(SHIFTS.replace('"move"] }', f'"move"], {LONG_DAY} }}', 1))
    opened, closed = told(compare(day, longer, NOW))
    assert closed == []
    assert [line.partition(",")[0] for line in opened] == [
        f"ws1 {verb} archive transport=mtls" for verb in ("echo", "find", "get", "move")
    ]
    assert all("T18:00Z" in line and "T06:00Z" not in line for line in opened)


def test_search_of_less_is_closed_for_the_rest() -> None:
    less = loaded(EXAMPLE.replace('"get", "move"] }', '"get", "move"], only = "modality:CT" }'))
    _, closed = told(compare(OLD, less, NOW))
    assert "ws1 find archive modality=any other, transport=mtls" in closed
    assert not any("modality=CT" in line for line in closed)


def test_reach_of_the_example_is_what_its_lines_say() -> None:
    assert [str(each) for each in reach(OLD, NOW)] == [
        "ct1 commit archive",
        "ct1 echo archive",
        "ct1 mpps archive",
        "ct1 store archive modality=CT or SR",
        "ct1 worklist archive",
        "us1 echo archive before 2027-02-01T00:00Z",
        "us1 store archive modality=US, before 2027-02-01T00:00Z",
        "us1 worklist archive before 2027-02-01T00:00Z",
        "ws1 echo archive",
        "ws1 find archive",
        "ws1 get archive",
        "ws1 move archive",
        "archive store night label=night, before 2027-04-01T00:00Z",
        "archive store ws1",
        "rads list any mfa",
        "rads view any mfa",
    ]


def test_changes_that_cross_are_told_apart_value_by_value() -> None:
    text = EXAMPLE.replace('makes = ["US"]', 'makes = ["US", "CR"]').replace(
        "per_hour = 600", "per_hour = 700"
    )
    opened, closed = told(compare(OLD, loaded(text), NOW))
    assert closed == []
    assert opened == [
        f"us1 store archive modality=CR, {US1}, stores=0 or 600, {IN_TIME}",
        f"us1 store archive modality=US, {US1}, stores=600, {IN_TIME}",
    ]


def test_rule_that_is_given_an_end_is_closed_from_then_on() -> None:
    opened, closed = changed('"move"] }', '"move"], expires = 2027-03-31 }')
    assert opened == []
    assert closed[0] == "ws1 echo archive transport=mtls, from 2027-04-01T00:00Z on"


def test_rule_that_ended_already_opens_nothing() -> None:
    past = '[flows]\nold = { from = ["ct1"], to = "archive", can = ["find"], expires = 2026-11-01 }'
    over = EXAMPLE.replace("[flows]", past)
    assert told(compare(OLD, loaded(over), NOW)) == ([], [])


@pytest.mark.parametrize(
    ("cidr", "addresses"),
    [
        ('["10.20.9.5/32"]', {"10.20.9.5"}),
        ('["10.20.9.4/31"]', {"10.20.9.5", "10.20.9.4"}),
        ('["10.20.9.5/32", "10.20.8.0/24"]', {"10.20.9.5", "10.20.8.0"}),
    ],
)
def test_one_address_beside_the_pinned_one_stands_for_all_others(cidr: str, addresses: set[str]) -> None:
    told_apart = loaded(EXAMPLE.replace('["10.20.9.0/28"]', cidr))
    cells = Space((told_apart,), NOW).cells("us1")
    assert {dict(cell.circumstances)["ip"] for cell in cells} == addresses


def test_address_of_a_zone_inside_the_zone_is_not_beside() -> None:
    inner = 'inner = { cidr = ["10.20.9.0/30"], transport = "plain", review_by = 2027-01-31 }\n[devices]'
    cells = Space((loaded(EXAMPLE.replace("[devices]", inner, 1)),), NOW).cells("us1")
    assert {dict(cell.circumstances)["ip"] for cell in cells} == {"10.20.9.5", "10.20.9.4"}


def test_name_that_is_a_device_in_one_and_a_group_in_the_other_is_compared_as_both() -> None:
    people = EXAMPLE.replace("rads", "ct2")
    device = EXAMPLE.replace("[groups]", 'ct2 = { zone = "modalities", ae = ["CT2"] }\n[groups]', 1)
    opened, closed = told(compare(loaded(device), loaded(people), NOW))
    assert "ct2 view any mfa" in opened
    assert "ct2 store archive transport=mtls" in closed
    assert "rads view any mfa" in closed


def test_every_cell_is_a_question_that_explain_understands() -> None:
    new = loaded(SHIFTS.replace('"move"] }', f'"move"], {DAY}, weekdays = "mon-fri" }}', 1))
    space = Space((OLD, new), NOW)
    cells = [cell for subject in space.subjects() for cell in space.cells(subject)]
    assert len(set(cells)) == len(cells)
    for cell in cells[::7]:
        assert explain(new, parse_question(str(cell)), NOW).ladder


CHANGES = (
    ('makes = ["US"]', 'makes = ["US", "CR"]'),
    ('ip = "10.20.9.5", ', 'ip = "10.20.9.7", '),
    ("per_hour = 600", "per_hour = 60"),
    ('"move"] }', '"move"], per_hour = { patients = 40, objects = 300 } }'),
    ("[zones]", "per_hour = { patients = 400 }\n[zones]"),
    ('"move"] }', f'"move"], {DAY}, weekdays = "mon-fri" }}'),
    ('only = "label:night"', 'only = ["label:night", "modality:CT"]'),
    ('["zone:modalities"]', '["us1", "ct1"]'),
    ("review_by = 2027-01-31", "review_by = 2026-12-01"),
    ('need = ["mfa"]', "need = []"),
    ('transport = "mtls" }\nlegacy', 'transport = ["mtls", "https"] }\nlegacy'),
    ('"echo", "find"', '"echo", "find", "store"'),
    ("[flows]", '[flows]\nseen = { from = ["ws1"], to = "archive", can = ["find"], show = ["StudyDate"] }'),
    ("[flows]", '[flows]\nsent = { from = ["ct1"], to = "archive", can = ["find", "get"], only = "own" }'),
    ("[flows]", '[flows]\nfew = { from = ["us1"], to = "archive", can = ["get"], older_than = "30d" }'),
    ("[flows]", '[flows]\nkind = { from = ["us1"], to = "archive", can = ["get"], only = "sop_class:1.2" }'),
    ("[flows]", '[flows]\nbare = { from = ["us1"], to = "archive", can = ["find", "get"], deid = "basic" }'),
    (
        "[flows]",
        (
            '[flows]\nbare-out = { from = ["archive"], to = "night", can = ["store"], deid = "basic", '
            "expires = 2027-02-01 }"
        ),
    ),
    ('on = "any"', 'on = "label:night"'),
    ('on = "any"', 'on = "any", newer_than = "1w"'),
    ('need = ["mfa"]', 'need = ["mfa", "reason"]'),
)
SUBJECTS = ("ct1", "us1", "ws1", "night", "archive", "rads", "internet")


@given(
    picked=st.sets(st.sampled_from(CHANGES)),
    subject=st.sampled_from(SUBJECTS),
    verb=st.sampled_from(sorted(MACHINE_VERBS | PERSON_VERBS)),
    target=st.sampled_from(("archive", "any", "ws1", "night")),
    words=st.sets(
        st.sampled_from(
            (
                *("modality=US", "modality=CR", "modality=MR", "label=night", "label=day", "transport=plain"),
                *(
                    "transport=mtls",
                    "ip=10.20.9.5",
                    "ip=10.20.9.7",
                    "ip=10.20.9.9",
                    "objects=59",
                    "patients=40",
                    "patients=400",
                    "patients=2499",
                    "patients=2500",
                    "objects=300",
                    "objects=601",
                ),
                *("from=reading", "from=remote", "mfa", "reason", "approved"),
                *("age=0d", "age=7d", "age=8d", "age=30d", "age=31d", "age=400d"),
                *("show=StudyDate", "show=PatientName", "sender=ct1", "sender=us1"),
                *("identity=kept", "identity=removed"),
                *("sop_class=1.2", "sop_class=1.3", "study=1.2"),
            )
        )
    ),
    hours=st.integers(0, 24 * 200),
)
def test_whatever_two_policies_answer_differently_is_in_their_difference(
    picked: set[tuple[str, str]], subject: str, verb: str, target: str, words: set[str], hours: int
) -> None:
    text = EXAMPLE
    for before, after in sorted(picked):
        text = text.replace(before, after)
    new = loaded(text)
    given_once = {word.partition("=")[0]: word for word in sorted(words)}.values()
    at: datetime = NOW + timedelta(hours=hours)
    question = parse_question(" ".join((subject, verb, target, *given_once)))
    before_answer, after_answer = (explain(each, question, at) for each in (OLD, new))
    if before_answer.allowed == after_answer.allowed:
        return
    difference = compare(OLD, new, NOW)
    side = difference.opened if after_answer.allowed else difference.closed
    assert any((each.subject, each.verb) == (subject, verb) for each in side)
