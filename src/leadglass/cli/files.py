"""Where the site is, for commands that need one."""

from __future__ import annotations

import typer

from leadglass.app import Home
from leadglass.cli.output import Exit, leave, say


def home_of(context: typer.Context) -> Home:
    """The site's folder from ``--home`` or LEADGLASS_HOME; a usage error without one."""
    directory = context.find_root().obj
    if directory is None:
        say("error: say which site: leadglass --home DIR ..., or set LEADGLASS_HOME")
        leave(Exit.USAGE)
    return Home(directory)
