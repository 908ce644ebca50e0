"""The moments that rules of hours and weekdays tell apart, of the week to come.

A test of the policy must have one answer whatever the hour it is loaded at. It asks for the best case, as
with everything else that it leaves open: what is allowed at some hour of some day is allowed.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from leadglass.policy.conditions.hours import DAY_MINUTES, Hours
from leadglass.policy.conditions.weekdays import Weekdays
from leadglass.policy.model import Bound
from leadglass.policy.policy import Policy

WEEK_DAYS = 7


def moments(policy: Policy, now: datetime) -> tuple[datetime, ...]:
    """``moments_of`` all rules of a policy."""
    flows = [bound for flow in policy.flows.values() for bound in flow.term]
    grants = [bound for grant in policy.grants.values() for bound in grant.term]
    return moments_of((*flows, *grants), policy.time_zone, now)


def moments_of(bounds: Collection[Bound], time_zone: ZoneInfo, now: datetime) -> tuple[datetime, ...]:
    """``now`` (aware) first; then, if any rule has hours or weekdays, each time that one begins or ends."""
    edges = {
        edge % DAY_MINUTES
        for bound in bounds
        if isinstance(bound, Hours)
        for span in bound.spans
        for edge in (span.start, span.end)
    }
    if not edges and not any(isinstance(bound, Weekdays) for bound in bounds):
        return (now,)
    today = now.astimezone(time_zone).date()
    coming = (
        datetime.combine(today + timedelta(days=day), time(*divmod(edge, 60)), time_zone)
        for day in range(WEEK_DAYS + 1)
        for edge in sorted(edges | {0})
    )
    return (now, *(moment for moment in coming if moment > now))
