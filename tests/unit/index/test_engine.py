from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from leadglass.index.engine import open_engine, reading
from leadglass.index.failures import database_failures, named_failure
from leadglass.model.errors import DiskFailed, IntegrityBroken, KeyUnavailable, LocalError, OutOfResources

KEY = bytes(range(32))


def test_the_database_and_its_log_are_private(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO study_label SELECT 1, 'x' WHERE 0"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes) >= {"index.db", "index.db-wal"}
    assert set(modes.values()) == {0o600}


def test_a_database_left_open_to_others_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    path.touch(mode=0o644)
    open_engine(str(path), KEY).dispose()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_page_of_the_database_is_in_clear(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE secret AS SELECT 'Doe^Jane' AS name"))
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert b"Doe^Jane" not in content
        assert b"SQLite format 3" not in content


def test_a_commit_survives_a_power_cut_and_foreign_keys_hold(engine: Engine) -> None:
    with engine.connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_wrong_key_is_named_and_the_file_untouched(engine: Engine, tmp_path: Path) -> None:
    engine.dispose()
    before = (tmp_path / "index.db").read_bytes()
    with pytest.raises(KeyUnavailable):
        open_engine(str(tmp_path / "index.db"), bytes(32))
    assert (tmp_path / "index.db").read_bytes() == before


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_size_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(KeyUnavailable):
        open_engine(str(tmp_path / "index.db"), bytes(size))
    assert not (tmp_path / "index.db").exists()


def test_the_key_is_in_no_repr_url_or_error(engine: Engine, tmp_path: Path) -> None:
    said = [repr(engine), str(engine.url), repr(engine.pool)]
    engine.dispose()
    with pytest.raises(KeyUnavailable) as refused:
        open_engine(str(tmp_path / "index.db"), KEY[::-1])
    said += [str(refused.value), repr(refused.value.__cause__)]
    for words in said:
        assert KEY.hex() not in words
        assert KEY[::-1].hex() not in words


def test_a_link_in_place_of_the_database_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "index.db").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutOfResources):
        open_engine(str(tmp_path / "index.db"), KEY)


def test_parameters_are_in_no_exception(engine: Engine) -> None:
    with pytest.raises(DBAPIError) as failed, engine.begin() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (:name)"), {"name": "Doe^Jane"})
    assert "Doe^Jane" not in str(failed.value)


def test_a_reader_blocks_no_writer_and_keeps_its_snapshot(engine: Engine) -> None:
    count = text("SELECT count(*) FROM secret")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE secret (name TEXT)"))
    with reading(engine).connect() as reader:
        assert reader.execute(count).scalar_one() == 0
        with engine.begin() as writer:
            writer.execute(text("INSERT INTO secret VALUES ('x')"))
        assert reader.execute(count).scalar_one() == 0


def test_a_second_writer_is_told_to_try_later(engine: Engine, tmp_path: Path) -> None:
    impatient = open_engine(str(tmp_path / "index.db"), KEY)
    with impatient.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 1")
        connection.rollback()
        with engine.begin(), pytest.raises(OutOfResources), database_failures():
            connection.execute(text("SELECT 1"))
    impatient.dispose()


def test_a_transaction_that_cannot_begin_says_so_in_sqlalchemy_s_words(
    engine: Engine, tmp_path: Path
) -> None:
    impatient = open_engine(str(tmp_path / "index.db"), KEY)
    with impatient.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 1")
        connection.rollback()
        with engine.begin(), pytest.raises(DBAPIError, match="locked"):
            connection.begin()
        with connection.begin():
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
    impatient.dispose()


def test_a_full_database_is_out_of_resources_and_recovers_with_room(engine: Engine) -> None:
    fill = text("INSERT INTO secret SELECT randomblob(100000)")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE secret (name BLOB)"))
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(OutOfResources), database_failures(), engine.begin() as connection:
        connection.execute(fill)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM secret")).scalar_one() == 0
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        connection.execute(fill)


def test_a_damaged_page_is_named(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE secret AS SELECT randomblob(50000) AS name"))
    engine.dispose()
    path = tmp_path / "index.db"
    with path.open("r+b") as file:
        file.seek(-4096 * 3 + 100, os.SEEK_END)
        file.write(b"\xff" * 100)
    damaged = open_engine(str(path), KEY)
    with pytest.raises(LocalError), database_failures(), damaged.connect() as connection:
        connection.execute(text("SELECT hex(name) FROM secret")).all()
    damaged.dispose()


def _driver_error(code: int) -> sqlcipher.Error:
    error = sqlcipher.OperationalError("words")
    vars(error)["sqlite_errorcode"] = code
    return error


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (5, OutOfResources),
        (10, DiskFailed),
        (10 | 4 << 8, DiskFailed),  # SQLITE_IOERR_FSYNC
        (13, OutOfResources),
        (11, IntegrityBroken),
        (26, KeyUnavailable),
        (19, LocalError),
    ],
)
def test_the_driver_s_codes_get_their_names(code: int, named: type[LocalError]) -> None:
    assert type(named_failure(_driver_error(code))) is named


def test_the_driver_s_own_exception_is_named_too() -> None:
    with pytest.raises(OutOfResources), database_failures():
        raise _driver_error(5)


def test_a_failure_without_a_code_is_ours() -> None:
    assert type(named_failure(None)) is LocalError


def test_no_free_connection_is_out_of_resources() -> None:
    with pytest.raises(OutOfResources), database_failures():
        raise PoolTimeout
    with pytest.raises(LocalError), database_failures():
        raise SQLAlchemyError
