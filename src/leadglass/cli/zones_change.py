"""``zones apply``, ``allow`` and ``rollback``: change the policy, once it was shown what that opens."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from leadglass.admin.desk import Desk
from leadglass.admin.policy_apply import (
    Proposal,
    propose,
    propose_former,
    propose_rule,
    put_in_force,
)
from leadglass.admin.policy_text import changed_lines
from leadglass.app import local_site
from leadglass.cli.asking import DryRunOption, YesOption, ask_unless
from leadglass.cli.files import home_of
from leadglass.cli.output import Exit, JsonOption, leave, print_json, say, visible
from leadglass.model.action import Verb
from leadglass.model.permit import Permit
from leadglass.policy import QuestionInvalid
from leadglass.policy.narrowest import AllowedAlready, NoRuleHelps
from leadglass.policy.reach import Difference
from leadglass.sitefile.table import MAX_TEXT_CHARACTERS
from leadglass.use_cases import desk_of


def apply(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The policy to put in force.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the audit trail.")] = "",
    yes: YesOption = False,  # noqa: FBT002  a flag of the command line
    dry_run: DryRunOption = False,  # noqa: FBT002  a flag of the command line
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Put a policy in force: check it, run its tests, show what it opens and closes, ask, replace.

    A running server takes it within a second: what is still allowed goes on, what no longer is is cut.
    """
    with local_site(home_of(context)) as site:
        permit, desk = site.permit(Verb.MANAGE), desk_of(site)
        proposal = propose(permit, desk, file)
        apply_proposal(permit, desk, proposal, reason, yes=yes, dry_run=dry_run, as_json=as_json)


def allow(
    context: typer.Context,
    question: Annotated[list[str], typer.Argument(help="Such as: us1 find.")],
    expires: Annotated[
        str, typer.Option("--expires", metavar="DAYS|DATE", help="The rule's last day: 7d, or 2027-01-31.")
    ] = "7d",
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the rule and the audit.")] = "",
    yes: YesOption = False,  # noqa: FBT002  a flag of the command line
    dry_run: DryRunOption = False,  # noqa: FBT002  a flag of the command line
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Write the narrowest rule that permits something: one caller, one verb, one target, until a day.

    It runs the policy's tests, shows what opens, and asks. What a guard or condition stops, no rule permits.
    """
    with local_site(home_of(context)) as site:
        permit, desk = site.permit(Verb.MANAGE), desk_of(site)
        try:
            last_day = last_day_of("--expires", expires, site.clock.now())
            _check_note(reason)
            proposal = propose_rule(permit, desk, " ".join(question), last_day, reason)
        except AllowedAlready as error:
            say(str(error))
            return
        except NoRuleHelps as error:
            say(f"error: {error}")
            leave(Exit.FINDINGS)
        except QuestionInvalid as error:
            say(f"error: {error}")
            leave(Exit.USAGE)
        if not as_json:
            print_lines(desk, proposal)
        apply_proposal(permit, desk, proposal, reason, yes=yes, dry_run=dry_run, as_json=as_json)


def _check_note(reason: str) -> None:
    """The reason stands in the rule, where a text is one line."""
    if reason and not (reason.isprintable() and len(reason) <= MAX_TEXT_CHARACTERS):
        raise QuestionInvalid(f"--reason must be one line of at most {MAX_TEXT_CHARACTERS} characters")


def last_day_of(option: str, text: str, now: datetime) -> date:
    """The day that an option such as ``7d`` or ``2027-01-31`` means.

    Raises:
        QuestionInvalid: neither, or it has passed.
    """
    today = now.astimezone(UTC).date()
    days = re.fullmatch(r"([0-9]{1,4})d", text)
    try:
        last_day = today + timedelta(days=int(days[1])) if days else date.fromisoformat(text)
    except ValueError:
        raise QuestionInvalid(f"{option} {text!r} is no time; write 7d, or a day like 2027-01-31") from None
    if last_day < today:
        raise QuestionInvalid(f"{option} {text} has passed")
    return last_day


def rollback(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the audit trail.")] = "",
    yes: YesOption = False,  # noqa: FBT002  a flag of the command line
    dry_run: DryRunOption = False,  # noqa: FBT002  a flag of the command line
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Put the policy back that the last change replaced. Rolling back twice is where you were."""
    with local_site(home_of(context)) as site:
        permit, desk = site.permit(Verb.MANAGE), desk_of(site)
        proposal = propose_former(permit, desk)
        apply_proposal(permit, desk, proposal, reason, yes=yes, dry_run=dry_run, as_json=as_json)


def apply_proposal(
    permit: Permit, desk: Desk, proposal: Proposal, reason: str, *, yes: bool, dry_run: bool, as_json: bool
) -> bool:
    """Show what a policy opens and closes, ask, and put it in force; whether it now is and was not."""
    if proposal.standing_is_broken:
        say("warning: the policy in place has errors; this is compared with one that permits nothing")
    if not as_json:
        print_difference(proposal.difference)
    wanted = not proposal.is_standing and not dry_run
    if wanted:
        ask_unless("Put it in force?", yes=yes)
        put_in_force(permit, desk, proposal, reason)
    if as_json:
        print_json({"applied": wanted, "difference": proposal.difference})
    elif proposal.is_standing:
        say("it is in place already")
    else:
        say(_done(proposal) if wanted else "nothing was changed")
    return wanted


def _done(proposal: Proposal) -> str:
    if proposal.standing_is_broken:
        return "in place; the old one is kept as policy.toml.1, and has to be mended before it can come back"
    return "in place; 'zones rollback' puts the old one back"


def print_lines(desk: Desk, proposal: Proposal) -> None:
    """The lines of the policy that an edit of ours takes away and writes."""
    for line in changed_lines(desk.policy_path.name, proposal.standing, proposal.draft.text):
        typer.echo(visible(line))


def print_difference(difference: Difference) -> None:
    """A line for each thing that opens or closes."""
    for mark, reaches in (("+", difference.opened), ("-", difference.closed)):
        for each in reaches:
            typer.echo(visible(f"{mark} {each}"))
    opened, closed = len(difference.opened), len(difference.closed)
    say(f"{opened} opened, {closed} closed; {difference.examined} cells examined")
