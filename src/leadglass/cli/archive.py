"""``check``: whether everything that was acknowledged is still here, and as it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from leadglass.app import local_site
from leadglass.cli.damages import Checked, checked
from leadglass.cli.files import home_of
from leadglass.cli.output import Exit, JsonOption, leave, print_fields, print_json, say
from leadglass.model.names import Uid
from leadglass.use_cases import repaired

RepairOption = Annotated[
    bool,
    typer.Option("--repair", help="Set damaged objects aside, so that they can be sent again; count anew."),
]


def check(
    context: typer.Context,
    repair: RepairOption = False,  # noqa: FBT002  a flag of the command line
    as_json: JsonOption = False,  # noqa: FBT002  the same
) -> None:
    """Compare segments, index and audit trail, reading every object. Exit 5 on damage, repaired or not.

    Names patients, on a terminal and in --json.
    """
    with local_site(home_of(context)) as site:
        found = checked(site)
        aside, recounted = repaired(site, found.report) if repair else ([], 0)
    _print(found, aside, recounted, as_json=as_json)
    if not found.report.sound:
        leave(Exit.INTEGRITY_BROKEN)


def _print(found: Checked, aside: Sequence[Uid], recounted: int, *, as_json: bool) -> None:
    report = found.report
    if as_json:
        print_json({**found.as_json(), "set_aside": aside, "recounted": recounted})
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
    found.say_damages()
    for instance in aside:
        say(f"set aside: instance {instance}: have its sender send it again; the damaged one is in the bin")
    if recounted:
        say(f"recounted: {recounted} rows of the index")
    say("sound" if report.sound else f"{report.damage_count} damages found")
