"""``device``: who may connect, and with which certificate."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated

import typer

from leadglass.admin.device_changes import (
    DeviceChange,
    change_of_adding,
    change_of_renewing,
    change_of_revoking,
)
from leadglass.admin.devices import (
    Credential,
    DeviceAdded,
    DeviceRequest,
    ForeignCertificate,
    NewKey,
    SigningRequest,
    add_device,
    list_devices,
    renew_device,
    revoke_device,
)
from leadglass.app import Home, Site, local_site, standing_policy
from leadglass.cli.asking import DryRunOption, YesOption, ask_unless
from leadglass.cli.device_assets import show, show_risk
from leadglass.cli.device_learn import learn
from leadglass.cli.files import home_of
from leadglass.cli.output import Exit, JsonOption, leave, print_json, print_rows, say, visible
from leadglass.cli.zones_change import print_difference
from leadglass.model.action import Verb
from leadglass.model.caller import Transport
from leadglass.model.errors import ConfigurationInvalid
from leadglass.policy import Zone
from leadglass.use_cases import desk_of

PASSPHRASE_VARIABLE = "LEADGLASS_P12_PASSPHRASE"  # noqa: S105  the variable's name
DEFAULT_DAYS = 730
LOOPBACK = IPv4Address("127.0.0.1")

app = typer.Typer(help="Add, list and revoke devices.", no_args_is_help=True)
app.command()(learn)
app.command()(show)

Name = Annotated[str, typer.Argument(help="The device's name in the policy: a-z, 0-9 and hyphens.")]
Csr = Annotated[Path | None, typer.Option("--csr", help="Sign the device's own request (PKCS #10, PEM).")]
P12 = Annotated[
    bool,
    typer.Option(
        "--p12",
        help=f"Also write device.p12; the passphrase is asked for, or taken from {PASSPHRASE_VARIABLE}.",
    ),
]
Days = Annotated[int, typer.Option("--days", help="How long the certificate lasts.", min=1, max=3650)]


@app.command()
def add(
    context: typer.Context,
    name: Name,
    zone: Annotated[str, typer.Option("--zone", help="The zone it connects from.")],
    ae: Annotated[str, typer.Option("--ae", help="Its AE title; several with commas.")],
    makes: Annotated[
        str | None, typer.Option("--makes", help="The modalities it may store, with commas; any if left out.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder for key.pem, cert.pem and ca.pem.")
    ] = None,
    ip: Annotated[str | None, typer.Option("--ip", help="Its address; needed in a plaintext zone.")] = None,
    address: Annotated[
        str | None, typer.Option("--address", metavar="IP:PORT", help="Where the archive may send to it.")
    ] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Who looks after it.")] = None,
    site: Annotated[
        str | None,
        typer.Option("--site", help="Its hospital, where that is not ours: keeps patient numbers apart."),
    ] = None,
    csr: Csr = None,
    fingerprint: Annotated[
        str | None, typer.Option("--fingerprint", metavar="SHA256", help="Of a certificate it already has.")
    ] = None,
    p12: P12 = False,  # noqa: FBT002  a flag of the command line
    days: Days = DEFAULT_DAYS,
    yes: YesOption = False,  # noqa: FBT002  a flag of the command line
    dry_run: DryRunOption = False,  # noqa: FBT002  a flag of the command line
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Add a device to the policy, and make it a certificate. Exit 4 if the policy's tests refuse it.

    It shows the line of the policy, what that opens and the certificate, and asks.
    """
    home = home_of(context)
    with local_site(home) as opened:
        permit = opened.permit(Verb.MANAGE)
        credential = _credential(home, opened, zone, csr, fingerprint, out, p12=p12, days=days)
        request = DeviceRequest(
            name=name,
            zone=zone,
            ae=_words(ae),
            credential=credential,
            makes=None if makes is None else _words(makes),
            ip=ip,
            address=address,
            owner=owner,
            site=site,
        )
        desk = desk_of(opened)
        change = change_of_adding(permit, desk, request, out)
        _agree(change, f"Add {name}?", yes=yes, dry_run=dry_run, as_json=as_json)
        if p12 and isinstance(credential, NewKey):
            request = replace(request, credential=replace(credential, p12_passphrase=_passphrase()))
        added = add_device(permit, desk, request, out, shown=change.standing)
        trial = _trial(opened, added)
    _tell(added, change, as_json=as_json)
    if trial is not None and not as_json:
        say(f"try it: {trial}")


