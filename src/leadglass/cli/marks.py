"""``hold`` and ``label``: what is put on a study by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from leadglass.app import local_site
from leadglass.archive.labels import list_labels, put_label, take_label
from leadglass.cli.files import home_of
from leadglass.cli.output import Exit, JsonOption, leave, print_json, print_rows, say
from leadglass.cli.uids import Reason, UidArgument, uid_of
from leadglass.model.action import Verb
from leadglass.use_cases import deleter_of

hold_app = typer.Typer(help="Legal holds: nothing of the study is deleted or erased.", no_args_is_help=True)
label_app = typer.Typer(help="Labels of studies, which the policy's rules may name.", no_args_is_help=True)

LabelArgument = Annotated[str, typer.Argument(metavar="LABEL", help="Letters, digits, dots and hyphens.")]
OnlyStudy = Annotated[str | None, typer.Option("--study", metavar="UID", help="Only of this study.")]
OnlyLabel = Annotated[str | None, typer.Option("--label", help="Only studies that bear this label.")]


@hold_app.command("add")
def add_hold(
    context: typer.Context,
    uid: UidArgument,
    reason: Reason,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Place a legal hold on a study."""
    study = uid_of(uid)
    with local_site(home_of(context)) as site:
        placed = deleter_of(site).hold(site.permit(Verb.DELETE), study, reason)
    if as_json:
        print_json({"study_uid": study, "placed": placed})
        return
    say("held" if placed else "it was under a hold already; that one stays")


@hold_app.command("remove")
def remove_hold(
    context: typer.Context,
    uid: UidArgument,
    reason: Reason,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Lift a legal hold."""
    study = uid_of(uid)
    with local_site(home_of(context)) as site:
        lifted = deleter_of(site).release(site.permit(Verb.DELETE), study, reason)
    if as_json:
        print_json({"study_uid": study, "released": lifted})
    if not lifted:
        say("error: the study is under no hold")
        leave(Exit.ERROR)
    if not as_json:
        say("released")


@hold_app.command("list")
def list_holds(
    context: typer.Context,
    study: OnlyStudy = None,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Every legal hold."""
    only = None if study is None else uid_of(study)
    with local_site(home_of(context)) as site:
        every = deleter_of(site).holds(site.permit(Verb.DELETE))
    holds = [each for each in every if only in (None, each.study_uid)]
    if as_json:
        print_json(holds)
        return
    rows = [(each.study_uid, f"{each.placed_at:%Y-%m-%d}", each.placed_by, each.reason) for each in holds]
    print_rows(("study", "since", "by", "reason"), rows)


@label_app.command("add")
def add_label(
    context: typer.Context,
    uid: UidArgument,
    label: LabelArgument,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Put a label on a study."""
    study = uid_of(uid)
    with local_site(home_of(context)) as site:
        added = put_label(site.permit(Verb.MANAGE), site.index, site.committer, study, label)
    if as_json:
        print_json({"study_uid": study, "label": label, "added": added})
        return
    say("labelled" if added else "it bears that label already")


@label_app.command("remove")
def remove_label(
    context: typer.Context,
    uid: UidArgument,
    label: LabelArgument,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Take a label off a study."""
    study = uid_of(uid)
    with local_site(home_of(context)) as site:
        take_label(site.permit(Verb.MANAGE), site.index, site.committer, study, label)
    if as_json:
        print_json({"study_uid": study, "label": label, "removed": True})
        return
    say("taken off")


@label_app.command("list")
def list_labelled(
    context: typer.Context,
    study: OnlyStudy = None,
    label: OnlyLabel = None,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Every study that bears a label, with its labels."""
    only = None if study is None else uid_of(study)
    with local_site(home_of(context)) as site:
        found = list_labels(site.permit(Verb.MANAGE), site.index, only, label)
    if as_json:
        print_json(found)
        return
    print_rows(("study", "labels"), [(each.study_uid, " ".join(each.labels)) for each in found])
