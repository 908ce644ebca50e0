"""``zones reach --ever``: what is permitted, and what of it was used."""

from __future__ import annotations

from rich.progress import Progress

from leadglass.admin.policy_use import Permission, permissions_used
from leadglass.app import Site
from leadglass.cli.output import message_console, print_json, print_rows, say, visible
from leadglass.model.action import Verb

DAYS = 90


def show_use(site: Site, days: int, *, as_json: bool) -> None:
    """Print each permission with its use; those that nobody used come first."""
    now = site.clock.now()
    with Progress(console=message_console(), transient=True) as progress:
        task = progress.add_task("reading the audit trail", total=None)
        found = permissions_used(
            site.permit(Verb.AUDIT),
            site.home.policy,
            site.engine,
            days,
            now,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    if as_json:
        print_json(found)
        return
    print_rows(("who", "verb", "target", "last used", "times", "given by"), map(_row, found.permissions))
    unused = sum(each.last is None for each in found.permissions)
    say(f"{unused} of {len(found.permissions)} permissions were not used since {found.since:%Y-%m-%d}")
    looked_at = (now - found.since).days
    if looked_at < days:
        say(f"the trail goes back {looked_at} days only, not {days}: too early to close what is unused")
    elif unused:
        say("close one by taking its verb, or the device, out of the rule in the last column")


def _row(each: Permission) -> tuple[str, ...]:
    if each.last is not None:
        last = f"{each.last:%Y-%m-%d}"
    elif each.otherwise is not None:
        last = f"never by this rule; {each.otherwise:%Y-%m-%d} by one that is no more"
    else:
        last = "never"
    times = str(each.count) if each.count else "-"
    return (each.subject, each.verb, each.target, last, times, visible(each.place))
