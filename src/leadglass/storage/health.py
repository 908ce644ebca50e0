"""Whether the disk can still be believed."""

from __future__ import annotations

import errno
from enum import StrEnum

from leadglass.model.errors import StorageFailed

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class StoreState(StrEnum):
    """``FAILED`` lasts until the store is opened anew, after recovery; reading goes on."""

    READY = "ready"
    FAILED = "failed"


class Health:
    """READY until a sync fails for another reason than room.

    After a failed fsync the kernel may have dropped the pages and called them clean, so the next
    fsync would lie. Nothing is acknowledged any more until somebody has looked at the disk.
    """

    def __init__(self) -> None:
        self._reason = ""

    @property
    def state(self) -> StoreState:
        """Whether anything can be stored."""
        return StoreState.FAILED if self._reason else StoreState.READY

    def fail(self, reason: str) -> None:
        """Store nothing any more; the first reason counts."""
        self._reason = self._reason or reason

    def require(self) -> None:
        """Refuse to store after a failure.

        Raises:
            StorageFailed: with the reason of that failure.
        """
        if self._reason:
            raise StorageFailed(f"storage stopped: {self._reason}; restart after checking the disk")

    def sync_failed(self, error: OSError, what: str) -> StorageFailed:
        """The error to raise when a file could not be synced, which is never tried again."""
        reason = f"cannot sync {what}: {error.strerror or error}"
        if error.errno not in NO_ROOM:
            self.fail(reason)
        return StorageFailed(reason)
