"""Asking before something is changed: on a terminal only, where an empty answer is a no."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from leadglass.cli.output import Exit, leave, say

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show it, and change nothing.")]


def ask_unless(question: str, *, yes: bool) -> None:
    """Go on where the answer is yes, or was given beforehand; else end the command, with nothing changed.

    Exit 1 for a no. Exit 2 where nobody is there to answer.
    """
    if not yes and not answered_yes(question):
        say("nothing was changed")
        leave(Exit.ERROR)


def answered_yes(question: str) -> bool:
    """What the person at the terminal says. Where there is none, the command ends with exit 2.

    What a script happens to have on its standard input is no answer.
    """
    if not sys.stdin.isatty():
        say(f"error: nobody is at a terminal to answer: {question}")
        say("nothing was changed; add --yes to do it without the question, or --dry-run to only look")
        leave(Exit.USAGE)
    return typer.confirm(question, err=True)
