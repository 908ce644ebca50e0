"""``compact``: the room of what was erased, back to the disk."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from leadglass.app import local_site
from leadglass.archive.compaction import Candidate, Result, compact_all
from leadglass.cli.files import home_of
from leadglass.cli.output import Exit, JsonOption, leave, message_console, print_json, print_rows, say
from leadglass.cli.running import serving_lock
from leadglass.model.action import Verb
from leadglass.model.errors import AlreadyServing
from leadglass.use_cases import compactor_of

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show which segments.")]


def compact(
    context: typer.Context,
    dry_run: DryRun = False,  # noqa: FBT002  a flag of the command line
    as_json: JsonOption = False,  # noqa: FBT002  the same
) -> None:
    """Give back the room of what was erased. A running server does so by itself. Exit 6 if some must wait."""
    home = home_of(context)
    with local_site(home) as site:
        permit = site.permit(Verb.DELETE)
        compactor = compactor_of(site)
        found = compactor.candidates(permit)
        done: dict[str, Result] = {}
        if not dry_run:
            try:
                with serving_lock(home), _bar() as bar:
                    wanted = sum(each.live_bytes for each in found if not each.unknown)
                    task = bar.add_task("copying", total=wanted)

                    def copied(length: int) -> bool:
                        bar.advance(task, length)
                        return True

                    for candidate, result in compact_all(compactor, permit, timedelta(), copied):
                        done[candidate.segment] = result
            except AlreadyServing:
                say("error: the running server compacts by itself, within a minute; see --dry-run")
                leave(Exit.ERROR)
    rows = [(each, _told(each, done)) for each in found]
    if as_json:
        print_json(
            [
                {
                    "segment": each.segment,
                    "size_bytes": each.size_bytes,
                    "live_bytes": each.live_bytes,
                    "result": result,
                }
                for each, result in rows
            ]
        )
    else:
        table = [(each.segment, str(each.size_bytes), str(each.live_bytes), result) for each, result in rows]
        print_rows(("segment", "bytes", "of them live", "result"), table)
    if done and set(done.values()) != {Result.DONE}:
        leave(Exit.PARTLY_DONE)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    return Progress(*columns, console=message_console(), transient=True)


def _told(candidate: Candidate, done: dict[str, Result]) -> str:
    if candidate.unknown:
        return "left: it holds what the index does not know"
    result = done.get(candidate.segment)
    return "to do" if result is None else result.value
