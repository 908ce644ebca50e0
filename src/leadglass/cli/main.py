"""``leadglass``: the entry point. Each command's module is imported when it is used, to start fast."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from leadglass import __version__
from leadglass.cli.output import Exit, fail, say
from leadglass.model.errors import LeadglassError

PRIVATE_UMASK = 0o077
INTERRUPTED = 128 + signal.SIGINT  # as shells, and typer, have it

COMMANDS = {
    "demo": ("demo", "demo"),
    "init": ("site", "init"),
    "serve": ("serve", "serve"),
    "status": ("site", "status"),
    "device": ("device", "app"),
    "zones": ("zones", "app"),
    "audit": ("audit", "app"),
    "check": ("archive", "check"),
    "delete": ("deletion", "delete_app"),
    "bin": ("deletion", "bin_app"),
    "hold": ("marks", "hold_app"),
    "label": ("marks", "label_app"),
    "retention": ("retention", "retention_app"),
    "compact": ("compaction", "compact"),
    "keys": ("keys", "app"),
    "backup": ("backup", "backup"),
    "restore": ("backup", "restore"),
    "import": ("importing", "app"),
    "echo": ("client", "echo"),
    "send": ("transfer", "send"),
    "find": ("client", "find"),
    "get": ("transfer", "get"),
}
"""Each command or group of commands: its module in ``leadglass.cli``, and its name there."""


class LazyCommands(TyperGroup):
    """The commands of ``COMMANDS``, imported one by one."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | TyperGroup | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        found = getattr(import_module(f"leadglass.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            found.rich_markup_mode = None  # it would take [tests] for a colour, and leave it out
            return typer.main.get_group(found)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(cmd_name)(found)
        command = typer.main.get_command(alone)
        if not isinstance(command, TyperCommand | TyperGroup):
            raise TypeError(f"{cmd_name} is no command of typer's")
        return command


app = typer.Typer(
    name="leadglass",
    cls=LazyCommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:  # noqa: FBT001  a flag of the command line
    if wanted:
        sys.stdout.write(f"leadglass {__version__}\n")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(help="The site's folder.", envvar="LEADGLASS_HOME", show_default=False),
    ] = None,
    _version_wanted: Annotated[
        bool | None,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit."),
    ] = None,
) -> None:
    """A PACS that is closed by default."""
    context.obj = home


def main() -> None:
    """Run a command; errors become a line on stderr and an exit code, never a traceback."""
    os.umask(PRIVATE_UMASK)
    try:
        app()
    except LeadglassError as error:
        try:
            fail(error)
        except typer.Exit as end:
            sys.exit(end.exit_code)
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.ERROR)
    except OSError as error:
        say(f"error: {error.filename or 'the system'}: {error.strerror or type(error).__name__}")
        sys.exit(Exit.ERROR)
