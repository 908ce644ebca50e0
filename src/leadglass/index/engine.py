"""Open the encrypted index."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, Pool, QueuePool

from leadglass.index.failures import database_failures
from leadglass.model.errors import KeyUnavailable, OutOfResources

KEY_BYTES: Final = 32
BUSY_TIMEOUT_MS: Final = 10_000
PAGE_CACHE_KIB: Final = 16_384  # of decrypted pages, per connection
CONNECTIONS_KEPT: Final = 8
CONNECTIONS_EXTRA: Final = 56
CONNECTION_WAIT_S: Final = 10.0

_BEGIN_OPTION: Final = "leadglass_begin"


def open_engine(path: str, key: bytes) -> Engine:
    """Open the SQLCipher database at ``path``, made with mode 0600 if absent.

    ``key`` is 32 raw bytes. It lives in the closure that opens connections: never in a URL, a repr, a
    log line or an exception. WAL, synchronous=FULL: a commit survives a power cut. Any transaction
    begins IMMEDIATE, so that two processes never both think they read the last row; ``reading``
    gives the exception.

    Raises:
        KeyUnavailable: wrong key, or not 32 bytes.
        OutOfResources: the file cannot be opened.
    """
    connect = connector(path, key)
    _make_private_file(path)
    engine = build_engine(connect, QueuePool)
    with database_failures(), reading(engine).connect() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").all()
    return engine


def open_frozen(path: Path, key: bytes) -> Engine:
    """Open a database that nobody writes, a backup's say, to read it; not a byte is written.

    Raises:
        KeyUnavailable: wrong key, not 32 bytes, or the first page is damaged.
        OutOfResources: the file cannot be opened.
    """
    engine = build_engine(_connector(f"{path.resolve().as_uri()}?immutable=1", key), QueuePool)
    with database_failures(), reading(engine).connect() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").all()
    return engine


def connector(path: str, key: bytes) -> Callable[[], sqlcipher.Connection]:
    """What opens connections of the driver, which begins no transaction by itself.

    Raises:
        KeyUnavailable: the key is not 32 bytes.
    """
    return _connector(Path(path).absolute().as_uri(), key)


def _connector(uri: str, key: bytes) -> Callable[[], sqlcipher.Connection]:
    if len(key) != KEY_BYTES:
        raise KeyUnavailable(f"the index key must be {KEY_BYTES} bytes")
    key_pragma = f"PRAGMA key = \"x'{key.hex()}'\""

    def connect() -> sqlcipher.Connection:
        connection = sqlcipher.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
        )
        cursor = connection.cursor()
        cursor.execute("PRAGMA cipher_log_level = NONE")  # SQLCipher would write to stderr by itself
        cursor.execute(key_pragma)
        # SHA-512 is SQLCipher's default; CPUs of servers have instructions for SHA-256.
        cursor.execute("PRAGMA cipher_hmac_algorithm = HMAC_SHA256")
        cursor.close()
        return connection

    return connect


def build_engine(connect: Callable[[], sqlcipher.Connection], pool_class: type[Pool]) -> Engine:
    """An engine over connections made by ``connect``, with the pragmas and transactions of an index."""
    pool_options = (
        {"pool_size": CONNECTIONS_KEPT, "max_overflow": CONNECTIONS_EXTRA, "pool_timeout": CONNECTION_WAIT_S}
        if issubclass(pool_class, QueuePool)
        else {}
    )
    engine = create_engine(
        "sqlite://",
        module=sqlcipher,
        creator=connect,
        poolclass=pool_class,
        hide_parameters=True,  # parameters are PHI; SQLAlchemy puts them into exceptions otherwise
        **pool_options,
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def reading(engine: Engine) -> Engine:
    """The same engine for reads: a transaction begins DEFERRED, a snapshot that blocks no writer."""
    return engine.execution_options(**{_BEGIN_OPTION: "BEGIN"})


def _make_private_file(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OutOfResources(f"index: cannot open {path}: {error.strerror}") from error


def _set_pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"cache_size = -{PAGE_CACHE_KIB}",
        "temp_store = MEMORY",  # sorting must not write patients to a file in clear
        "trusted_schema = OFF",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    begin = connection.get_execution_options().get(_BEGIN_OPTION, "BEGIN IMMEDIATE")
    try:
        connection.connection.cursor().execute(begin)  # SQLAlchemy's own way costs more than all SQLite does
    except sqlcipher.Error as error:
        raise DBAPIError(begin, None, error, hide_parameters=True) from error
