"""What the demo shows: panels on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from itertools import chain, repeat
from pathlib import Path

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from leadglass.cli.demo_scenes import Scene
from leadglass.cli.demo_site import DemoSite, Machine
from leadglass.cli.output import visible
from leadglass.model.decision import Rung, RungState
from leadglass.model.names import Uid

WIDEST = 104
LABEL_WIDTH = 9
STEP_WIDTH = 11
FAILED = "bold red"
STYLES = {RungState.PASSED: "green", RungState.FAILED: FAILED, RungState.NOT_REACHED: "dim"}
MARKS = {RungState.PASSED: "✓", RungState.FAILED: "✗", RungState.NOT_REACHED: "·"}
ASCII_MARKS = {RungState.PASSED: "+", RungState.FAILED: "x", RungState.NOT_REACHED: "."}

Row = tuple[str, Text | tuple[Rung, ...]]
"""A name, and a text or a ladder."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    word: str
    colour: str


_ALLOWED, _DENIED, _WHOLE = (
    _Verdict("ALLOWED", "green"),
    _Verdict("DENIED", "red"),
    _Verdict("WHOLE", "green"),
)


@dataclass(slots=True)
class Screen:
    """Where the demo is shown."""

    console: Console
    _scenes: list[Scene] = field(default_factory=list)

    def say(self, text: str) -> None:
        """A line between the scenes."""
        self.console.print(visible(text), markup=False, style="dim", soft_wrap=True)

    @contextlib.contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        """A progress bar on a terminal, nothing elsewhere. Yields what moves it on by one."""
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
        elsewhere = not self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=elsewhere) as shown:
            task = shown.add_task(what, total=total)
            yield lambda: shown.advance(task)

    def scene(self, scene: Scene) -> None:
        """One scene: who asked, what, and what the trail says of it."""
        self._scenes.append(scene)
        rows = [*_asked(scene), *(_refused(scene) if scene.denied else _allowed(scene))]
        self._panel(_verdict(scene), f"{scene.number}  {scene.title}", rows)

    def verified(self, proven: str) -> None:
        """The last scene: the trail itself."""
        rows: list[Row] = [("asked", Text("audit verify")), ("found", Text(proven))]
        self._panel(_WHOLE, "7  The audit trail proves itself", rows)

    def summary(self) -> None:
        """All scenes in one table."""
        rows = [(scene.number, scene.title, _verdict(scene), _why(scene)) for scene in self._scenes]
        rows.append(("7", "The audit trail proves itself", _WHOLE, ""))
        if not self.console.is_terminal:
            self._plain(
                "In short", [f"{verdict.word:<8} {number:<3} {title}" for number, title, verdict, _ in rows]
            )
            return
        table = Table("", "scene", "verdict", "because of", box=box.SIMPLE_HEAD, header_style="bold")
        for number, title, verdict, why in rows:
            table.add_row(number, title, Text(verdict.word.lower(), verdict.colour), Text(visible(why)))
        self.console.print(table, width=self._width)

    def next_commands(self, commands: Sequence[tuple[str, str]]) -> None:
        """Commands to copy: never wrapped, so that they stay whole."""
        self.console.print("\nTry it yourself, in another terminal:", style="bold")
        for what, command in commands:
            self.console.print(Text(f"\n# {what}", "dim"), soft_wrap=True)
            self.console.print(Text(command, "cyan"), soft_wrap=True)
        self.console.print()

    @property
    def _width(self) -> int:
        return min(self.console.width, WIDEST)

    def _panel(self, verdict: _Verdict, title: str, rows: Sequence[Row]) -> None:
        if not self.console.is_terminal:
            lines = [
                f"{name:<{LABEL_WIDTH}}{line}".rstrip()
                for label, content in rows
                for name, line in zip(chain([label], repeat("")), self._lines(content), strict=False)
            ]
            self._plain(f"{verdict.word}  {title}", lines)
            return
        grid = Table.grid(padding=(0, 1))
        grid.add_column(style="dim", width=LABEL_WIDTH)
        grid.add_column(overflow="fold")
        for label, content in rows:
            grid.add_row(label, content if isinstance(content, Text) else self._ladder(content))
        heading = Text.assemble(
            (f" {verdict.word} ", f"bold white on {verdict.colour}"),
            (f"  {title} ", f"bold {verdict.colour}"),
        )
        self.console.print(
            Panel(grid, title=heading, title_align="left", border_style=verdict.colour, width=self._width)
        )

    def _ladder(self, ladder: Sequence[Rung]) -> Table:
        """The rungs climbed one below the other; those not reached in one line."""
        grid = Table.grid(padding=(0, 1))
        for mark, step, detail, style in self._rungs(ladder):
            grid.add_row(Text(mark, style), Text(step, style), Text(detail, style if style == FAILED else ""))
        return grid

    def _lines(self, content: Text | tuple[Rung, ...]) -> list[str]:
        if isinstance(content, Text):
            return [content.plain]
        return [f"{mark} {step:<{STEP_WIDTH}}{detail}" for mark, step, detail, _ in self._rungs(content)]

    def _rungs(self, ladder: Sequence[Rung]) -> Iterator[tuple[str, str, str, str]]:
        marks = ASCII_MARKS if self.console.options.ascii_only else MARKS
        for rung in ladder:
            if rung.state is not RungState.NOT_REACHED:
                yield marks[rung.state], rung.step.value, visible(rung.detail), STYLES[rung.state]
        rest = [rung.step.value for rung in ladder if rung.state is RungState.NOT_REACHED]
        if rest:
            mark = marks[RungState.NOT_REACHED]
            yield (
                mark,
                rest[0],
                "  ".join(f"{mark} {step}" for step in rest[1:]),
                STYLES[RungState.NOT_REACHED],
            )

    def _plain(self, heading: str, lines: Sequence[str]) -> None:
        out = self.console.file
        out.write("\n".join(["", heading, *(f"  {line}" for line in lines)]) + "\n")
        out.flush()


