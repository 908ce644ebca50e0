from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.index.folding import fold_all, fold_name, fold_value, parse_integer, storable


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("Doe^Jane", ("doe^jane", "", "")),
        ("DOE^JANE^^^", ("doe^jane", "", "")),
        ("", ("", "", "")),
        ("A=B=C", ("a", "b", "c")),
        ("A=B=C=D", ("a", "b", "c=d")),
        ("=山田", ("", "山田", "")),
        ("Straße", ("strasse", "", "")),
        ("Mu\u0308ller", ("müller", "", "")),
    ],
)
def test_names_fold_by_component_group(name: str, groups: tuple[str, str, str]) -> None:
    assert fold_name(name) == groups


@given(st.text())
def test_folding_a_name_twice_changes_nothing_more(name: str) -> None:
    once = fold_name(name)
    assert fold_name("=".join(once)) == once


@pytest.mark.parametrize(
    ("vr", "value", "folded"),
    [
        ("TM", "10", "100000.000000"),
        ("TM", "1015", "101500.000000"),
        ("TM", "101530.5", "101530.500000"),
        ("TM", "10:15:30", "101530.000000"),
        ("TM", "noon", "noon"),
        ("TM", "1015.x", "1015.x"),
        ("DA", "1999.12.31", "19991231"),
        ("IS", "007", "7"),
        ("IS", "-3", "-3"),
        ("IS", "seven", "seven"),
        ("LO", " as is ", " as is "),
    ],
)
def test_values_fold_by_representation(vr: str, value: str, folded: str) -> None:
    assert fold_value(vr, value) == folded


def test_several_values_fold_each() -> None:
    assert fold_all("PN", ["A=B", "C"]) == ["a", "b", "c"]
    assert fold_all("IS", ["01", "", "2"]) == ["1", "2"]


@pytest.mark.parametrize("value", ["", "+", "1.5", "٣", "9999999999999"])
def test_what_is_no_integer_string_is_no_number(value: str) -> None:
    assert parse_integer(value) is None


@given(st.text(st.characters()))
def test_any_text_becomes_storable(text: str) -> None:
    storable(text).encode()
