"""Lists as one parameter."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Select, Text, bindparam, func, select


def one_of(name: str) -> Select[tuple[str]]:
    """The right side of ``IN``, for a list of texts bound to ``name`` as ``json_list`` makes it.

    One statement serves every length, so that neither our nor SQLite's statement cache can be flooded,
    and SQLite's limit on the number of parameters never matters.
    """
    return select(func.json_each(bindparam(name, type_=Text)).table_valued("value").c.value)


def json_list(values: Sequence[str]) -> str:
    """A JSON array of texts."""
    return msgspec.json.encode(values).decode()


def read_json_list(text: str) -> list[str]:
    """The texts of a JSON array that ``json_list`` made, or SQLite's json_group_array."""
    return msgspec.json.decode(text, type=list[str])
