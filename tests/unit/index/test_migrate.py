from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, MetaData, text

from leadglass.audit import tables as audit_tables
from leadglass.index import schema
from leadglass.index.engine import open_engine
from leadglass.index.migrate import CURRENT, migrate, require_current
from leadglass.index.upgrade import newest, upgrade
from leadglass.model.errors import ConfigurationInvalid


def test_the_migrations_make_what_index_and_audit_declare(engine: Engine) -> None:
    declared = MetaData()
    for metadata in (schema.METADATA, audit_tables.METADATA):
        for table in metadata.sorted_tables:
            table.to_metadata(declared)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), declared) == []


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    upgrade(engine)
    require_current(engine)


def test_the_revision_taken_for_current_is_the_newest() -> None:
    assert newest() == CURRENT


def test_a_current_database_is_opened_while_another_process_writes(engine: Engine) -> None:
    with engine.begin() as writing:
        writing.execute(text("SELECT 1"))
        migrate(engine)


def test_a_database_of_a_newer_leadglass_is_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'r9999'"))
    for attempt in (migrate, require_current):
        with pytest.raises(ConfigurationInvalid, match=r"newer Leadglass \(schema r9999\)"):
            attempt(engine)


def test_a_database_without_tables_is_not_current(tmp_path: Path) -> None:
    engine = open_engine(str(tmp_path / "index.db"), bytes(32))
    with pytest.raises(ConfigurationInvalid, match="older"):
        require_current(engine)
    engine.dispose()


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    engine = open_engine(str(tmp_path / "index.db"), bytes(32))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE quarantine (id INTEGER)"))  # in the way of the migration
    with pytest.raises(Exception, match="quarantine"):
        migrate(engine)
    with engine.connect() as connection:
        tables = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars()
        assert list(tables) == ["quarantine"]
    engine.dispose()
