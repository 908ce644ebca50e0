"""``zones``: check the policy, and have it explain itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from leadglass.admin.policy_explain import Advice, advice_on, explain_question
from leadglass.admin.policy_files import check_file
from leadglass.admin.policy_reach import Wanted, difference, prove_invariant, reach_of
from leadglass.app import Site, local_site
from leadglass.audit.read import AuditLine, Filters
from leadglass.cli.files import home_of
from leadglass.cli.output import Exit, JsonOption, leave, print_json, print_rows, say, visible
from leadglass.cli.zones_change import allow, apply, print_difference, rollback
from leadglass.cli.zones_ever import DAYS, show_use
from leadglass.cli.zones_render import render
from leadglass.model.action import MACHINE_VERBS, PERSON_VERBS, Verb
from leadglass.model.decision import Decision, Rung, RungState
from leadglass.model.event import Outcome
from leadglass.policy import Checked, QuestionInvalid
from leadglass.sitefile.finding import Severity
from leadglass.use_cases import trail_of

app = typer.Typer(help="Check the policy, and ask it who may do what.", no_args_is_help=True)

MAX_LINE_DIGITS = 18
MARKS = {RungState.PASSED: "ok", RungState.FAILED: "NO", RungState.NOT_REACHED: "--"}

File = Annotated[
    Path | None, typer.Argument(help="A policy file; the site's own if left out.", show_default=False)
]
for _command in (render, apply, allow, rollback):
    app.command()(_command)


@app.command()
def check(context: typer.Context, file: File = None, as_json: JsonOption = False) -> None:  # noqa: FBT002  a flag of the command line
    """Check a policy and run its tests. Exit 1 on errors, 4 if a test fails."""
    home = home_of(context)
    with local_site(home) as site:
        path = file or home.policy
        checked = check_file(site.permit(Verb.STATUS), path, site.clock.now())
    if as_json:
        print_json({"findings": checked.findings, "failed_tests": checked.failed_tests})
    else:
        for finding in checked.findings:
            typer.echo(visible(str(finding)))
        for failure in checked.failed_tests:
            typer.echo(visible(failure.told(str(path))))
    _leave_unless_good(checked)


@app.command()
def explain(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="question", help='Such as "us1 store archive modality=US".', show_default=False
        ),
    ] = None,
    denied: Annotated[
        str | None,
        typer.Option(
            "--denied",
            metavar="last|NUMBER",
            help="Explain a refusal that happened: a line of the audit.",
        ),
    ] = None,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Say whether something is allowed, by which rule, or how far it comes and the narrowest fix.

    Exit 3 if it is denied.
    """
    question = " ".join(words or ())
    if (not words) == (denied is None):
        say("error: give a question, or --denied")
        leave(Exit.USAGE)
    home = home_of(context)
    with local_site(home) as site:
        if denied is not None:
            _explain_line(site, denied, as_json=as_json)
            leave(Exit.FINDINGS)
        try:
            permit = site.permit(Verb.STATUS)
            explained = explain_question(permit, home.policy, question, site.clock.now())
        except QuestionInvalid as error:
            say(f"error: {error}")
            leave(Exit.USAGE)
    decision = explained.decision
    if as_json:
        more = {"places": explained.places, "advice": explained.advice}
        print_json({**msgspec.to_builtins(decision), **msgspec.to_builtins(more)})
    else:
        print_decision(question, decision)
        for place in explained.places:
            typer.echo(visible(f"  {place}"))
        _print_advice(explained.advice)
    if not decision.allowed:
        leave(Exit.FINDINGS)


def _explain_line(site: Site, which: str, *, as_json: bool) -> None:
    line = _denied_line(site, which)
    advice = advice_on(site.permit(Verb.STATUS), site.home.policy, line, site.clock.now())
    event = line.event
    if as_json:
        print_json({"line": line, "advice": advice})
        return
    asked = " ".join(word for word in (event.who or event.address, event.verb, event.target) if word)
    times = f", {event.count} times" if event.count > 1 else ""
    typer.echo(visible(f"{asked}: denied, line {line.seq} of {line.time:%Y-%m-%d %H:%M:%S} UTC{times}"))
    if event.calling_ae:
        titles = f"{event.calling_ae}>{event.called_ae}"
        typer.echo(visible(f"  from {event.address} over {event.transport}, {titles}"))
    _print_ladder(event.ladder, event.fix)
    _print_advice(advice)


def _denied_line(site: Site, which: str) -> AuditLine:
    trail, permit = trail_of(site), site.permit(Verb.AUDIT)
    if which == "last":
        found = next(iter(trail.tail(permit, 1, Filters(outcome=Outcome.DENIED))), None)
    elif which.isascii() and which.isdigit() and len(which) <= MAX_LINE_DIGITS:
        found = trail.line(permit, int(which))
    else:
        say('error: --denied takes "last" or the number of a line of the audit')
        leave(Exit.USAGE)
    if found is None or found.event.outcome is not Outcome.DENIED:
        say("error: nothing was denied" if which == "last" else f"error: line {which} is no refusal")
        leave(Exit.ERROR)
    return found


