"""The invented people of the benchmark: the same at every size, and as many as their studies say."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase

import pytest

from bench.population import (
    PATTERNS,
    STUDIES_A_DAY,
    people_among,
    person,
    studies_of,
    totals,
    wildcard,
)


def test_a_study_is_the_same_whatever_the_number_of_studies() -> None:
    assert list(studies_of(50)) == list(studies_of(500))[:50]


@pytest.mark.parametrize("count", [1, 2, 5, 6, 997])
def test_every_person_has_a_study_and_nobody_else_has(count: int) -> None:
    assert {study.patient for study in studies_of(count)} == set(range(people_among(count)))


def test_totals_are_what_the_studies_add_up_to() -> None:
    counted = totals(600)
    studies, instances = Counter[int](), Counter[int]()
    for study in studies_of(600):
        studies[study.patient] += 1
        instances[study.patient] += study.instances
    assert dict(enumerate(counted.studies)) == studies
    assert dict(enumerate(counted.instances)) == instances


def test_each_full_day_has_as_many_studies_at_every_size() -> None:
    assert set(Counter(study.date for study in studies_of(3 * STUDIES_A_DAY)).values()) == {STUDIES_A_DAY}


@pytest.mark.parametrize("form", PATTERNS)
def test_a_pattern_finds_the_patient_it_was_made_for(form: str) -> None:
    for patient in range(200):
        assert fnmatchcase(person(patient).name, wildcard(form, patient))


def test_no_two_uids_are_equal() -> None:
    uids = [
        uid
        for study in studies_of(300)
        for uid in (study.study_uid, study.series_uid, *map(study.sop_instance, range(1, 3)))
    ]
    assert len(set(uids)) == len(uids)
