from __future__ import annotations

from pathlib import Path

import pytest

from leadglass.policy.condition import Case
from leadglass.policy.conditions import (
    assigned,
    deid,
    expires,
    hours,
    label,
    modality,
    need,
    newer_than,
    older_than,
    own,
    per_hour,
    review_by,
    show,
    sop_class,
    study,
    weekdays,
)
from tests.support.said import assert_said

SAID = Path(__file__).with_name("said_by_conditions.txt")
CASES = [
    case
    for condition in (
        assigned,
        deid,
        expires,
        hours,
        label,
        modality,
        need,
        newer_than,
        older_than,
        own,
        per_hour,
        review_by,
        show,
        sop_class,
        study,
        weekdays,
    )
    for case in condition.TRUTH_TABLE
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{type(case.condition).__name__}: {case.says}")
def test_truth_table_holds_and_every_answer_is_explained(case: Case) -> None:
    result = case.condition.check(case.asked)
    assert result.ok is case.ok
    assert result.detail
    assert not (result.ok and result.fix)


def test_every_condition_has_a_case_of_each_answer() -> None:
    answers = {(type(case.condition), case.ok) for case in CASES}
    assert len(answers) == 2 * len({kind for kind, _ in answers})


def test_administrator_is_told_in_these_words() -> None:
    """What each condition says of each case: a changed word must be meant."""
    said = []
    for case in CASES:
        result = case.condition.check(case.asked)
        answer = "yes" if result.ok else "no"
        advice = f" | {result.fix}" if result.fix else ""
        said.append(f"{type(case.condition).__name__}: {case.says}: {answer}: {result.detail}{advice}")
    assert_said(said, SAID)
