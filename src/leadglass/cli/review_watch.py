"""While the server runs, overdue reviews are told: in the log each day, in the audit trail once."""

from __future__ import annotations

import asyncio
from datetime import UTC, date

import structlog

from leadglass.admin.review_notices import notices
from leadglass.app import Site
from leadglass.model.errors import LeadglassError
from leadglass.model.permit import Permit
from leadglass.policy.reviews import Review, reviews_due

REVIEWS_S = 10.0

log = structlog.get_logger()


async def watch_reviews(site: Site, permit: Permit) -> None:
    """Look every few seconds whether a day began or another policy is in force, and tell what is due."""
    told: tuple[date, tuple[Review, ...]] | None = None
    while True:
        policy = site.gate.policy
        today = site.clock.now().astimezone(UTC).date()  # as a review is judged
        due = reviews_due(policy, today)
        if told != (today, due):
            told = (today, due)
            await _tell(site, permit, due, today)
        await asyncio.sleep(REVIEWS_S)


async def _tell(site: Site, permit: Permit, due: tuple[Review, ...], today: date) -> None:
    overdue = [review for review in due if review.is_overdue(today)]
    for review in due:
        say = log.warning if review.is_overdue(today) else log.info
        say("review", what=review.told(today))
    if not overdue:
        return
    try:
        lines = await asyncio.to_thread(notices, permit, site.engine, overdue, today, site.settings.ae[0])
        for line in lines:
            site.gate.record(line)
    except LeadglassError as error:
        log.error("an overdue review could not be recorded", reason=str(error))
