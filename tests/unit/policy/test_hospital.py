"""The whole matrix of a sample hospital: what the policy decides is what its text says, cell by cell."""

from __future__ import annotations

import pytest

from leadglass.policy import check_policy, explain, parse_question
from tests.support.hospital import DELIVER, HospitalCell, cells, naive_answer, policy_text, tables
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
