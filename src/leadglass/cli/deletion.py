"""``delete`` and ``bin``: what goes, what comes back, what is erased."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import Progress

from leadglass.app import local_site
from leadglass.archive.deletion import Subject
from leadglass.cli.asking import DryRunOption, YesOption, ask_unless
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
from leadglass.cli.uids import Reason, StudyOption, UidArgument, uid_of
from leadglass.model.action import Verb
from leadglass.model.query import Level
from leadglass.use_cases import deleter_of

delete_app = typer.Typer(help="Move a study, series or instance to the bin.", no_args_is_help=True)
bin_app = typer.Typer(help="What was deleted: list it, take it back, erase it.", no_args_is_help=True)


def _deletion(level: Level) -> Callable[..., None]:
    """The command that moves something of this level to the bin."""

    def command(
        context: typer.Context,
        uid: UidArgument,
        reason: Reason,
        yes: YesOption = False,  # noqa: FBT002  a flag of the command line
        dry_run: DryRunOption = False,  # noqa: FBT002  the same
        as_json: JsonOption = False,  # noqa: FBT002  the same
    ) -> None:
        _delete(context, Subject(level, uid_of(uid)), reason, yes=yes, dry_run=dry_run, as_json=as_json)

    return command


for _level, _name, _help in (
    (Level.STUDY, "study", "Move a study to the bin."),
    (Level.SERIES, "series", "Move a series to the bin."),
    (Level.IMAGE, "instance", "Move an instance to the bin."),
):
    delete_app.command(_name, help=_help)(_deletion(_level))


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
        back = deleter_of(site).put_back(site.permit(Verb.DELETE), Subject(level, uid_of(uid)))
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
    yes: YesOption = False,  # noqa: FBT002  a flag of the command line
    as_json: JsonOption = False,  # noqa: FBT002  the same
) -> None:
    """Erase what is past its time, or one study at once. Nobody will ever read it again."""
    home = home_of(context)
    with local_site(home) as site:
        permit = site.permit(Verb.DELETE)
        deleter = deleter_of(site)
        if study is not None:
            ask_unless(f"Erase what the bin holds of study {study}, for good?", yes=yes)
        condemned = deleter.condemn(permit, None if study is None else uid_of(study))
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


def _delete(
    context: typer.Context, subject: Subject, reason: str, *, yes: bool, dry_run: bool, as_json: bool
) -> None:
    with local_site(home_of(context)) as site:
        permit = site.permit(Verb.DELETE)
        deleter = deleter_of(site)
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
        if not dry_run:
            ask_unless(f"Move this to the bin, for {site.settings.retention.bin_days} days?", yes=yes)
        deleted = 0 if dry_run else deleter.delete(permit, subject, reason)
    if as_json:
        print_json({**asdict(affected), "deleted": deleted})
        return
    say("nothing was changed" if dry_run else f"{deleted} instances are in the bin: 'leadglass bin list'")
