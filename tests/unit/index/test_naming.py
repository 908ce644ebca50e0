"""Whose a study is: for the administrator's eyes, and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from leadglass.dataset import tags
from leadglass.index.bin import Bin, Deletion, Subject
from leadglass.index.index import Index
from leadglass.index.naming import STUDIES_AT_ONCE, StudyNames, study_names
from leadglass.model.action import Verb
from leadglass.model.errors import IntegrityBroken, NotPermitted
from leadglass.model.query import Level
from tests.support.entries import new_instance, permit, record, study_uid

CHECK, STORE, DELETE = permit(Verb.CHECK), permit(Verb.STORE), permit(Verb.DELETE)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
JANE = StudyNames("P1", "Doe^Jane", "20240115", "HEAD", "A1")


@pytest.fixture
def full(engine: Engine) -> Engine:
    """Two studies; the second has a description of several values and no accession number."""
    odd = {tags.STUDY_DESCRIPTION: "HEAD\\NECK", tags.ACCESSION_NUMBER: "", tags.PATIENT_ID: ""}
    with Index(engine).transaction() as transaction:
        transaction.insert(STORE, new_instance(record(1)))
        transaction.insert(STORE, new_instance(record(2, attributes=odd)))
    return engine


def throw_away(engine: Engine) -> None:
    deletion = Deletion("tester", "x", NOW, NOW + timedelta(days=30))
    assert Bin(engine).throw_away(DELETE, Subject(Level.STUDY, study_uid(1)), deletion) == 1


def test_a_served_study_is_named_as_it_was_received(full: Engine) -> None:
    names = study_names(full, CHECK, [study_uid(1), study_uid(2), study_uid(1)])
    assert names == {
        study_uid(1): JANE,
        study_uid(2): StudyNames("", "Doe^Jane", "20240115", "HEAD\\NECK", ""),
    }


def test_a_study_in_the_bin_has_the_same_names(full: Engine) -> None:
    throw_away(full)
    assert study_names(full, CHECK, [study_uid(1)]) == {study_uid(1): JANE}


def test_an_unknown_study_is_left_out_among_any_number(full: Engine) -> None:
    many = [*(study_uid(number) for number in range(10, 12 + STUDIES_AT_ONCE)), study_uid(1)]
    assert study_names(full, CHECK, many) == {study_uid(1): JANE}
    assert study_names(full, CHECK, []) == {}


def test_a_row_of_the_bin_that_cannot_be_read_is_damage(full: Engine) -> None:
    throw_away(full)
    with full.begin() as connection:
        connection.execute(text("UPDATE binned SET attributes = '{'"))
    with pytest.raises(IntegrityBroken):
        study_names(full, CHECK, [study_uid(1)])


@pytest.mark.parametrize("verb", sorted(set(Verb) - {Verb.CHECK}))
def test_names_are_for_a_check_alone(full: Engine, verb: Verb) -> None:
    with pytest.raises(NotPermitted):
        study_names(full, permit(verb), [study_uid(1)])


def test_they_do_not_show_in_a_repr() -> None:
    assert "Jane" not in repr(JANE)
    assert "P1" not in str(JANE)