@app.command("list")
def list_(
    context: typer.Context,
    risk: Annotated[  # noqa: FBT002  a flag of the command line
        bool, typer.Option("--risk", help="What should worry of each, the worst first.")
    ] = False,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """The devices of the policy."""
    home = home_of(context)
    if risk:
        show_risk(home, as_json=as_json)
        return
    with local_site(home) as opened:
        permit = opened.permit(Verb.STATUS)
        rows = list_devices(permit, desk_of(opened), standing_policy(home, opened.clock)[0])
    if as_json:
        print_json(rows)
        return
    columns = ("name", "zone", "transport", "ae", "makes", "state", "certificate until", "address", "note")
    print_rows(
        columns,
        [
            (
                row.name,
                row.zone,
                ",".join(row.transports),
                ",".join(row.ae),
                "any" if row.makes is None else ",".join(row.makes) or "nothing",
                row.state.value,
                f"{row.not_after:%Y-%m-%d}" if row.not_after else "pinned" if row.fingerprints else "-",
                row.address or row.ip or "-",
                "spoofable: plaintext" if row.spoofable else "",
            )
            for row in rows
        ],
    )


@app.command()
def revoke(
    context: typer.Context,
    name: Name,
    yes: YesOption = False,  # noqa: FBT002  a flag of the command line
    dry_run: DryRunOption = False,  # noqa: FBT002  a flag of the command line
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Shut a device out: a running server cuts its associations within a second.

    It shows what closes, and asks. With --yes it does neither: it revokes at once.
    """
    with local_site(home_of(context)) as opened:
        permit, desk = opened.permit(Verb.MANAGE), desk_of(opened)
        if dry_run or not yes:  # comparing a large policy takes seconds, in which a stolen device would go on
            change = change_of_revoking(permit, desk, name)
            _agree(change, f"Revoke {name}?", yes=yes, dry_run=dry_run, as_json=as_json)
        revoked = revoke_device(permit, desk, name)
    if as_json:
        print_json({"applied": True, **asdict(revoked)})
        return
    say(f"{name} is revoked; {len(revoked.serials)} certificates are on the revocation list")
    for test in revoked.removed_tests:
        say(f"taken out of the policy's tests, which expected it to be let in: {test}")
    say(f"to let it in again with a new certificate: leadglass device renew {name} --out DIR")


@app.command()
def renew(
    context: typer.Context,
    name: Name,
    out: Annotated[Path, typer.Option("--out", help="The folder for key.pem, cert.pem and ca.pem.")],
    csr: Csr = None,
    p12: P12 = False,  # noqa: FBT002  a flag of the command line
    days: Days = DEFAULT_DAYS,
    yes: YesOption = False,  # noqa: FBT002  a flag of the command line
    dry_run: DryRunOption = False,  # noqa: FBT002  a flag of the command line
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Give a device another certificate, and let it in again if it was revoked. It shows both, and asks."""
    credential = _new_credential(csr, p12=p12, days=days)
    with local_site(home_of(context)) as opened:
        permit, desk = opened.permit(Verb.MANAGE), desk_of(opened)
        change = change_of_renewing(permit, desk, name, credential, out)
        _agree(change, f"Renew {name}?", yes=yes, dry_run=dry_run, as_json=as_json)
        if p12 and isinstance(credential, NewKey):
            credential = replace(credential, p12_passphrase=_passphrase())
        renewed = renew_device(permit, desk, name, credential, out, shown=change.standing)
    _tell(renewed, change, as_json=as_json)


def _agree(change: DeviceChange, question: str, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Show a change and come back if it is wanted; else the command ends, and nothing was changed."""
    if not as_json:
        for line in change.lines:
            typer.echo(visible(line))
        if change.difference is not None:
            print_difference(change.difference)
        for line in change.certificates:
            say(line)
        for test in change.removed_tests:
            say(f"this test of the policy expects it to be let in, and is taken out: {test}")
    if change.trouble:
        say(f"warning: the policy cannot be changed, only its certificates are revoked: {change.trouble}")
    if dry_run:
        if as_json:
            print_json({"applied": False, **_document(change)})
        else:
            say("nothing was changed")
        leave(Exit.OK)
    ask_unless(question, yes=yes)


def _document(change: DeviceChange) -> dict[str, object]:
    return {
        "policy_lines": change.lines,
        "difference": change.difference,
        "certificates": change.certificates,
        "removed_tests": change.removed_tests,
        "trouble": change.trouble,
    }


def _credential(
    home: Home,
    opened: Site,
    zone: str,
    csr: Path | None,
    fingerprint: str | None,
    out: Path | None,
    *,
    p12: bool,
    days: int,
) -> Credential | None:
    if fingerprint is not None:
        if csr is not None or p12:
            say("error: --fingerprint is for a certificate the device already has; --csr and --p12 make one")
            leave(Exit.USAGE)
        return ForeignCertificate(fingerprint)
    found = standing_policy(home, opened.clock)[0].zones.get(zone)
    if found is not None and found.transports == {Transport.PLAIN}:
        return _new_credential(csr, p12=p12, days=days) if csr is not None or p12 else None
    if out is None:
        say("error: --out says where the device's certificate goes")
        leave(Exit.USAGE)
    return _new_credential(csr, p12=p12, days=days)


def _new_credential(csr: Path | None, *, p12: bool, days: int) -> NewKey | SigningRequest:
    lifetime = timedelta(days=days)
    if csr is None:
        return NewKey(lifetime)
    if p12:
        say("error: --p12 holds a key, and with --csr the device keeps its own")
        leave(Exit.USAGE)
    try:
        return SigningRequest(csr.read_bytes(), lifetime)
    except OSError as error:
        raise ConfigurationInvalid(f"{csr} cannot be read: {error.strerror}") from error


def _passphrase() -> bytes:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is None:
        given = typer.prompt("Passphrase of device.p12", hide_input=True, confirmation_prompt=True, err=True)
    if not given:
        say("error: the passphrase is empty")
        leave(Exit.USAGE)
    return str(given).encode()


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _tell(added: DeviceAdded, change: DeviceChange, *, as_json: bool) -> None:
    if as_json:
        made = {"device": added.device.name, "files": added.files, "policy_line": added.policy_line}
        print_json({"applied": True, **made, **_document(change)})
        return
    for path in added.files:
        typer.echo(path)
    if added.policy_line:
        say(f"added to [devices]: {added.policy_line}")


def _trial(opened: Site, added: DeviceAdded) -> str | None:
    """A command that tries the new device, where one can be told."""
    device = added.device
    zone = standing_policy(opened.home, opened.clock)[0].zones[device.zone]
    listeners = opened.settings.listeners.values()
    listener = next((one for one in listeners if one.transport in zone.transports), None)
    if listener is None:
        return None
    command = (
        f"leadglass echo --to {listener.address} --called {opened.settings.ae[0]} --calling {device.ae[0]}"
    )
    key = next((path for path in added.files if path.name == "key.pem"), None)
    if key is not None:
        folder = key.parent
        command += f" --cert {folder}/cert.pem --key {folder}/key.pem --ca {folder}/ca.pem"
    elif Transport.PLAIN not in zone.transports:
        return None  # the device keeps its key to itself
    source = str(device.ip) if device.ip else _loopback_source(zone)
    return f"{command} --bind {source}" if source else command


def _loopback_source(zone: Zone) -> str | None:
    """On a trial site every zone is this machine: the address to call from, unless the usual one will do."""
    network = next(
        (network for network in zone.networks if network.is_loopback and network.version == 4), None
    )
    if network is None or LOOPBACK in network:
        return None
    return str(network[1] if network.num_addresses > 1 else network[0])
