"""What commands print: data on stdout, messages on stderr, JSON where asked, and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Annotated, Any, NoReturn, TextIO

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from leadglass.model.errors import IntegrityBroken, LeadglassError, NotPermitted

JsonOption = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]


class Exit(IntEnum):
    """Exit codes. DESIGN §10."""

    OK = 0
    ERROR = 1
    USAGE = 2
    FINDINGS = 3
    POLICY_TESTS_FAILED = 4
    INTEGRITY_BROKEN = 5
    PARTLY_DONE = 6


def data_console() -> Console:
    """For data: stdout."""
    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False, markup=False, emoji=False)


def message_console() -> Console:
    """For messages and progress: stderr."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def say(message: str) -> None:
    """A message for whoever typed the command. What a peer put into it cannot steer the terminal."""
    lines = "\n".join(map(visible, message.split("\n")))
    message_console().print(lines, soft_wrap=True)


def leave(code: Exit) -> NoReturn:
    """End the command."""
    raise typer.Exit(int(code))


def fail(error: LeadglassError) -> NoReturn:
    """End the command with an error's own words and its exit code."""
    from leadglass.admin.policy_files import PolicyTestsFailed  # a command that fails may start slowly

    say(f"error: {error}")
    match error:
        case NotPermitted():
            leave(Exit.FINDINGS)
        case PolicyTestsFailed():
            leave(Exit.POLICY_TESTS_FAILED)
        case IntegrityBroken():
            leave(Exit.INTEGRITY_BROKEN)
        case _:
            leave(Exit.ERROR)


def print_json(value: object) -> None:
    """One JSON document on one line."""
    sys.stdout.write(msgspec.json.encode(value, enc_hook=_plain).decode() + "\n")
    sys.stdout.flush()


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    _write_rows(sys.stdout, data_console(), columns, rows)


def say_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """The same on stderr, for a report beside the data."""
    _write_rows(sys.stderr, message_console(), columns, rows)


def _write_rows(
    stream: TextIO, console: Console, columns: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    if stream.isatty():
        table = Table(*columns, box=None, header_style="bold")
        for row in rows:
            table.add_row(*map(visible, row))
        console.print(table)
        return
    for row in rows:
        stream.write("\t".join(map(visible, row)) + "\n")


def print_fields(fields: Mapping[str, str]) -> None:
    """Names and values, one a line."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        sys.stdout.write(f"{name:<{width}}  {visible(value)}\n")


def visible(text: str) -> str:
    """Text without control characters: what a peer sent must not steer a terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _plain(value: Any) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
