"""What a check found, as the administrator reads it: each damage with whose it is and who sent it.

Patients are named on a terminal and in ``--json``, which somebody asked for. Elsewhere, a timer's journal
say, they are not: that is a log, and a log holds no patient data.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rich.progress import Progress, TaskID

from leadglass.app import Site
from leadglass.archive.check import Checker, CheckReport, Damage, Stage, StudyNames
from leadglass.cli.output import message_console, say
from leadglass.model.action import Verb
from leadglass.model.errors import LocalError
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.permit import Permit
from leadglass.use_cases import checker_of

_NOBODY = StudyNames("", "", "", "", "")


@dataclass(frozen=True, slots=True)
class Checked:
    """A report, and the names of the studies in it by their UIDs."""

    report: CheckReport
    names: Mapping[str, StudyNames]

    def as_json(self) -> dict[str, object]:
        """All of it; with each damage, whose it is."""
        damages = [
            {**asdict(damage), **asdict(self.names.get(damage.study, _NOBODY))}
            for damage in self.report.damages
        ]
        return {"sound": self.report.sound, **asdict(self.report), "damages": damages}

    def say_damages(self) -> None:
        """Each damage on a line of stderr."""
        on_terminal = sys.stderr.isatty()
        for damage in self.report.damages:
            say(f"damage: {damage.what}{_where(damage, self.names if on_terminal else {})}")
        if self.names and not on_terminal:
            say("patients are named on a terminal, and with --json: this may be a log")


def checked(site: Site) -> Checked:
    """Check an opened site, with bars that show how far it is, and record how it ended."""
    permit = site.permit(Verb.CHECK)
    checker = checker_of(site)
    with Progress(console=message_console(), transient=True) as progress:
        report = checker.check(permit, _Bars(progress))
    site.gate.record(
        AuditEvent(
            kind="check.finished",
            outcome=Outcome.DONE if report.sound else Outcome.ALERT,
            who=permit.who,
            reason="" if report.sound else f"{report.damage_count} damages",
            count=report.objects,
        )
    )
    return Checked(report, _names(checker, permit, report))


def _names(checker: Checker, permit: Permit, report: CheckReport) -> Mapping[str, StudyNames]:
    """Nobody's, where the index cannot be read: that it cannot is in the report."""
    try:
        return checker.names(permit, report)
    except LocalError:
        say("the index cannot be read: no patient is named")
        return {}


def _where(damage: Damage, names: Mapping[str, StudyNames]) -> str:
    """The study or object that is hit, if one is, whose it is, and who may have another copy of it."""
    if not damage.study:
        return ""
    found = names.get(damage.study)
    parts = [f"study {damage.study}"] if found is None else _named(damage.study, found)
    parts += [f"series {damage.series}"] if damage.series else []
    parts += [f"instance {damage.instance}"] if damage.instance else []
    parts += ["quarantined"] if damage.quarantined else []
    sender = f"; another copy may be at its sender, {damage.received_from}" if damage.received_from else ""
    return f" ({', '.join(parts)}{sender})"


def _named(uid: str, names: StudyNames) -> list[str]:
    """The study as people know it, then by its UID."""
    known = {
        "patient": names.patient_id,
        "name": names.patient_name,
        "study of": names.study_date,
        "description": names.study_description,
        "accession": names.accession_number,
    }
    return [*(f"{word} {value}" for word, value in known.items() if value), f"study {uid}"]


class _Bars:
    """One bar a stage."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[Stage, TaskID] = {}

    def __call__(self, stage: Stage, done: int, total: int | None) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage.value, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)
