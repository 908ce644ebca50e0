"""``init`` and ``status``: make a site, and see how it is."""

from __future__ import annotations

import getpass
import secrets
from datetime import UTC, date
from typing import Annotated

import typer

from leadglass.admin.site import SiteRequest, ZoneRequest, create_site
from leadglass.app import Site, local_site, standing_policy
from leadglass.archive.scrub import described
from leadglass.cli.files import home_of
from leadglass.cli.output import Exit, JsonOption, leave, print_fields, print_json, say
from leadglass.cli.running import Running, read_running
from leadglass.identity.clock import SystemClock
from leadglass.model.action import Verb
from leadglass.model.caller import LocalAdministrator, Transport
from leadglass.model.errors import ConfigurationInvalid
from leadglass.policy.reviews import Review, reviews_due
from leadglass.sitefile import Listener, parse_socket_address
from leadglass.use_cases import damages_of

Zones = Annotated[
    list[str] | None,
    typer.Option("--zone", metavar="NAME=CIDR[,CIDR]", help="A zone and where it is; may be repeated."),
]


DAMAGED_SHOWN = 100


def init(
    context: typer.Context,
    name: Annotated[str, typer.Option("--name", help="The site's name, for people.")],
    ae: Annotated[str, typer.Option("--ae", help="The archive's AE title; several with commas.")],
    dicom_tls: Annotated[
        str, typer.Option("--dicom-tls", metavar="IP:PORT", help="Where to listen for DICOM over mutual TLS.")
    ],
    dicom_plain: Annotated[
        list[str] | None,
        typer.Option(
            "--dicom-plain",
            metavar="ZONE=IP:PORT",
            help="A plaintext listener and its zone; may be repeated.",
        ),
    ] = None,
    zone: Zones = None,
    host_name: Annotated[
        list[str] | None,
        typer.Option(
            "--host-name", help="A further name or address in the server's certificate; may be repeated."
        ),
    ] = None,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Make a new site: keys, CA, settings, and a policy that lets nobody in. Overwrites nothing."""
    home = home_of(context)
    listeners = [_listener("dicom-tls", dicom_tls, Transport.MTLS)]
    for text in dicom_plain or []:
        zone_name, address = _pair(text, "--dicom-plain", "ZONE=IP:PORT")
        listeners.append(_listener(zone_name, address, Transport.PLAIN))
    request = SiteRequest(
        name=name,
        ae=tuple(part.strip() for part in ae.split(",")),
        listeners=tuple(listeners),
        zones=tuple(_zone(text) for text in zone or []),
        host_names=tuple(host_name or []),
    )
    administrator = LocalAdministrator(getpass.getuser())
    created = create_site(home.directory, request, administrator, SystemClock(), secrets.token_bytes)
    if as_json:
        print_json(created)
        return
    for path in created.paths:
        typer.echo(path)
    say(f"CA fingerprint (SHA-256): {created.ca_fingerprint}")
    say("Nobody can do anything yet. Next:")
    for command in created.next_commands:
        say(f"  {command}")


def status(context: typer.Context, as_json: JsonOption = False) -> None:  # noqa: FBT002  a flag of the command line
    """Whether the site is served, and what it holds. Exit 3 if something of it needs a look."""
    home = home_of(context)
    with local_site(home) as site:
        permit = site.permit(Verb.STATUS)
        counts = site.index.counts(permit)
        free_bytes = site.store.free_bytes(permit)
        damages = damages_of(site)
        scrub, damaged = damages.last_pass(permit), damages.every(permit)
        due = _reviews_due(site)
    running = read_running(home)
    overdue = any(review.is_overdue(today) for review, today in due or ())
    in_trouble = running is not None and bool(running.trouble)
    code = Exit.FINDINGS if damaged or due is None or overdue or in_trouble else Exit.OK
    if as_json:
        print_json(
            {
                "running": running,
                "counts": counts,
                "free_bytes": free_bytes,
                "scrub": scrub,
                "damaged": damaged,
                "policy_is_wrong": due is None,
                "reviews_due": [review for review, _ in due or ()],
            }
        )
    else:
        print_fields(
            {
                **_served(running),
                "patients": str(counts.patients),
                "studies": str(counts.studies),
                "series": str(counts.series),
                "instances": str(counts.instances),
                "quarantined": str(counts.quarantined),
                "bytes": str(counts.size_bytes),
                "free bytes": str(free_bytes),
                "in bin": str(counts.binned),
                "scrubbed": described(scrub),
                "damaged": str(len(damaged)),
            }
        )
        for each in damaged[:DAMAGED_SHOWN]:  # no names: what watches a server asks for its status
            say(f"damaged: instance {each.sop_instance} of study {each.study_uid}: {each.what}")
        if damaged:
            say("'leadglass check' names the patients, and who sent it")
        for review, today in due or ():
            say(review.told(today))
    leave(code)


def _served(running: Running | None) -> dict[str, str]:
    """What the server says of itself."""
    if running is None:
        return {"served": "no"}
    associations = ", ".join(f"{who} {count}" for who, count in running.associations.items())
    fields = {
        "served": f"yes, process {running.pid}",
        "listeners": ", ".join(f"{name} {address}" for name, address in running.listeners.items()),
        "associations": associations or "none",
        "waiting": str(running.waiting),
    }
    return fields | {"trouble": running.trouble} if running.trouble else fields


def _reviews_due(site: Site) -> list[tuple[Review, date]] | None:
    """Those that are due within 30 days, with today's date there; ``None`` where the policy is wrong."""
    try:
        policy = standing_policy(site.home, site.clock)[0]
    except ConfigurationInvalid as error:
        say(f"the policy is wrong; see 'leadglass zones check': {error}")
        return None
    today = site.clock.now().astimezone(UTC).date()  # as a review is judged
    return [(review, today) for review in reviews_due(policy, today)]


def _listener(name: str, address: str, transport: Transport) -> Listener:
    try:
        return Listener(name, parse_socket_address(address), transport)
    except ValueError as error:
        say(f"error: {address!r}: {error}")
        leave(Exit.USAGE)


def _zone(text: str) -> ZoneRequest:
    name, ranges = _pair(text, "--zone", "NAME=CIDR")
    return ZoneRequest(name, tuple(part.strip() for part in ranges.split(",")))


def _pair(text: str, option: str, shape: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        say(f"error: {option} takes {shape}, not {text!r}")
        leave(Exit.USAGE)
    return name, value
