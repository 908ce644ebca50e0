"""Write the reference pages that the code itself knows best, into docs/reference/generated/.

Run by ``make docs`` before the documentation is built. The pages are not committed.
"""
# ruff: noqa: INP001 - a script beside the pages, not a package

from __future__ import annotations

import importlib
import pkgutil
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import Field, fields
from pathlib import Path

import typer
from typer.core import TyperGroup
from typer.main import get_command

from leadglass.audit.kinds import KINDS
from leadglass.cli.main import app
from leadglass.model.decision import Step
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.storage_classes import RETIRED
from leadglass.policy import conditions, guards, load_policy
from leadglass.policy.condition import Case
from leadglass.policy.engine import evaluate
from leadglass.policy.policy import Policy
from leadglass.protocol.limits import Limits as ProtocolLimits
from leadglass.protocol.negotiation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from leadglass.protocol.services import SERVICES
from leadglass.protocol.status import Status, category
from leadglass.protocol.table import EFFECTS, STATE_MEANINGS, TABLE, Action, MachineEvent, State, Way
from leadglass.protocol.transfer_syntaxes import TRANSFER_SYNTAXES
from leadglass.sitefile.settings import Limits

OUT = Path(__file__).resolve().parent / "reference" / "generated"
PROGRAM = "leadglass"


def main() -> None:
    """Write every page anew."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    pages = {
        "command-line": command_line(),
        "conformance": conformance(),
        "state-table": state_table(),
        "conditions": condition_tables(),
        "limits": limits(),
        "audit-events": audit_events(),
    }
    for name, lines in pages.items():
        (OUT / f"{name}.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table, with an empty line after it."""
    yield "| " + " | ".join(headings) + " |"
    yield "|" + "---|" * len(headings)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""


def code(text: str) -> str:
    """Inline code."""
    return f"`{text}`"


# The command line


def command_line() -> Iterator[str]:
    """Every command with its arguments and options, from the program itself."""
    root = get_command(app)
    yield from ("# Command line", "")
    yield "What the program itself says: `leadglass COMMAND --help` shows the same. Exit codes are on"
    yield from ("[a page of their own](../exit-codes.md).", "")
    yield from command_section(typer.Context(root, info_name=PROGRAM))


def command_section(context: typer.Context) -> Iterator[str]:
    """A command, then those below it."""
    command = context.command
    path = context.command_path
    if path != PROGRAM:
        yield from (f"## {path}", "")
    yield from (help_text(command.help or ""), "")
    yield from ("```text", command.get_usage(context).removeprefix("Usage: "), "```", "")
    rows = [record for item in command.get_params(context) if (record := item.get_help_record(context))]
    if rows:
        yield from table(("argument or option", "meaning"), ((code(name), text) for name, text in rows))
    if isinstance(command, TyperGroup):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from command_section(typer.Context(inner, info_name=name, parent=context))


def help_text(text: str) -> str:
    """Help without click's marks for its own wrapping."""
    return text.replace("\b", "").partition("\f")[0].strip()


# DICOM


def conformance() -> Iterator[str]:
    """The tables of the conformance statement. PS3.2 Annex N asks for more; this is what negotiation uses."""
    yield from ("# DICOM conformance statement", "")
    yield "Generated from the tables that negotiate associations, so it cannot disagree with them."
    yield "A service listed here is offered only to a device whose flows permit its verb: for anybody else"
    yield from ("the presentation context is refused.", "")
    yield from table(
        ("Implementation", ""),
        (
            ("Implementation Class UID", code(IMPLEMENTATION_CLASS_UID)),
            ("Implementation Version Name", code(IMPLEMENTATION_VERSION)),
        ),
    )
    yield from ("## Services", "")
    yield from table(
        ("service", "role", "verb in the policy", "SOP classes"),
        (
            (service.name, service.role, code(service.verb), str(len(service.sop_classes)))
            for service in SERVICES
        ),
    )
    retired = {uid for uid, _ in RETIRED}
    for service in SERVICES:
        yield from (f"## SOP classes: {service.name}", "")
        yield from table(
            ("SOP class", "UID"),
            (
                (f"{name} (retired)" if uid in retired else name, code(uid))
                for uid, name in service.sop_classes
            ),
        )
    yield from ("## Transfer syntaxes", "")
    yield "For storage. An object is kept in the transfer syntax it came in, byte for byte. Query, retrieve"
    yield from ("and verification take implicit and explicit VR little endian.", "")
    yield from table(
        ("transfer syntax", "UID", "layout"),
        ((row.name, code(row.uid), row.encoding) for row in TRANSFER_SYNTAXES if row.storable),
    )
    yield from ("## Status codes", "")
    yield from table(
        ("code", "meaning", "class"),
        (
            (code(f"0x{status.value:04X}"), status.name.replace("_", " ").lower(), category(status).value)
            for status in Status
        ),
    )


