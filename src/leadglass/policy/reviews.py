"""Which reviews a policy asks for, whom they concern, and which are due. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from leadglass.policy.conditions.review_by import ReviewBy
from leadglass.policy.policy import Policy

SOON: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Review:
    """One ``review_by``: ``where`` is its line of the policy, ``devices`` are those that it concerns."""

    where: str
    last_day: date
    devices: tuple[str, ...]
    owners: tuple[str, ...]

    def is_overdue(self, today: date) -> bool:
        """Whether its last day has passed."""
        return self.last_day < today

    def told(self, today: date) -> str:
        """What is due, who should see to it, and how, in one line."""
        when = f"was due {self.last_day}" if self.is_overdue(today) else f"is due {self.last_day}"
        refuses = "; what it permits is refused" if self.is_overdue(today) else ""
        owner = ", ".join(self.owners) or "no owner is written down"
        return f"the review of {self.where} {when}{refuses}; owner: {owner}"


def reviews(policy: Policy) -> tuple[Review, ...]:
    """Every one, the earliest first. Those of people's rules concern no device, and have no owner."""
    return tuple(sorted(_reviews(policy), key=lambda each: (each.last_day, each.where)))


def reviews_due(policy: Policy, today: date) -> tuple[Review, ...]:
    """Those that are overdue, or will be within 30 days."""
    return tuple(each for each in reviews(policy) if each.last_day <= today + SOON)


def _reviews(policy: Policy) -> Iterator[Review]:
    for zone in policy.zones.values():
        if zone.review is not None:
            inside = (each.name for each in policy.devices.values() if each.zone == zone.name)
            yield _review(policy, f"zones.{zone.name}", zone.review, tuple(inside))
    for flow in policy.flows.values():
        for bound in flow.term:
            if isinstance(bound, ReviewBy):
                joined = (name for name in policy.devices if _joins(policy, name, flow.name))
                yield _review(policy, f"flows.{flow.name}", bound, tuple(joined))
    for grant in policy.grants.values():
        for bound in grant.term:
            if isinstance(bound, ReviewBy):
                yield _review(policy, f"grants.{grant.name}", bound, ())


def _joins(policy: Policy, device: str, flow: str) -> bool:
    lookup = policy.lookup
    flows = (*lookup.flows_from.get(device, ()), *lookup.flows_to.get(device, ()))
    return any(each.name == flow for each in flows)


def _review(policy: Policy, where: str, bound: ReviewBy, devices: tuple[str, ...]) -> Review:
    owners = {policy.devices[name].inventory.owner for name in devices} - {""}
    return Review(where, bound.last_day, devices, tuple(sorted(owners)))
