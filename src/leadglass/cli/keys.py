"""``keys``: change the site key, and keep what opens the archive elsewhere."""

from __future__ import annotations

import random
import secrets
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from leadglass.admin.keys import rotate_keys
from leadglass.admin.recovery import drill as drill_bundle
from leadglass.admin.recovery import export_bundle
from leadglass.app import Home, local_site
from leadglass.cli.files import home_of
from leadglass.cli.output import (
    Exit,
    JsonOption,
    leave,
    message_console,
    print_fields,
    print_json,
    print_rows,
    say,
)
from leadglass.cli.passphrases import PassphraseFile, known_passphrase, new_passphrase
from leadglass.cli.running import is_served, read_running
from leadglass.identity.files import locked
from leadglass.model.action import Verb
from leadglass.use_cases import inventory_with, key_list, store_reading_with

TAKE_UP_S = 10.0
POLL_S = 0.1

app = typer.Typer(help="Change the site key, export it, prove the export.", no_args_is_help=True)


class _RunningServer:
    """The server of a site, as its running file tells of it."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def has_taken_up(self, key_id: bytes) -> bool:
        deadline_s = time.monotonic() + TAKE_UP_S
        while is_served(self._home):
            running = read_running(self._home)
            if running is not None and running.key_id == key_id.hex():
                return True
            if time.monotonic() > deadline_s:
                return False
            time.sleep(POLL_S)
        return True  # none, or one that reads the keys when it starts


def _progress() -> Progress:
    return Progress(console=message_console(), transient=True)


@app.command("list")
def list_keys(context: typer.Context, as_json: JsonOption = False) -> None:  # noqa: FBT002  a flag of the command line
    """The site keys here: the current one, and older ones that objects may still be under."""
    with local_site(home_of(context)) as site:
        site.permit(Verb.STATUS)
        rows = key_list(site)
    if as_json:
        print_json([{"key_id": key_id, "current": current} for key_id, current in rows])
        return
    print_rows(("key", "use"), [(key_id, "current" if current else "older") for key_id, current in rows])


@app.command()
def rotate(context: typer.Context, as_json: JsonOption = False) -> None:  # noqa: FBT002  a flag of the command line
    """Make a new site key, put every object under it, destroy the older ones. Serving goes on."""
    home = home_of(context)
    with local_site(home) as site:
        permit = site.permit(Verb.KEYS)
        with (
            locked(home.keys / ".rotate.lock"),
            Progress(console=message_console(), transient=True) as progress,
        ):
            task = progress.add_task("objects", total=None)
            rotated = rotate_keys(
                permit,
                (site.index, site.store, site.keys),
                site.gate,
                _RunningServer(home),
                secrets.token_bytes,
                lambda done, total: progress.update(task, completed=done, total=total),
            )
    if as_json:
        print_json(asdict(rotated))
    else:
        print_fields(
            {
                "current key": rotated.key_id,
                "objects put under it": str(rotated.rewrapped),
                "older keys destroyed": str(len(rotated.destroyed)),
                "objects that cannot be read": str(rotated.unreadable),
            }
        )
    if rotated.resumed:
        say("a rotation that was broken off is finished; run again for a new key")
    if rotated.unreadable:
        say("the older keys are kept; 'leadglass check' names the objects")
        leave(Exit.INTEGRITY_BROKEN)
    say("the recovery bundle is of the older key: 'leadglass keys export' makes another")


@app.command()
def export(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="The bundle to write; must not exist.")],
    passphrase_file: PassphraseFile = None,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Seal all keys of the site with a passphrase into one file, to keep somewhere else."""
    home = home_of(context)
    with local_site(home) as site:
        permit = site.permit(Verb.KEYS)
        passphrase = new_passphrase(passphrase_file)
        count = export_bundle(permit, home.keys, out, passphrase, site.gate, secrets.token_bytes)
    if as_json:
        print_json({"bundle": str(out), "files": count})
        return
    say(f"{count} files sealed into {out}; prove it with 'leadglass keys drill {out}'")


@app.command()
def drill(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="The bundle to prove.")],
    passphrase_file: PassphraseFile = None,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Open this archive with nothing but the bundle: its index, and objects of every segment. Or exit 5."""
    home = home_of(context)
    with local_site(home) as site:
        permit = site.permit(Verb.KEYS)
        result = drill_bundle(
            permit,
            bundle,
            known_passphrase(passphrase_file),
            lambda key: inventory_with(home, permit, key),
            lambda keys: store_reading_with(site, keys),
            site.gate,
            random.Random(),  # noqa: S311  a sample, no secret
        )
    if as_json:
        print_json(asdict(result))
    else:
        print_fields(
            {
                "site keys": str(result.site_keys),
                "objects": str(result.objects),
                "read": str(result.read),
                "not opened": str(result.failed),
            }
        )
        for failure in result.failures:
            say(f"not opened: {failure}")
        say("the bundle opens this archive" if result.opens else "the bundle does NOT open this archive")
    if not result.opens:
        leave(Exit.INTEGRITY_BROKEN)