def state_table() -> Iterator[str]:
    """The upper layer state machine of PS3.8 §9.2, as the code has it."""
    yield from ("# State table", "")
    yield "The one table that moves an association (PS3.8 §9.2, Table 9-10), drawn from"
    yield "`protocol/table.py`. An empty cell cannot happen: a bug of our own would raise an error there."
    yield from ("", "## Transitions", "")
    yield from table(
        ("event", *State),
        (
            (
                f"**{event.value}** {event.name.replace('_', ' ').lower()}",
                *(cell(state, event) for state in State),
            )
            for event in MachineEvent
        ),
    )
    yield from ("## States", "")
    yield from table(("state", "meaning"), ((state.value, STATE_MEANINGS[state]) for state in State))
    yield from ("## Actions", "")
    yield from table(
        ("action", "meaning", "next state"),
        ((item.value, EFFECTS[item].meaning, ways(item)) for item in Action),
    )


def cell(state: State, event: MachineEvent) -> str:
    """A cell of the table: the action."""
    found = TABLE.get((state, event))
    return found[0].value if found else ""


def ways(action: Action) -> str:
    """Where an action leads."""
    effect = EFFECTS[action]
    return way(effect.way) if effect.otherwise is None else f"{way(effect.way)}, or {way(effect.otherwise)}"


def way(taken: Way) -> str:
    """One way of an action."""
    return f"{taken.next_state.value}{', transport closed' if taken.closes else ''}"


# The site's files


def condition_tables() -> Iterator[str]:
    """What each condition of the policy language does, from the truth tables that its tests run."""
    yield from ("# Conditions of the policy", "")
    yield "Each condition's own truth table, which its tests run. What is unknown meets no condition."
    yield from ("", "## Who it is, and from where", "")
    yield "Before any condition: what holds for every rule. The cases are of this policy."
    yield from ("", "```toml", guards.SAMPLE.rstrip(), "```", "")
    sample = load_policy(guards.SAMPLE, path="policy.toml", now=guards.NOW)
    for name, guarded in guards.TRUTH_TABLE.items():
        yield from (f"### {name}", "")
        yield from table(
            ("case", "let through", "said to the administrator"),
            (guard_row(sample, case) for case in guarded),
        )
    for found in sorted(pkgutil.iter_modules(conditions.__path__), key=lambda item: item.name):
        module = importlib.import_module(f"{conditions.__name__}.{found.name}")
        cases: Sequence[Case] = module.TRUTH_TABLE
        yield from (f"## {found.name}", "", (module.__doc__ or "").replace("``", "`").strip(), "")
        yield from table(("case", "met", "said to the administrator"), map(case_row, cases))


def guard_row(policy: Policy, case: guards.Guarded) -> tuple[str, str, str]:
    """One row of the guards' truth table."""
    decision = evaluate(policy, case.caller, case.action, guards.NOW)
    stopped = decision.failed
    if stopped is None:
        return case.says, "yes", decision.ladder[list(Step).index(Step.DEVICE)].detail
    fix = f". Fix: {decision.fix}" if decision.fix else ""
    return case.says, f"no, at `{stopped.step}`", stopped.detail + fix


def case_row(case: Case) -> tuple[str, str, str]:
    """One row of a truth table."""
    result = case.condition.check(case.asked)
    said = f"{result.detail}. Fix: {result.fix}" if result.fix else result.detail
    return case.says, "yes" if case.ok else "no", said


def limits() -> Iterator[str]:
    """What one peer may cost, with the ranges that leadglass.toml accepts."""
    yield from ("# Limits", "")
    yield "What one peer may cost. Set them under `[limits]` of"
    yield from ("[leadglass.toml](../leadglass-toml.md); a value outside its range is an error.", "")
    yield from table(
        ("key", "default", "from", "to", "bounds the"),
        map(limit_row, fields(Limits)),
    )
    fixed = ProtocolLimits()
    yield from ("## Fixed in the protocol", "")
    yield from table(
        ("what", "limit"),
        (
            ("fragments (PDVs) in one PDU", f"{fixed.max_pdvs:,}"),
            ("one command set", f"{fixed.max_command_bytes // 1024} KiB"),
        ),
    )


# The audit


def audit_events() -> Iterator[str]:
    """Every kind of audit line, from the table the trail itself obeys."""
    yield from ("# Audit events", "")
    yield "Every kind of line in the audit trail, with its event of DICOM PS3.15 §A.5. A refusal is a"
    yield "Security Alert there, whatever was asked for. A patient's name is never written; patient and study"
    yield from ("numbers only in the kinds that say so.", "")
    yield from table(
        ("kind", "meaning", "DICOM event", "may carry"),
        (
            (
                code(kind.kind),
                kind.meaning,
                kind.event.value.meaning + (f", {kind.type.value.meaning}" if kind.type else ""),
                ", ".join(code(name) for name in sorted(kind.may_name)),
            )
            for kind in KINDS.values()
        ),
    )
    yield from ("## Fields", "")
    yield f"Outcomes are {', '.join(code(outcome) for outcome in Outcome)}. A line leaves out what is empty:"
    yield from ("", ", ".join(code(row.name) for row in fields(AuditEvent)) + ".", "")


def limit_row(limit: Field[int]) -> tuple[str, ...]:
    """One key of ``[limits]``: its default, its range, its meaning."""
    numbers = (limit.default, limit.metadata["low"], limit.metadata["high"])
    return code(limit.name), *(f"{number:,}" for number in numbers), limit.metadata["says"]


if __name__ == "__main__":
    main()
