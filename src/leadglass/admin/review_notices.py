"""Which overdue reviews the audit trail was not told of yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from sqlalchemy import Engine

from leadglass.admin.desk import require
from leadglass.audit.read import Filters, after
from leadglass.index.engine import reading
from leadglass.index.failures import database_failures
from leadglass.model.action import Verb
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.permit import Permit
from leadglass.policy.reviews import Review

KIND: Final = "review.overdue"


def notices(
    permit: Permit, engine: Engine, overdue: Sequence[Review], today: date, who: str
) -> list[AuditEvent]:
    """A line for each that the trail has none of, with this date. Reads the trail's lines of that kind.

    Raises:
        IntegrityBroken, OutOfResources: the trail cannot be read.
        NotPermitted: ``permit`` is not for OPERATE.
    """
    require(permit, Verb.OPERATE)
    with database_failures(), reading(engine).connect() as connection:
        told = {line.event.reason for line in after(connection, 0, Filters(kind=KIND))}
    lines = (AuditEvent(KIND, Outcome.ALERT, who, reason=each.told(today)) for each in overdue)
    return [line for line in lines if line.reason not in told]
