"""``retention``: what goes to the bin by itself."""

from __future__ import annotations

import typer
from rich.progress import Progress

from leadglass.app import local_site, read_site_settings
from leadglass.cli.asking import DryRunOption, YesOption, ask_unless
from leadglass.cli.files import home_of
from leadglass.cli.output import JsonOption, message_console, print_json, print_rows, say
from leadglass.model.action import Verb
from leadglass.use_cases import retention_of

retention_app = typer.Typer(help="Rules by which studies go to the bin by themselves.", no_args_is_help=True)


@retention_app.command("show")
def show(context: typer.Context, as_json: JsonOption = False) -> None:  # noqa: FBT002  a flag of the command line
    """The rules of leadglass.toml."""
    rules = read_site_settings(home_of(context)).retention.rules
    if as_json:
        print_json(rules)
        return
    rows = [
        (
            each.name,
            str(each.older_than_days),
            " ".join(each.modalities) or "any",
            " ".join(each.labels) or "any",
            " ".join(each.not_labels) or "none",
        )
        for each in rules
    ]
    print_rows(("rule", "days since received", "modality", "label", "but not"), rows)
    for each in rules:
        if each.takes_every_study:
            say(f"warning: rule {each.name} takes every study that is old enough")
    if not rules:
        say("no rule: nothing is ever deleted by itself")


@retention_app.command("run")
def run(
    context: typer.Context,
    dry_run: DryRunOption = False,  # noqa: FBT002  a flag of the command line
    yes: YesOption = False,  # noqa: FBT002  the same
    as_json: JsonOption = False,  # noqa: FBT002  the same
) -> None:
    """Move to the bin what the rules say. A running server does so once a day."""
    with local_site(home_of(context)) as site:
        permit = site.permit(Verb.DELETE)
        retention = retention_of(site)
        due = retention.due(permit)
        if not as_json:
            rows = [
                (
                    each.study.study_uid,
                    each.rule,
                    f"{each.study.received_at:%Y-%m-%d}",
                    str(each.study.instances),
                    str(each.study.size_bytes),
                )
                for each in due
            ]
            print_rows(("study", "rule", "received", "instances", "bytes"), rows)
        gone = 0
        if due and not dry_run:
            ask_unless(f"Move {len(due)} studies to the bin?", yes=yes)
            with Progress(console=message_console(), transient=True) as progress:
                task = progress.add_task("to the bin", total=len(due))

                def told(done: int) -> bool:
                    progress.update(task, completed=done)
                    return True

                gone = retention.apply(permit, due, told)
    if as_json:
        print_json({"due": due, "moved": gone})
        return
    say("nothing was changed" if dry_run else f"{gone} studies are in the bin: 'leadglass bin list'")
