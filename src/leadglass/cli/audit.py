"""``audit``: read the trail, and prove it."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer
from rich.progress import Progress

from leadglass.admin.trail import Trail
from leadglass.app import local_site
from leadglass.audit.read import AuditLine, Filters, ndjson
from leadglass.cli.files import home_of
from leadglass.cli.output import (
    Exit,
    JsonOption,
    leave,
    message_console,
    print_fields,
    print_json,
    say,
    visible,
)
from leadglass.model.action import Verb
from leadglass.model.decision import RungState
from leadglass.model.event import Outcome
from leadglass.model.permit import Permit
from leadglass.use_cases import trail_of

FOLLOW_S = 0.5

app = typer.Typer(help="Read the audit trail, and prove that nobody changed it.", no_args_is_help=True)


@app.command()
def tail(
    context: typer.Context,
    count: Annotated[int, typer.Option("-n", "--count", help="How many lines.", min=1)] = 20,
    kind: Annotated[str | None, typer.Option(help="Only this kind, such as association.refused.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only this outcome.")] = None,
    who: Annotated[str | None, typer.Option(help="Only this device, user or address.")] = None,
    ladder: Annotated[bool, typer.Option("--ladder", help="Show how far each refused caller came.")] = False,  # noqa: FBT002  a flag
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")] = False,  # noqa: FBT002  a flag
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """The last lines of the audit trail, oldest first."""
    filters = Filters(kind=kind, outcome=outcome, who=who)
    with local_site(home_of(context)) as site:
        permit = site.permit(Verb.AUDIT)
        trail = trail_of(site)
        lines = trail.tail(permit, count, filters)
        _print(lines, ladder=ladder, as_json=as_json)
        if follow:
            _follow(trail, permit, lines[-1].seq if lines else 0, filters, ladder=ladder, as_json=as_json)


@app.command()
def verify(context: typer.Context, as_json: JsonOption = False) -> None:  # noqa: FBT002  a flag of the command line
    """Walk the whole chain and compare it with the signed checkpoints. Exit 5 if it is broken."""
    with local_site(home_of(context)) as site:
        permit = site.permit(Verb.AUDIT)
        with Progress(console=message_console(), transient=True) as progress:
            task = progress.add_task("audit", total=None)
            result = trail_of(site).verify(permit, lambda events: progress.update(task, completed=events))
    if as_json:
        print_json(result)
    else:
        print_fields({"lines": str(result.events), "checkpoints": str(result.checkpoints)})
    for problem in result.problems:
        say(f"broken: {problem}")
    if not result.ok:
        leave(Exit.INTEGRITY_BROKEN)
    say("the audit trail is whole")


def _follow(trail: Trail, permit: Permit, seq: int, filters: Filters, *, ladder: bool, as_json: bool) -> None:
    while True:
        lines = trail.after(permit, seq, filters)
        _print(lines, ladder=ladder, as_json=as_json)
        seq = lines[-1].seq if lines else seq
        time.sleep(FOLLOW_S)


def _print(lines: list[AuditLine], *, ladder: bool, as_json: bool) -> None:
    if as_json:
        for line in ndjson(lines):
            sys.stdout.buffer.write(line)
    else:
        for one in lines:
            sys.stdout.write(_one_line(one) + "\n")
            if ladder:
                sys.stdout.writelines(f"{rung}\n" for rung in _rungs(one))
    sys.stdout.flush()


def _one_line(line: AuditLine) -> str:
    event = line.event
    parts = [
        str(line.seq),
        line.time.strftime("%Y-%m-%d %H:%M:%S"),
        event.outcome.value,
        event.kind,
        event.who or "-",
    ]
    if event.calling_ae:
        parts.append(f"{event.calling_ae}>{event.called_ae}")
    parts += [text for text in (event.address, event.transport, event.rule, event.reason) if text]
    if event.instance:
        parts.append(f"instance {event.instance}")
    elif event.study:
        parts.append(f"study {event.study}")
    if event.count > 1:
        parts.append(f"x{event.count}")
    return visible("  ".join(parts))


def _rungs(line: AuditLine) -> list[str]:
    marks = {RungState.PASSED: "ok", RungState.FAILED: "NO", RungState.NOT_REACHED: "--"}
    rungs = [
        f"      {marks[rung.state]}  {rung.step.value:<10}  {visible(rung.detail)}"
        for rung in line.event.ladder
    ]
    if line.event.fix:
        rungs.append(f"      fix: {visible(line.event.fix)}")
    return rungs
