"""The whole matrix of a sample hospital: what the policy decides is what its text says, cell by cell."""

from __future__ import annotations

import pytest

from leadglass.model.action import Action, Facts, Verb
from leadglass.model.caller import Person, Transport
from leadglass.policy import Policy, check_policy, explain, parse_question
from leadglass.policy.decide import decide
from leadglass.policy.scope import reaches
from tests.support.hospital import (
    DELIVER,
    ROLES,
    HospitalCell,
    PersonCell,
    cells,
    naive_answer,
    naive_person_answer,
    person_cells,
    policy_text,
    tables,
)
from tests.support.policies import NOW

PORT = 11113
TEXT = tables(PORT)


def question(cell: HospitalCell) -> str:
    if cell.verb == DELIVER:
        return f"archive store {cell.device} modality={cell.modality}"
    return f"{cell.device} {cell.verb} archive modality={cell.modality} transport={cell.transport}"


def test_every_cell_is_decided_as_the_text_says() -> None:
    rules = check_policy(policy_text(PORT), path="policy.toml", now=NOW).policy
    assert rules is not None
    wrong = []
    allowed = 0
    for cell in cells(PORT):
        said = naive_answer(TEXT, cell)
        allowed += said
        if explain(rules, parse_question(question(cell)), NOW).allowed is not said:
            wrong.append(question(cell))
    assert wrong == []
    assert len(cells(PORT)) == 12 * 9 * 4 * 3
    assert 50 < allowed < 300


def allows(rules: Policy, cell: PersonCell) -> bool:
    """As a person comes: the groups that they prove, from an address of the zone."""
    network = TEXT["zones"][cell.zone]["cidr"][0].removesuffix("0/24")
    person = Person(
        "somebody",
        frozenset({f"role:{ROLES[cell.group]}"}),
        f"{network}77",
        Transport(cell.transport),
        mfa=cell.mfa,
    )
    decision = decide(rules, person, Action(Verb(cell.verb)), NOW)
    if not decision.allowed or cell.verb == "view":
        facts = Facts(modality=cell.modality)
        return decide(rules, person, Action(Verb(cell.verb), facts=facts), NOW).allowed
    return reaches(decision.scope, Facts(modality=cell.modality))


def test_every_cell_of_people_is_decided_as_the_text_says() -> None:
    rules = check_policy(policy_text(PORT), path="policy.toml", now=NOW).policy
    assert rules is not None
    answers = {cell: naive_person_answer(TEXT, cell) for cell in person_cells()}
    assert [cell for cell, said in answers.items() if allows(rules, cell) is not said] == []
    assert len(answers) == 3 * 10 * 4 * 3 * 3 * 2
    assert {cell.transport for cell, said in answers.items() if said} == {"https"}
    assert sum(answers.values()) == 2 * 4 + 2 * 1  # rads with a second factor; techs with and without


def test_question_about_people_is_answered_alike() -> None:
    rules = check_policy(policy_text(PORT), path="policy.toml", now=NOW).policy
    assert rules is not None
    for cell in person_cells():
        if cell.group == "nobody" or cell.verb not in ("list", "view"):
            continue
        words = f"{cell.group} {cell.verb} any modality={cell.modality} from={cell.zone}"
        words += f" transport={cell.transport}" + " mfa" * cell.mfa
        asked = parse_question(words)
        assert explain(rules, asked, NOW).allowed is naive_person_answer(TEXT, cell), words


@pytest.mark.parametrize(
    ("cell", "answer"),
    [
        (HospitalCell("ct1", "store", "CT", "mtls"), True),
        (HospitalCell("ct1", "store", "CT", "plain"), False),
        (HospitalCell("ct1", "store", "MR", "mtls"), False),
        (HospitalCell("oldws", "find", "US", "plain"), True),
        (HospitalCell("oldws", "find", "CT", "plain"), False),
        (HospitalCell("gone", "find", "CT", "mtls"), False),
        (HospitalCell("pacs", DELIVER, "CT", "plain"), True),
        (HospitalCell("pacs", DELIVER, "US", "plain"), False),
    ],
)
def test_simple_reading_of_the_text_is_right(cell: HospitalCell, *, answer: bool) -> None:
    assert naive_answer(TEXT, cell) is answer