def open_screen() -> Screen:
    """The terminal, or wherever stdout goes."""
    out = sys.stdout
    if isinstance(out, TextIOWrapper) and not out.encoding.lower().startswith("utf"):
        out.reconfigure(errors="replace")
    return Screen(Console(highlight=False, emoji=False))


def commands_to_try(demo: DemoSite, study: Uid) -> list[tuple[str, str]]:
    """What to do next in another terminal, each with what it shows."""
    scanner, workstation = demo.options(demo.scanner), demo.options(demo.workstation)
    return [
        ("first: where the site is", _enter(demo.folder)),
        ("the scanner asks whether the archive is there", f"leadglass echo {scanner}"),
        ("the workstation searches", f"leadglass find {workstation}"),
        ("and pulls the study", f"leadglass get {workstation} \\\n    --study {study} --out pulled"),
        ("ask the policy: why may the ultrasound not search?", 'leadglass zones explain "us1 find archive"'),
        ("who was refused, and how far each came", "leadglass audit tail --outcome denied --ladder"),
        (
            "shut the workstation out; its next search is refused",
            f"leadglass device revoke {demo.workstation.name} --yes",
        ),
    ]


def _enter(folder: Path) -> str:
    ours = Path(sys.executable).with_name("leadglass")
    enter = f"cd {shlex.quote(str(folder))} && export LEADGLASS_HOME=$PWD/site"
    found = shutil.which("leadglass")
    if found is not None and Path(found).samefile(ours):
        return enter
    return f"{enter} PATH={shlex.quote(str(ours.parent))}:$PATH"


def _asked(scene: Scene) -> list[Row]:
    caller: Machine = scene.caller
    who = Text.assemble((caller.name, "bold"), f" from {caller.address} as {caller.ae}, with {caller.shows}")
    return [("who", who), ("asked", Text(scene.asked))]


def _refused(scene: Scene) -> list[Row]:
    event = scene.line.event
    rows: list[Row] = [
        ("told", Text(f"“{visible(scene.told)}”, and no more", "italic")),
        ("why", event.ladder),
    ]
    if event.fix:
        rows.append(("fix", Text(visible(event.fix), "yellow")))
    return rows


def _allowed(scene: Scene) -> list[Row]:
    event = scene.line.event
    by = Text.assemble((event.rule, "bold green"), f", for {event.who} in zone {event.zone}")
    return [("rule", by), *((name, Text(visible(text))) for name, text in scene.notes)]


def _verdict(scene: Scene) -> _Verdict:
    return _DENIED if scene.denied else _ALLOWED


def _why(scene: Scene) -> str:
    event = scene.line.event
    failed = next((rung for rung in event.ladder if rung.state is RungState.FAILED), None)
    return event.rule if failed is None else f"stopped at {failed.step}"
