"""``backup`` and ``restore``: the whole site to a folder, and back."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from leadglass.admin.backup import BackupRequest, make_backup
from leadglass.admin.desk import record
from leadglass.admin.restore import OpenSnapshot, Restored, open_snapshot, read_through, restore_site
from leadglass.admin.snapshots import BackupFolder
from leadglass.admin.verification import Verified, verify_backup
from leadglass.app import Home, local_site, permit_without_site
from leadglass.cli.damages import Checked, checked
from leadglass.cli.files import home_of
from leadglass.cli.output import (
    Exit,
    JsonOption,
    leave,
    message_console,
    print_fields,
    print_json,
    print_rows,
    say,
)
from leadglass.cli.passphrases import PassphraseFile, known_passphrase, new_passphrase
from leadglass.model.action import SITE, Verb
from leadglass.model.event import Outcome
from leadglass.model.permit import Permit
from leadglass.use_cases import backup_rooms

MIB = 1 << 20

Folder = Annotated[
    Path, typer.Argument(help="The backup's folder, on another disk; made where it is missing.")
]


def backup(
    context: typer.Context,
    folder: Folder,
    keep: Annotated[
        int, typer.Option(min=0, help="Keep only so many snapshots, the newest; 0 keeps all.")
    ] = 0,
    mib_per_s: Annotated[
        int, typer.Option("--mib-per-s", min=0, help="Copy no faster; 0 is as fast as can be.")
    ] = 0,
    verify: Annotated[  # noqa: FBT002  a flag of the command line
        bool,
        typer.Option("--verify", help="Add nothing: read and compare all that is there. Needs no site."),
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_json: JsonOption = False,  # noqa: FBT002  the same
) -> None:
    """Add a snapshot of all to a backup, while the archive serves. Exit 6 if a segment cannot be read.

    With --verify: exit 5 if anything is damaged, 6 if a snapshot could not be compared in full.
    """
    if verify:
        if keep:
            say("error: --keep removes snapshots, and --verify changes nothing: give one of them")
            leave(Exit.USAGE)
        _verify(context, BackupFolder.open(folder), passphrase_file, mib_per_s, as_json=as_json)
        return
    home = home_of(context)
    with local_site(home) as site:
        permit = site.permit(Verb.BACKUP)
        passphrase = new_passphrase(passphrase_file)
        with _bars(mib_per_s) as bars:
            made = make_backup(
                permit,
                backup_rooms(site),
                BackupRequest(folder, passphrase, keep or None),
                site.gate,
                site.clock,
                secrets.token_bytes,
                bars,
            )
    if as_json:
        print_json(asdict(made))
    else:
        fields = {
            "snapshot": made.snapshot,
            "objects": str(made.objects),
            "segments": str(made.segments),
            "bytes added": str(made.added_bytes),
        }
        if keep:
            fields |= {"snapshots removed": str(made.removed), "bytes freed": str(made.freed_bytes)}
        print_fields(fields)
    for problem in made.problems:
        say(f"not as it is now: {problem}")
    say("prove it now and then: 'leadglass backup --verify'; the passphrase is in no file of the backup")
    if made.problem_count:
        leave(Exit.PARTLY_DONE)


def _verify(
    context: typer.Context,
    backup_folder: BackupFolder,
    passphrase_file: Path | None,
    mib_per_s: int,
    *,
    as_json: bool,
) -> None:
    passphrase = known_passphrase(passphrase_file)

    def verified(permit: Permit) -> Verified:
        with _bars(mib_per_s) as bars:
            return verify_backup(permit, backup_folder, passphrase, bars)

    if context.find_root().obj is None:
        result = verified(permit_without_site(Verb.BACKUP))
    else:
        with local_site(home_of(context)) as site:
            permit = site.permit(Verb.BACKUP)
            result = verified(permit)
            outcome = Outcome.ALERT if result.problem_count else Outcome.DONE
            reason = (
                f"{result.snapshots} snapshots, {result.objects} objects, {result.problem_count} problems"
            )
            record(site.gate, permit, "backup.verified", SITE, reason, outcome)
    _print_verified(result, as_json=as_json)
    if result.problem_count:
        leave(Exit.INTEGRITY_BROKEN)
    if result.not_compared:
        leave(Exit.PARTLY_DONE)


def _print_verified(result: Verified, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(result))
    else:
        print_fields(
            {
                "snapshots": str(result.snapshots),
                "segments": str(result.segments),
                "bytes": str(result.size_bytes),
                "objects": str(result.objects),
                "problems": str(result.problem_count),
            }
        )
    for problem in result.problems:
        say(f"damaged in the backup: {problem}")
    for name in result.not_compared:
        say(f"snapshot {name} is of an older Leadglass: 'leadglass restore' compares its objects")
    say(f"{result.problem_count} problems found" if result.problem_count else "all that was read is sound")


def restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The backup's folder.")],
    snapshot: Annotated[str, typer.Option(help="Which snapshot; the newest if not given.")] = "",
    list_only: Annotated[bool, typer.Option("--list", help="Only show the snapshots.")] = False,  # noqa: FBT002
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything, write nothing.")] = False,  # noqa: FBT002
    passphrase_file: PassphraseFile = None,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Make the site of a backup in an empty folder, and check it. Exit 5 if not all of it is sound."""
    found = BackupFolder.open(folder)
    if list_only:
        _list(found, as_json=as_json)
        return
    home = None if dry_run else home_of(context)
    opened = open_snapshot(found, snapshot or found.latest(), known_passphrase(passphrase_file))
    if home is None:
        _dry_run(found, opened, as_json=as_json)
        return
    with found.reading(), _bars(0) as bars:
        restored = restore_site(opened, found.copies, home.directory, bars.reached)
    compared = _check(home, restored)
    _print(restored, compared, as_json=as_json)
    say(f"restored to {home.directory}; serve it only where the site it is a copy of is not served any more")
    if restored.problem_count or not compared.report.sound:
        leave(Exit.INTEGRITY_BROKEN)


