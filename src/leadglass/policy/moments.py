"""The moments at which a question without a time is asked: now, and whenever some rule begins to hold.

A test of the policy must have one answer whatever the hour it is loaded at. It asks for the best case, as
with everything else that it leaves open: what is allowed at some hour of some day is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta

from leadglass.policy.conditions.hours import Hours
from leadglass.policy.conditions.weekdays import Weekdays
from leadglass.policy.model import Bound
from leadglass.policy.policy import Policy

WEEK_DAYS = 7


def moments(policy: Policy, now: datetime) -> tuple[datetime, ...]:
    """``now`` (aware); and where the policy knows hours or weekdays, their beginnings of the week to come."""
    bounds = list(_bounds(policy))
    starts = {span.start for bound in bounds if isinstance(bound, Hours) for span in bound.spans}
    if not starts and not any(isinstance(bound, Weekdays) for bound in bounds):
        return (now,)
    today = now.astimezone(policy.time_zone).date()
    coming = (
        datetime.combine(today + timedelta(days=day), time(*divmod(start, 60)), policy.time_zone)
        for day in range(WEEK_DAYS + 1)
        for start in sorted(starts | {0})
    )
    return (now, *(moment for moment in coming if moment > now))


def _bounds(policy: Policy) -> Iterator[Bound]:
    for flow in policy.flows.values():
        yield from flow.term
    for grant in policy.grants.values():
        yield from grant.term