def _print_advice(advice: Advice | None) -> None:
    if advice is not None:
        typer.echo(visible(f"  to permit just that: {advice.command}"))
        for test in advice.breaks:
            typer.echo(visible(f"  which would break {test}"))


@app.command()
def diff(
    context: typer.Context,
    old: Annotated[str, typer.Argument(help="A policy file, or a git revision of the site's own.")],
    new: Annotated[
        str | None, typer.Argument(help="The same; the site's own if left out.", show_default=False)
    ] = None,
    fail_on_open: Annotated[  # noqa: FBT002  a flag of the command line
        bool, typer.Option("--fail-on-open", help="Exit 3 if something is allowed that was not.")
    ] = False,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Show what one policy allows and the other does not, whatever way they are written.

    Every question is compared that the two could answer differently, from now on.
    """
    home = home_of(context)
    with local_site(home) as site:
        permit = site.permit(Verb.STATUS)
        found = difference(permit, old, new or str(home.policy), home.policy, site.clock.now())
    if as_json:
        print_json(found)
    else:
        print_difference(found)
    if found.opened and fail_on_open:
        leave(Exit.FINDINGS)


@app.command()
def reach(
    context: typer.Context,
    who: Annotated[str | None, typer.Option("--who", help="Only this device, group or archive.")] = None,
    what: Annotated[
        str | None, typer.Option("--what", help="Only this target: studies, archive, or a device.")
    ] = None,
    zone: Annotated[str | None, typer.Option("--from", help="Only who comes from this zone.")] = None,
    ever: Annotated[  # noqa: FBT002  a flag of the command line
        bool, typer.Option("--ever", help="Each permission with when it was last used, by the audit.")
    ] = False,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="How far back --ever looks.")] = DAYS,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Show who can do what, now and in the week to come, as a table: a row for each pair, a column a verb."""
    home = home_of(context)
    if ever and (who or what or zone):
        say("error: --ever shows all; it takes none of --who, --what and --from")
        leave(Exit.USAGE)
    with local_site(home) as site:
        if ever:
            show_use(site, days, as_json=as_json)
            return
        permit = site.permit(Verb.STATUS)
        try:
            found = reach_of(permit, home.policy, Wanted(who, what, zone), site.clock.now())
        except QuestionInvalid as error:
            say(f"error: {error}")
            leave(Exit.USAGE)
    if as_json:
        print_json(found)
        return
    if not found:
        say("nothing is allowed of what was asked for")
        return
    verbs = [verb for verb in Verb if verb in MACHINE_VERBS | PERSON_VERBS]
    used = [verb for verb in verbs if any(each.verb is verb for each in found)]
    cells: dict[tuple[str, str], dict[Verb, str]] = {}
    for each in found:
        row = cells.setdefault((each.subject, each.target), {})
        row[each.verb] = "; ".join(word for word in (row.get(each.verb), each.circumstances or "yes") if word)
    print_rows(
        ("who", "target", *used),
        [(who, target, *(row.get(verb, "-") for verb in used)) for (who, target), row in cells.items()],
    )


@app.command()
def prove(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(metavar="invariant", help='Such as "no path from zone:remote to verb:store".'),
    ],
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Decide whether something is impossible, whoever asks and however: over every question there is.

    Exit 3 with the first question that is allowed. [invariants] of the policy are proved at every load.
    """
    home = home_of(context)
    with local_site(home) as site:
        permit = site.permit(Verb.STATUS)
        try:
            verdict = prove_invariant(permit, home.policy, " ".join(words), site.clock.now())
        except QuestionInvalid as error:
            say(f"error: {error}")
            leave(Exit.USAGE)
    counterexample = None if verdict.counterexample is None else str(verdict.counterexample)
    if as_json:
        print_json({"holds": verdict.holds, "examined": verdict.examined, "counterexample": counterexample})
    elif counterexample is None:
        typer.echo(f"holds ({verdict.examined} cells examined)")
    else:
        typer.echo(visible(f"does not hold: {counterexample}"))
    if not verdict.holds:
        leave(Exit.FINDINGS)


def print_decision(question: str, decision: Decision) -> None:
    """The ladder, the rule and the fix."""
    verdict = "allowed" if decision.allowed else "denied"
    rule = f" by {decision.rule}" if decision.rule else ""
    typer.echo(visible(f"{question}: {verdict}{rule}"))
    _print_ladder(decision.ladder, decision.fix)


def _print_ladder(ladder: tuple[Rung, ...], fix: str) -> None:
    for rung in ladder:
        typer.echo(visible(f"  {MARKS[rung.state]}  {rung.step.value:<10}  {rung.detail}"))
    if fix:
        typer.echo(visible(f"  fix: {fix}"))


def _leave_unless_good(checked: Checked) -> None:
    errors = sum(finding.severity is Severity.ERROR for finding in checked.findings)
    if errors:
        say("1 error" if errors == 1 else f"{errors} errors")
        leave(Exit.ERROR)
    if checked.failed_tests:
        say(f"{len(checked.failed_tests)} of the policy's tests failed")
        leave(Exit.POLICY_TESTS_FAILED)
    say("the policy is good")
