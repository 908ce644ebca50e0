"""The checkpoints that belong to one state of the trail, for a backup."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, func, select

from leadglass.audit.checkpoints import lines_up_to
from leadglass.audit.tables import audit_event


def checkpoints_of(connection: Connection, path: Path) -> bytes:
    """The lines of the checkpoint file that sign what ``connection`` sees, which reads one snapshot.

    The file is written before the database is, so it holds all of these and maybe some that came later.

    Raises:
        IntegrityBroken: the file cannot be read.
    """
    end = connection.execute(select(func.coalesce(func.max(audit_event.c.seq), 0))).scalar_one()
    return lines_up_to(path, int(end))
