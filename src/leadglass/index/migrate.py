"""Bring the database to the tables this code knows.

Nearly always they are there. That is seen here, without waiting for a writer and without Alembic,
whose import takes longer than most commands.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Engine, text

from leadglass.index.engine import reading
from leadglass.index.failures import database_failures
from leadglass.model.errors import ConfigurationInvalid

CURRENT: Final = "r0003"
"""The newest revision in ``migrations/versions``."""

_VERSIONS_TABLE: Final = text(
    "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
)
_VERSIONS: Final = text("SELECT version_num FROM alembic_version")


def migrate(engine: Engine) -> None:
    """Create or upgrade every table, in one transaction; nothing is written when all is current.

    Two processes may call it at once: the transaction begins IMMEDIATE.

    Raises:
        ConfigurationInvalid: the database was written by a newer Leadglass.
        OutOfResources: full, locked, or an I/O error; the database is as it was.
    """
    if _is_current(engine):
        return
    from leadglass.index.upgrade import upgrade

    upgrade(engine)


def require_current(engine: Engine) -> None:
    """Refuse a database that ``migrate`` has not brought up to date, without writing.

    Raises:
        ConfigurationInvalid: older or newer than this code; says what to do.
    """
    if _is_current(engine):
        return
    from leadglass.index.upgrade import refuse_newer

    refuse_newer(engine)
    raise ConfigurationInvalid("the index is of an older Leadglass: start the server once to upgrade it")


def _is_current(engine: Engine) -> bool:
    with database_failures(), reading(engine).connect() as connection:
        if not connection.execute(_VERSIONS_TABLE).scalar_one():
            return False
        return connection.execute(_VERSIONS).scalars().all() == [CURRENT]
