from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.status import code_to_category

from leadglass.protocol.status import Category, Status, category


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.SUCCESS, Category.SUCCESS),
        (Status.PENDING, Category.PENDING),
        (0xFF01, Category.PENDING),
        (0xFE00, Category.CANCEL),
        (0xB000, Category.WARNING),
        (0xBFFF, Category.WARNING),
        (0x0107, Category.WARNING),
        (Status.NOT_AUTHORIZED, Category.FAILURE),
        (Status.OUT_OF_RESOURCES, Category.FAILURE),
        (0xCABC, Category.FAILURE),
        (0x1234, Category.FAILURE),
    ],
)
def test_each_code_has_its_class(status: int, expected: Category) -> None:
    assert category(status) is expected


@given(st.integers(0, 0xFFFF))
def test_classes_agree_with_another_implementation_where_it_has_one(status: int) -> None:
    theirs = code_to_category(status)
    if theirs != "Unknown":
        assert category(status).value == theirs.lower()
