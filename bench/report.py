"""The results as a table on the terminal and as a page of the documentation."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from bench.cases import LEADGLASS_FULL, LEADGLASS_PLAIN, ORTHANC, STORESCP

COLUMNS = (LEADGLASS_PLAIN, LEADGLASS_FULL, ORTHANC, STORESCP)
RATIOS = (
    ("plain / Orthanc", LEADGLASS_PLAIN, ORTHANC),
    ("all on / Orthanc", LEADGLASS_FULL, ORTHANC),
    ("all on / storescp", LEADGLASS_FULL, STORESCP),
)


@dataclass(slots=True)
class Results:
    """Every measurement, by case and server, in the order they were first made."""

    measured: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, case: str, server: str, value: float) -> None:
        """One more round of a case."""
        self.measured.setdefault(case, {}).setdefault(server, []).append(value)

    def median(self, case: str, server: str) -> float | None:
        """The median of its rounds; ``None`` when it was not measured."""
        values = self.measured[case].get(server)
        return statistics.median(values) if values else None

    def ratio(self, case: str, one: str, other: str) -> float | None:
        """One server's median in terms of another's."""
        numerator, denominator = self.median(case, one), self.median(case, other)
        return numerator / denominator if numerator is not None and denominator else None

    def rows(self) -> list[list[str]]:
        """A row a case: its name, the medians, the ratios."""
        return [
            [
                case,
                *(_rate(self.median(case, server)) for server in COLUMNS),
                *(_times(self.ratio(case, one, other)) for _, one, other in RATIOS),
            ]
            for case in self.measured
        ]


def print_table(results: Results, console: Console) -> None:
    """The table, for the terminal."""
    table = Table(title="Leadglass plain and all on, Orthanc, storescp: each a second, medians")
    for number, heading in enumerate(_headings()):
        table.add_column(heading, justify="left" if number == 0 else "right", no_wrap=number == 0)
    for row in results.rows():
        table.add_row(*row)
    console.print(table)


def markdown(
    results: Results,
    circumstances: Mapping[str, str],
    limits: Mapping[str, Mapping[str, float]],
    notes: Sequence[str],
) -> str:
    """The page: circumstances, table, the machine's limits by kind of object, notes, spread."""
    headings = _headings()
    headings[1:3] = (f"Leadglass {LEADGLASS_PLAIN}", f"Leadglass {LEADGLASS_FULL}")
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`. All servers ran on the same machine, one after another, on the same",
        "generated files; rounds were interleaved; figures are medians, each a second. The file says what",
        "was measured then and there, and promises nothing for another machine.",
        "",
        "| what | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in circumstances.items()),
        "",
        "| " + " | ".join(headings) + " |",
        "|---" + "|---:" * (len(headings) - 1) + "|",
        *("| " + " | ".join(row) + " |" for row in results.rows()),
        "",
        "## What the machine can do",
        "",
        "Objects a second in a bare loop, one at a time, in the same run: nothing on this machine is faster.",
        "",
        "| done to each | " + " | ".join(limits) + " |",
        "|---" + "|---:" * len(limits) + "|",
        *(
            f"| {name} | " + " | ".join(_rate(each[name]) for each in limits.values()) + " |"
            for name in next(iter(limits.values()), {})
        ),
        "",
        "## How it was measured",
        "",
        *(f"- {note}" for note in notes),
        "",
        "## Spread",
        "",
        "| case | server | rounds, sorted |",
        "|---|---|---|",
    ]
    for case, servers in results.measured.items():
        for server, values in servers.items():
            spread = ", ".join(_rate(value) for value in sorted(values))
            lines.append(f"| {case} | {server} | {spread} |")
    return "\n".join(lines) + "\n"


def _headings() -> list[str]:
    return ["case", *COLUMNS, *(name for name, _, _ in RATIOS)]


def _rate(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _times(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} ×"
