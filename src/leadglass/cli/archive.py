"""``check``: whether everything that was acknowledged is still here, and as it came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import Progress, TaskID

from leadglass.app import Site, local_site
from leadglass.archive.check import CheckReport, Damage, Stage
from leadglass.cli.files import home_of
from leadglass.cli.output import Exit, JsonOption, leave, message_console, print_fields, print_json, say
from leadglass.model.action import Verb
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.names import Uid
from leadglass.use_cases import checker_of, repaired

RepairOption = Annotated[
    bool, typer.Option("--repair", help="Set damaged objects aside, so that they can be sent again.")
]


def check(
    context: typer.Context,
    repair: RepairOption = False,  # noqa: FBT002  a flag of the command line
    as_json: JsonOption = False,  # noqa: FBT002  the same
) -> None:
    """Compare segments, index and audit trail, reading every object. Exit 5 on damage, repaired or not."""
    with local_site(home_of(context)) as site:
        report = checked(site)
        aside = repaired(site, report) if repair and report.repairable else []
    _print(report, aside, as_json=as_json)
    if not report.sound:
        leave(Exit.INTEGRITY_BROKEN)


def checked(site: Site) -> CheckReport:
    """Check an opened site, with bars that show how far it is, and record how it ended."""
    permit = site.permit(Verb.CHECK)
    with Progress(console=message_console(), transient=True) as progress:
        report = checker_of(site).check(permit, _Bars(progress))
    site.gate.record(
        AuditEvent(
            kind="check.finished",
            outcome=Outcome.DONE if report.sound else Outcome.ALERT,
            who=permit.who,
            reason="" if report.sound else f"{report.damage_count} damages",
            count=report.objects,
        )
    )
    return report


def say_damages(report: CheckReport) -> None:
    """Each damage, and who may have another copy."""
    for damage in report.damages:
        say(f"damage: {damage.what}{_where(damage)}")


class _Bars:
    """One bar a stage."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[Stage, TaskID] = {}

    def __call__(self, stage: Stage, done: int, total: int | None) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage.value, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)


def _print(report: CheckReport, aside: Sequence[Uid], *, as_json: bool) -> None:
    if as_json:
        print_json({"sound": report.sound, **asdict(report), "set_aside": aside})
        return
    print_fields(
        {
            "objects": str(report.objects),
            "bytes": str(report.size_bytes),
            "quarantined": str(report.quarantined),
            "segments": str(report.segments),
            "unacknowledged": str(report.unacknowledged),
            "audit lines": str(report.audit_events),
            "damaged in bin": str(report.damaged_in_bin),
            "damages": str(report.damage_count),
        }
    )
    say_damages(report)
    for instance in aside:
        say(f"set aside: instance {instance}: have its sender send it again; the damaged one is in the bin")
    say("sound" if report.sound else f"{report.damage_count} damages found")


def _where(damage: Damage) -> str:
    """The object that is hit, if it is one, and who may have another copy of it."""
    if not damage.instance:
        return ""
    series = f", series {damage.series}" if damage.series else ""
    sender = f"; another copy may be at its sender, {damage.received_from}" if damage.received_from else ""
    return f" (study {damage.study}{series}, instance {damage.instance}{sender})"
