"""``delete``, ``bin``, ``hold`` and ``label``: what goes, what comes back, what must stay."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import Progress

from leadglass.app import local_site
from leadglass.archive.deletion import Subject
from leadglass.archive.labels import put_label, take_label
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
from leadglass.cli.running import is_served
from leadglass.model.action import Verb
from leadglass.model.errors import PeerError, RequestInvalid
from leadglass.model.names import Uid, parse_uid
from leadglass.model.query import Level
from leadglass.use_cases import deleter_of

delete_app = typer.Typer(help="Move a study, series or instance to the bin.", no_args_is_help=True)
bin_app = typer.Typer(help="What was deleted: list it, take it back, erase it.", no_args_is_help=True)
hold_app = typer.Typer(help="Legal holds: nothing of the study is deleted or erased.", no_args_is_help=True)
label_app = typer.Typer(help="Labels of studies, which the policy's rules may name.", no_args_is_help=True)

UidArgument = Annotated[str, typer.Argument(metavar="UID", help="Its UID.")]
LabelArgument = Annotated[str, typer.Argument(metavar="LABEL", help="Letters, digits, dots and hyphens.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with it and in the audit trail.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")]
StudyOption = Annotated[str | None, typer.Option("--study", metavar="UID", help="A whole study.")]


@delete_app.command("study")
def delete_study(
    context: typer.Context,
    uid: UidArgument,
    reason: Reason,
    yes: Yes = False,  # noqa: FBT002  a flag of the command line
    dry_run: DryRun = False,  # noqa: FBT002  the same
    as_json: JsonOption = False,  # noqa: FBT002  the same
) -> None:
    """Move a study to the bin."""
    _delete(context, Level.STUDY, uid, reason, yes=yes, dry_run=dry_run, as_json=as_json)


@delete_app.command("series")
def delete_series(
    context: typer.Context,
    uid: UidArgument,
    reason: Reason,
    yes: Yes = False,  # noqa: FBT002  a flag of the command line
    dry_run: DryRun = False,  # noqa: FBT002  the same
    as_json: JsonOption = False,  # noqa: FBT002  the same
) -> None:
    """Move a series to the bin."""
    _delete(context, Level.SERIES, uid, reason, yes=yes, dry_run=dry_run, as_json=as_json)


@delete_app.command("instance")
def delete_instance(
    context: typer.Context,
    uid: UidArgument,
    reason: Reason,
    yes: Yes = False,  # noqa: FBT002  a flag of the command line
    dry_run: DryRun = False,  # noqa: FBT002  the same
    as_json: JsonOption = False,  # noqa: FBT002  the same
) -> None:
    """Move an instance to the bin."""
    _delete(context, Level.IMAGE, uid, reason, yes=yes, dry_run=dry_run, as_json=as_json)


@bin_app.command("list")
def list_bin(context: typer.Context, as_json: JsonOption = False) -> None:  # noqa: FBT002  a flag of the command line
    """What the bin holds, and until when."""
    with local_site(home_of(context)) as site:
        content = deleter_of(site).content(site.permit(Verb.DELETE))
    if as_json:
        print_json(content)
        return
    rows = [
        (
            each.study_uid,
            str(each.instances),
            str(each.size_bytes),
            f"{each.deleted_at:%Y-%m-%d}",
            each.deleted_by,
            "legal hold" if each.held else f"{each.erase_at:%Y-%m-%d}",
            each.reason,
        )
        for each in content
    ]
    print_rows(("study", "instances", "bytes", "deleted", "by", "kept until", "reason"), rows)


@bin_app.command("restore")
def restore(
    context: typer.Context,
    study: StudyOption = None,
    series: Annotated[str | None, typer.Option("--series", metavar="UID", help="A series.")] = None,
    instance: Annotated[str | None, typer.Option("--instance", metavar="UID", help="An instance.")] = None,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Serve again what was deleted, as it was received. Exit 6 where what is stored now stands against it."""
    given = [(Level.STUDY, study), (Level.SERIES, series), (Level.IMAGE, instance)]
    named = [(level, uid) for level, uid in given if uid is not None]
    if len(named) != 1:
        say("error: name one of --study, --series, --instance")
        leave(Exit.USAGE)
    [(level, uid)] = named
    with local_site(home_of(context)) as site:
        back = deleter_of(site).put_back(site.permit(Verb.DELETE), Subject(level, _uid(uid)))
    if as_json:
        print_json(asdict(back))
    else:
        say(f"{back.restored} instances are served again")
    if back.kept:
        say(f"{back.kept} stay in the bin: the same instances were stored again meanwhile")
        leave(Exit.PARTLY_DONE)


