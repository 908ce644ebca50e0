"""The database's failures, in Leadglass's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from leadglass.model.errors import DiskFailed, IntegrityBroken, KeyUnavailable, LocalError, OutOfResources

# Primary result codes of SQLite (sqlite.org/rescode.html).
_BUSY, _LOCKED, _NOMEM, _READONLY, _IOERR = 5, 6, 7, 8, 10
_CORRUPT, _FULL, _CANTOPEN, _NOTADB = 11, 13, 14, 26
_MAY_PASS: Final = frozenset({_BUSY, _LOCKED, _NOMEM, _READONLY, _FULL, _CANTOPEN})


@contextmanager
def database_failures() -> Iterator[None]:
    """Turn what the driver raises inside the block into a LeadglassError.

    The driver's own words carry no values (parameters are hidden by the engine), so they may be kept.

    Raises:
        OutOfResources: full, locked: the peer may try again later.
        DiskFailed: an I/O error; nothing may be written before a new start.
        KeyUnavailable: the key does not open the file.
        IntegrityBroken: the file is damaged.
        LocalError: anything else; a bug here.
    """
    try:
        yield
    except PoolTimeout as error:
        raise OutOfResources("index: no free database connection") from error
    except DBAPIError as error:
        raise named_failure(error.orig) from error
    except sqlcipher.Error as error:
        raise named_failure(error) from error
    except SQLAlchemyError as error:
        raise LocalError(f"index: {type(error).__name__}") from error


def named_failure(driver_error: BaseException | None) -> LocalError:
    """The LeadglassError for one exception of the SQLite driver."""
    code = getattr(driver_error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else -1
    if primary == _IOERR:  # a sync that failed is one; the wheel does not tell which
        return DiskFailed(f"index: {driver_error}: restart after checking the disk")
    if primary == _NOTADB:
        return KeyUnavailable("index: the key does not open the database, or its first page is damaged")
    if primary == _CORRUPT:
        return IntegrityBroken(f"index: {driver_error}")
    if primary in _MAY_PASS:
        return OutOfResources(f"index: {driver_error}")
    return LocalError(f"index: {driver_error}")
