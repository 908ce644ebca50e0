"""One state of the index, held still while the archive goes on, for a backup."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, func, select, union_all

from leadglass.index.engine import connector, reading
from leadglass.index.failures import database_failures
from leadglass.index.schema import binned, erasure, instance, quarantine
from leadglass.index.verbs import MAY_COPY, require
from leadglass.model.errors import IntegrityBroken
from leadglass.model.instance import Location
from leadglass.model.permit import Permit

ROWS_AT_ONCE: Final = 1_000
PAGES_AT_ONCE: Final = 1_024  # 4 MiB

_HOLDING: Final = (instance, quarantine, binned, erasure)
_COUNTED: Final = (instance, quarantine, binned)

Progress = Callable[[int, int], None]
"""Told how many pages are copied, and of how many."""


class IndexSnapshot:
    """What the index said at one moment. Writers go on; nothing of what they write is seen."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def connection(self) -> Connection:
        """Reads this state: the audit trail's tables are in the same database."""
        return self._connection

    def places(self) -> Iterator[Location]:
        """Every record that the index names, also deleted ones, by segment and offset."""
        every = union_all(
            *(select(table.c.segment, table.c.offset, table.c.length) for table in _HOLDING)
        ).order_by("segment", "offset")
        streamed = self._connection.execution_options(yield_per=ROWS_AT_ONCE).execute(every)
        return (Location(segment, offset, length) for segment, offset, length in streamed)

    def totals(self) -> tuple[int, int]:
        """How many objects there are, and how many bytes of data sets."""
        objects = size_bytes = 0
        for table in _COUNTED:
            wanted = select(func.count(), func.coalesce(func.sum(table.c.size_bytes), 0)).select_from(table)
            count, total = self._connection.execute(wanted).one()
            objects += int(count)
            size_bytes += int(total)
        return objects, size_bytes

    def copy_to(self, path: Path, key: bytes, progress: Progress) -> None:
        """Write this state to a new database under the same key, durably, and read every page of it back.

        Raises:
            StorageFailed: there is no room for it.
            IntegrityBroken: what was written cannot be read back.
        """
        source = self._connection.connection.driver_connection
        target = connector(str(path), key)()
        try:
            with database_failures():
                source.backup(  # type: ignore[union-attr]  # SQLCipher's own connection
                    target,
                    pages=PAGES_AT_ONCE,
                    progress=lambda _status, left, total: progress(total - left, total),
                )
                damaged = target.execute("PRAGMA cipher_integrity_check").fetchall()
        finally:
            target.close()
        if damaged:
            raise IntegrityBroken(f"the copy of the index cannot be read back: {damaged[0][0]}")
        _sync(path)


@contextmanager
def index_snapshot(engine: Engine, permit: Permit) -> Iterator[IndexSnapshot]:
    """Hold the state of this moment until the block ends.

    Raises:
        NotPermitted: the permit is not for a backup.
    """
    require(permit, MAY_COPY)
    with database_failures(), reading(engine).connect() as connection, connection.begin():
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").all()  # from here on nothing moves
        yield IndexSnapshot(connection)


def _sync(path: Path) -> None:
    for each, flags in ((path, os.O_RDONLY), (path.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(each, flags | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