@bin_app.command("empty")
def empty(
    context: typer.Context,
    study: StudyOption = None,
    yes: Yes = False,  # noqa: FBT002  a flag of the command line
    as_json: JsonOption = False,  # noqa: FBT002  the same
) -> None:
    """Erase what is past its time, or one study at once. Nobody will ever read it again."""
    home = home_of(context)
    with local_site(home) as site:
        permit = site.permit(Verb.DELETE)
        deleter = deleter_of(site)
        if study is not None and not yes:
            typer.confirm(f"Erase what the bin holds of study {study}, for good?", abort=True, err=True)
        condemned = deleter.condemn(permit, None if study is None else _uid(study))
        served = is_served(home)
        erased = 0
        if not served:
            with Progress(console=message_console(), transient=True) as progress:
                task = progress.add_task("erasing", total=None)

                def told(done: int) -> bool:
                    progress.update(task, completed=done)
                    return True

                erased = deleter.erase(permit, told)
    if as_json:
        print_json({"condemned": condemned, "erased": erased, "left_to_the_server": served})
        return
    say(f"{condemned} instances taken out of the bin")
    say("the running server erases them within a minute" if served else f"{erased} erased")


@hold_app.command("add")
def add_hold(context: typer.Context, uid: UidArgument, reason: Reason) -> None:
    """Place a legal hold on a study."""
    with local_site(home_of(context)) as site:
        placed = deleter_of(site).hold(site.permit(Verb.DELETE), _uid(uid), reason)
    say("held" if placed else "it was under a hold already; that one stays")


@hold_app.command("remove")
def remove_hold(context: typer.Context, uid: UidArgument, reason: Reason) -> None:
    """Lift a legal hold."""
    with local_site(home_of(context)) as site:
        lifted = deleter_of(site).release(site.permit(Verb.DELETE), _uid(uid), reason)
    if not lifted:
        say("error: the study is under no hold")
        leave(Exit.ERROR)
    say("released")


@hold_app.command("list")
def list_holds(context: typer.Context, as_json: JsonOption = False) -> None:  # noqa: FBT002  a flag of the command line
    """Every legal hold."""
    with local_site(home_of(context)) as site:
        holds = deleter_of(site).holds(site.permit(Verb.DELETE))
    if as_json:
        print_json(holds)
        return
    rows = [(each.study_uid, f"{each.placed_at:%Y-%m-%d}", each.placed_by, each.reason) for each in holds]
    print_rows(("study", "since", "by", "reason"), rows)


def _delete(
    context: typer.Context, level: Level, text: str, reason: str, *, yes: bool, dry_run: bool, as_json: bool
) -> None:
    with local_site(home_of(context)) as site:
        permit = site.permit(Verb.DELETE)
        deleter = deleter_of(site)
        subject = Subject(level, _uid(text))
        affected = deleter.affected(permit, subject)
        if not as_json:
            print_fields(
                {
                    "patient": f"{affected.patient_id} {affected.patient_name}".strip(),
                    "study": ", ".join(affected.studies),
                    "series": str(affected.series),
                    "instances": str(affected.instances),
                    "bytes": str(affected.size_bytes),
                }
            )
        if not dry_run and not yes:
            days = site.settings.retention.bin_days
            typer.confirm(f"Move this to the bin, for {days} days?", abort=True, err=True)
        deleted = 0 if dry_run else deleter.delete(permit, subject, reason)
    if as_json:
        print_json({**asdict(affected), "deleted": deleted})
        return
    say("nothing was changed" if dry_run else f"{deleted} instances are in the bin: 'leadglass bin list'")


def _uid(text: str) -> Uid:
    try:
        return parse_uid(text)
    except PeerError as error:
        raise RequestInvalid(f"{text!r} is no UID: {error}") from error


@label_app.command("add")
def add_label(context: typer.Context, uid: UidArgument, label: LabelArgument) -> None:
    """Put a label on a study."""
    with local_site(home_of(context)) as site:
        put_label(site.permit(Verb.MANAGE), site.index, site.committer, _uid(uid), label)
    say("labelled")


@label_app.command("remove")
def remove_label(context: typer.Context, uid: UidArgument, label: LabelArgument) -> None:
    """Take a label off a study."""
    with local_site(home_of(context)) as site:
        take_label(site.permit(Verb.MANAGE), site.index, site.committer, _uid(uid), label)
    say("taken off")
