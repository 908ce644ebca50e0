"""``zones render``: the policy for firewalls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leadglass.admin.policy_render import RenderRequest, render_policy_for
from leadglass.app import local_site
from leadglass.cli.files import home_of
from leadglass.cli.output import Exit, leave, say
from leadglass.model.action import Verb
from leadglass.policy.render.dialects import BINDS_ACCOUNTS, Dialect


def render(
    context: typer.Context,
    dialect: Annotated[Dialect, typer.Argument(help="The firewall's language.")],
    policy: Annotated[
        Path | None, typer.Option("--policy", help="A policy file; the site's own if left out.")
    ] = None,
    user: Annotated[
        str,
        typer.Option(
            "--user", help="The account the server runs as: bind what it sends to. nftables, iptables."
        ),
    ] = "",
) -> None:
    """Print the policy as rules of the network: which address may reach which port, and because of what.

    Nothing is loaded anywhere. Data goes to stdout, so that it can be kept in a file and compared.
    """
    if user and dialect not in BINDS_ACCOUNTS:
        say(f"error: {dialect} cannot bind what one account sends: leave out --user")
        leave(Exit.USAGE)
    home = home_of(context)
    with local_site(home) as site:
        listeners = tuple(site.settings.listeners.values())
        request = RenderRequest(policy or home.policy, listeners, dialect, user)
        text = render_policy_for(site.permit(Verb.STATUS), request, site.clock.now())
    typer.echo(text, nl=False)
    say(f"{dialect}: {len(listeners)} listeners. Check it before it is loaded; keep your own way in.")
