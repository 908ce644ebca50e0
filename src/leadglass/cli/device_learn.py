"""``device learn``: watch one address for some days, then make a rule of what was seen, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from leadglass.admin.desk import Desk
from leadglass.admin.device_learn import (
    Item,
    Learned,
    learned,
    propose_rule,
    propose_stopping,
    propose_watching,
    record_learned,
    record_unwatched,
    record_watched,
)
from leadglass.app import Site, local_site
from leadglass.cli.asking import DryRunOption, answered_yes
from leadglass.cli.device_kept import discard_kept, release_kept
from leadglass.cli.files import home_of
from leadglass.cli.output import Exit, JsonOption, leave, print_json, print_rows, say
from leadglass.cli.zones_change import apply_proposal, last_day_of
from leadglass.model.action import Verb
from leadglass.policy import QuestionInvalid
from leadglass.use_cases import desk_of, trail_of

Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the audit trail.")]


def learn(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the device is to be called: a-z, 0-9 and hyphens.")],
    ip: Annotated[str | None, typer.Option("--ip", help="Watch this address from now on.")] = None,
    zone: Annotated[
        str | None, typer.Option("--zone", help="The zone of that address, where it is in two.")
    ] = None,
    until: Annotated[
        str, typer.Option("--for", metavar="DAYS|DATE", help="Until when: 14d, or a day at most 31 ahead.")
    ] = "14d",
    propose: Annotated[  # noqa: FBT002  a flag of the command line
        bool, typer.Option("--propose", help="Show the rule that it would take, and ask for each line of it.")
    ] = False,
    stop: Annotated[  # noqa: FBT002  a flag of the command line
        bool, typer.Option("--stop", help="Watch it no more, and make no rule.")
    ] = False,
    release: Annotated[  # noqa: FBT002  a flag of the command line
        bool, typer.Option("--release", help="Its rule is accepted: serve what was kept of it.")
    ] = False,
    discard: Annotated[  # noqa: FBT002  a flag of the command line
        bool, typer.Option("--discard", help="Erase what was kept of it, for good.")
    ] = False,
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: accept every line.")] = False,  # noqa: FBT002  a flag
    dry_run: DryRunOption = False,  # noqa: FBT002  a flag of the command line
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Watch one address before its device has a rule, then accept a rule of what was seen, line by line.

    Meanwhile its stores are acknowledged and kept in quarantine, its questions get no answers, and every
    attempt is in the audit trail. find, get and move are never proposed.
    """
    if sum((ip is not None, propose, stop, release, discard)) != 1:
        say("error: give one of --ip, --propose, --stop, --release and --discard")
        leave(Exit.USAGE)
    with local_site(home_of(context)) as site:
        desk = desk_of(site)
        if propose:
            _propose(site, desk, name, reason, yes=yes, dry_run=dry_run, as_json=as_json)
        elif release:
            release_kept(site, name, yes=yes, dry_run=dry_run, as_json=as_json)
        elif discard:
            discard_kept(site, name, yes=yes, dry_run=dry_run, as_json=as_json)
        elif stop:
            _stop(site, desk, name, reason, yes=yes, dry_run=dry_run, as_json=as_json)
        else:
            watching = (name, ip or "", zone, until)
            _watch(site, desk, watching, reason, yes=yes, dry_run=dry_run, as_json=as_json)


def _watch(
    site: Site,
    desk: Desk,
    watching: tuple[str, str, str | None, str],
    reason: str,
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    name, ip, zone, until = watching
    try:
        last_day = last_day_of("--for", until, site.clock.now())
    except QuestionInvalid as error:
        say(f"error: {error}")
        leave(Exit.USAGE)
    permit = site.permit(Verb.MANAGE)
    proposal = propose_watching(permit, desk, name, ip, zone, last_day)
    if apply_proposal(permit, desk, proposal, reason, yes=yes, dry_run=dry_run, as_json=as_json):
        record_watched(permit, desk, proposal.draft.policy, name)
        if not as_json:
            say(f"let the device try what it should do; then: leadglass device learn {name} --propose")


def _stop(site: Site, desk: Desk, name: str, reason: str, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    permit = site.permit(Verb.MANAGE)
    proposal = propose_stopping(permit, desk, name)
    if apply_proposal(permit, desk, proposal, reason, yes=yes, dry_run=dry_run, as_json=as_json):
        record_unwatched(permit, desk, name, reason)


def _propose(
    site: Site, desk: Desk, name: str, reason: str, *, yes: bool, dry_run: bool, as_json: bool
) -> None:
    found = learned(site.permit(Verb.AUDIT), desk, trail_of(site), name)
    if as_json and not yes:
        print_json(_document(found))
        return
    if not as_json:
        _print(found)
    if not found.items:
        say(f"{found.ip} has tried nothing yet that a rule could be made of")
        leave(Exit.FINDINGS)
    accepted = found.items if yes or dry_run else [item for item in found.items if _accepts(item)]
    permit = site.permit(Verb.MANAGE)
    proposal = propose_rule(permit, desk, found, accepted)
    if apply_proposal(permit, desk, proposal, reason, yes=yes, dry_run=dry_run, as_json=as_json):
        record_learned(permit, desk, proposal.draft.policy, name)
        if not as_json:
            say(f"what was kept of it meanwhile: leadglass device learn {name} --release, or --discard")


def _accepts(item: Item) -> bool:
    return answered_yes(f"{_line(item)}  ({item.seen}) ?")


def _line(item: Item) -> str:
    return f"{item.key} = {item.value}"


def _print(found: Learned) -> None:
    seen = found.seen
    if seen.first is not None and seen.last is not None:
        between = f"from {seen.first:%Y-%m-%d %H:%M} to {seen.last:%Y-%m-%d %H:%M}"
        say(f"{found.ip} in zone {found.zone}: {seen.attempts} attempts {between}, on {len(seen.days)} days")
    print_rows(("line", "seen"), _rows(found.items))
    for words in found.withheld:
        say(f"not proposed: {words}")
    for words in found.given_already:
        say(f"whatever is accepted here: {words}")


def _rows(items: Sequence[Item]) -> list[tuple[str, str]]:
    return [(f"{item.table}: {_line(item)}", item.seen) for item in items]


def _document(found: Learned) -> dict[str, object]:
    seen = found.seen
    return {
        "name": found.name,
        "zone": found.zone,
        "ip": found.ip,
        "until": found.until,
        "items": found.items,
        "withheld": found.withheld,
        "given_already": found.given_already,
        "attempts": seen.attempts,
        "first": seen.first,
        "last": seen.last,
        "days": len(seen.days),
    }
