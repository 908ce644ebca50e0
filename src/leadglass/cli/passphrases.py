"""Where a passphrase comes from: a file, or a prompt. Never the command line, where others can read it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leadglass.cli.output import Exit, leave, say
from leadglass.identity.files import read_secret

PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="Take the passphrase from the first line of this 0600 file."),
]


def new_passphrase(file: Path | None) -> bytes:
    """One that is being chosen: asked for twice."""
    return _of_file(file) if file else _asked(confirm=True)


def known_passphrase(file: Path | None) -> bytes:
    """One that was chosen before."""
    return _of_file(file) if file else _asked(confirm=False)


def _of_file(file: Path) -> bytes:
    return read_secret(file).split(b"\n", 1)[0].rstrip(b"\r")


def _asked(*, confirm: bool) -> bytes:
    try:
        text = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    except typer.Abort:
        say("error: no passphrase; without a terminal use --passphrase-file")
        leave(Exit.USAGE)
    return str(text).encode()
