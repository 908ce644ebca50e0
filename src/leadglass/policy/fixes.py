"""The narrowest rule that would permit what was refused, as TOML to paste. It ends in a week."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from leadglass.model.action import ARCHIVE, Verb

TRIAL = timedelta(days=7)


def flow_fix(source: str, target: str, verb: Verb, now: datetime) -> str:
    """A flow of one verb between one device and the archive; names are of the policy."""
    device = target if source == ARCHIVE else source
    whom = f'from "{source}"' if target == ARCHIVE else f'from "{source}" to "{target}"'
    return (
        f'add "{verb}" to a flow {whom}: [flows] {device}-{verb} = '
        f'{{ from = ["{source}"], to = "{target}", can = ["{verb}"], expires = {last_day_of_trial(now)} }}'
    )


def grant_fix(groups: Iterable[str], zone: str, verb: Verb, now: datetime) -> str:
    """A grant of one verb to one of the person's groups, from where they are."""
    group = min(groups, default=None)
    if group is None:
        return "give the person a role that a group of the policy names"
    ends = last_day_of_trial(now)
    return (
        f'add "{verb}" to a grant for "{group}": [grants] {group}-{verb} = {{ who = "{group}", '
        f'from = ["{zone}"], on = "any", can = ["{verb}"], need = ["mfa"], expires = {ends} }}'
    )


def last_day_of_trial(now: datetime) -> date:
    """When a rule ends that nobody has thought about for longer."""
    return (now.astimezone(UTC) + TRIAL).date()
