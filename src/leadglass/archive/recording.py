"""Where the use cases of images put their lines for the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from leadglass.model.event import AuditEvent


class Recorder(Protocol):
    """Takes lines of what has happened; the committer is one. Safe to call from any thread."""

    def note(self, events: Iterable[AuditEvent]) -> None:
        """Queue the lines.

        Raises:
            AuditFailed: too many wait already.
        """

    def flush(self) -> None:
        """Wait until they are durable.

        Raises:
            AuditFailed: they are not.
        """