def _list(found: BackupFolder, *, as_json: bool) -> None:
    abouts = found.abouts()
    if as_json:
        print_json(abouts)
        return
    print_rows(
        ("snapshot", "made at", "archive", "objects", "bytes", "problems"),
        [
            (each.id, each.made_at, each.name, str(each.objects), str(each.size_bytes), str(each.problems))
            for each in abouts
        ],
    )


def _dry_run(found: BackupFolder, opened: OpenSnapshot, *, as_json: bool) -> None:
    with found.reading(), _bars(0) as bars:
        restored = read_through(opened, found.copies, bars.reached)
    _print(restored, None, as_json=as_json)
    say(
        "nothing was written; the snapshot can be restored" if not restored.problem_count else "it is damaged"
    )
    if restored.problem_count:
        leave(Exit.INTEGRITY_BROKEN)


def _check(home: Home, restored: Restored) -> Checked:
    """Compare everything that was brought back, as ``check`` does; the trail says where it came from."""
    with local_site(home) as site:
        permit = site.permit(Verb.MANAGE)
        outcome = Outcome.ALERT if restored.problem_count else Outcome.DONE
        reason = f"from snapshot {restored.snapshot}, {restored.problem_count} problems"
        record(site.gate, permit, "site.restored", SITE, reason, outcome)
        return checked(site)


def _print(restored: Restored, found: Checked | None, *, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(restored), "check": None if found is None else found.as_json()})
    else:
        fields = {
            "snapshot": restored.snapshot,
            "segments": str(restored.segments),
            "bytes": str(restored.size_bytes),
            "problems": str(restored.problem_count),
        }
        if found is not None:
            report = found.report
            fields |= {"objects": str(report.objects), "damages": str(report.damage_count)}
        print_fields(fields)
    for problem in restored.problems:
        say(f"damaged in the backup: {problem}")
    if found is not None:
        found.say_damages()


class _Bars:
    """One bar for each of what is copied, and the brake; a ``Watcher``."""

    def __init__(self, progress: Progress, bytes_per_s: int) -> None:
        self._progress = progress
        self._bytes_per_s = bytes_per_s
        self._tasks: dict[str, TaskID] = {}

    def reached(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)

    def copied(self, length: int) -> None:
        if self._bytes_per_s:
            time.sleep(length / self._bytes_per_s)


@contextmanager
def _bars(mib_per_s: int) -> Iterator[_Bars]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=message_console(), transient=True) as progress:
        yield _Bars(progress, mib_per_s * MIB)
