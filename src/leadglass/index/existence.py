"""Whether a subquery finds a row, said in a way that every SQLite answers rightly."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select


def any_row(statement: Select[Any]) -> ColumnElement[bool]:
    """True when the correlated ``statement`` has a row. In this room, never ``EXISTS``.

    SQLite 3.51.0 and 3.51.1 (the SQLCipher wheel holds the latter) turn EXISTS into a join and then
    repeat or lose rows; 3.51.2: "Fix multiple problems in the EXISTS-to-JOIN optimization". A scalar
    subquery is left alone by it. ``tests/contract/test_index.py`` holds the cases that were wrong.
    """
    return statement.limit(1).scalar_subquery().is_not(None)
