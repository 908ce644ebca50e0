"""Statements that run for every instance: written in SQLAlchemy Core, run by the driver itself.

To execute a statement costs SQLAlchemy some 40 to 100 µs of processor time and SQLite 3 to 10. Where a
sending device waits for each of its images, the text is compiled once and given to the driver's cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Column, Connection, Dialect, Insert, Select, Table, TextClause, Update, insert

TEXTS_KEPT: Final = 128  # of every statement, for a few dialects

# Bytes as bytearray: the driver looks for an adapter of bytes first, 3 µs for each.
Values = Mapping[str, str | int | bytearray | None]
_Text = tuple[str, Callable[[Values], Any]]


class Statement:
    """A Core statement whose values and columns the driver takes as they are: text, integers, bytes.

    ``columns`` are those that an INSERT or UPDATE sets, each to the value of its name.
    """

    def __init__(self, core: Select[Any] | Insert | Update | TextClause, columns: Sequence[str] = ()) -> None:
        self._core = core
        self._columns = list(columns)

    def compile(self, dialect: Dialect) -> _Text:
        """The text, and what makes of values by name the parameters that the driver wants."""
        compiled = self._core.compile(dialect=dialect, column_keys=self._columns or None)
        order = compiled.positiontup
        return str(compiled), dict if order is None else _in_order(order)


def insertion(table: Table, *returned: Column[Any]) -> Statement:
    """Insert a row, given all but its number."""
    columns = [column.name for column in table.c if not column.primary_key]
    core = insert(table)
    return Statement(core.returning(*returned) if returned else core, columns)


class Driver:
    """A connection's driver. What it raises, ``database_failures`` names.

    It begins nothing by itself: outside of the connection's transaction each statement stands alone.
    """

    def __init__(self, connection: Connection) -> None:
        self._cursor = connection.connection.cursor()
        self._dialect = connection.dialect

    def rows(self, statement: Statement, values: Values) -> Sequence[tuple[Any, ...]]:
        """Every row that the statement returns."""
        sql, parameters = _text(statement, self._dialect)
        self._cursor.execute(sql, parameters(values))
        return self._cursor.fetchall()

    def run(self, statement: Statement, several: Sequence[Values]) -> None:
        """The statement, once for each of ``several`` values."""
        sql, parameters = _text(statement, self._dialect)
        self._cursor.executemany(sql, [parameters(values) for values in several])


@lru_cache(maxsize=TEXTS_KEPT)
def _text(statement: Statement, dialect: Dialect) -> _Text:
    return statement.compile(dialect)


def _in_order(names: Sequence[str]) -> Callable[[Values], Any]:
    """Values by name to a tuple in the order of ``names``."""
    match names:
        case []:
            return lambda _: ()
        case [name]:
            return lambda values: (values[name],)
        case _:
            return itemgetter(*names)
