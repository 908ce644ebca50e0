"""Run the migrations. Imported only when one is due: see ``migrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from leadglass.index.engine import reading
from leadglass.index.failures import database_failures
from leadglass.model.errors import ConfigurationInvalid

_FOLDER: Final = Path(__file__).with_name("migrations")


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest revision, in one transaction that begins IMMEDIATE.

    Raises:
        ConfigurationInvalid: the database was written by a newer Leadglass.
        OutOfResources: full, locked, or an I/O error; the database is as it was.
    """
    config = _config()
    script = ScriptDirectory.from_config(config)
    with database_failures(), engine.begin() as connection:
        heads = MigrationContext.configure(connection).get_current_heads()
        _refuse_unknown(heads, script)
        if set(heads) != set(script.get_heads()):  # another process may have been faster
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def refuse_newer(engine: Engine) -> None:
    """Refuse a database with revisions that this code does not know.

    Raises:
        ConfigurationInvalid
    """
    with database_failures(), reading(engine).connect() as connection:
        heads = MigrationContext.configure(connection).get_current_heads()
    _refuse_unknown(heads, ScriptDirectory.from_config(_config()))


def newest() -> str | None:
    """The newest revision there is."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config


def _refuse_unknown(heads: tuple[str, ...], script: ScriptDirectory) -> None:
    known = {revision.revision for revision in script.walk_revisions()}
    unknown = sorted(set(heads) - known)
    if unknown:
        raise ConfigurationInvalid(
            f"the index was written by a newer Leadglass (schema {', '.join(unknown)}): "
            "install that version again, or restore the backup made before the upgrade"
        )
