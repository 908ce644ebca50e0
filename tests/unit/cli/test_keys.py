"""``keys``: rotate, export, drill, list, as an administrator types them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leadglass.app import Home
from leadglass.cli.output import Exit
from leadglass.cli.running import serving_lock
from leadglass.identity.bundle import open_bundle
from leadglass.storage.keys import FileKeyProvider
from tests.support.archive_rig import ct_images
from tests.support.command_line import Leadglass
from tests.support.site import LiveSite
from tests.support.stored import store_in_process

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def home(live: LiveSite) -> Path:
    """A site that holds a few objects."""
    store_in_process(live, ct_images(3))
    return live.home


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def key_files(home: Path) -> set[str]:
    return {path.name for path in (home / "keys").glob("site-*.key")}


def test_a_rotation_puts_every_object_under_another_key_and_destroys_the_old_one(
    leadglass: Leadglass, home: Path
) -> None:
    before = key_files(home)
    ended = leadglass("--home", home, "keys", "rotate", "--json")
    assert ended.code == Exit.OK
    assert ended.json["rewrapped"] == 3
    assert not ended.json["resumed"]
    assert key_files(home) == {f"site-{ended.json['key_id']}.key"}
    assert not key_files(home) & before
    assert leadglass("--home", home, "check").code == Exit.OK
    listed = leadglass("--home", home, "keys", "list")
    assert listed.out == f"{ended.json['key_id']}\tcurrent\n"


def test_a_rotation_that_was_broken_off_is_finished_and_makes_no_third_key(
    leadglass: Leadglass, home: Path
) -> None:
    FileKeyProvider(home / "keys").renew(os.urandom)
    assert len(leadglass("--home", home, "keys", "list", "--json").json) == 2
    ended = leadglass("--home", home, "keys", "rotate")
    assert ended.code == Exit.OK
    assert "broken off is finished" in ended.err
    assert len(key_files(home)) == 1


def test_a_server_that_does_not_take_the_key_up_stops_the_rotation_and_no_key_is_destroyed(
    leadglass: Leadglass, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadglass.cli.keys.TAKE_UP_S", 0.05)
    with serving_lock(Home(home)):  # a server that has said nothing of itself yet, and will not
        ended = leadglass("--home", home, "keys", "rotate")
    assert ended.code == Exit.ERROR
    assert "does not take the new key up" in ended.err
    assert len(key_files(home)) == 2


def test_an_exported_bundle_opens_the_archive_and_a_drill_proves_it(
    leadglass: Leadglass, home: Path, passphrase: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "recovery"
    ended = leadglass("--home", home, "keys", "export", bundle, "--passphrase-file", passphrase)
    assert ended.code == Exit.OK
    assert bundle.stat().st_mode & 0o777 == 0o600
    files = open_bundle(bundle.read_bytes(), PASSPHRASE.encode())
    assert {"index.key", "site-current", *key_files(home)} <= files.keys()
    drilled = leadglass("--home", home, "keys", "drill", bundle, "--passphrase-file", passphrase, "--json")
    assert drilled.code == Exit.OK
    assert (drilled.json["objects"], drilled.json["read"], drilled.json["failed"]) == (3, 3, 0)


def test_a_bundle_of_before_a_rotation_is_found_not_to_open_it(
    leadglass: Leadglass, home: Path, passphrase: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "recovery"
    leadglass("--home", home, "keys", "export", bundle, "--passphrase-file", passphrase)
    leadglass("--home", home, "keys", "rotate")
    drilled = leadglass("--home", home, "keys", "drill", bundle, "--passphrase-file", passphrase)
    assert drilled.code == Exit.INTEGRITY_BROKEN
    assert "does NOT open" in drilled.err


def test_a_wrong_passphrase_an_open_file_and_an_existing_bundle_are_refused(
    leadglass: Leadglass, home: Path, passphrase: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "recovery"
    export = ("--home", home, "keys", "export", bundle, "--passphrase-file", passphrase)
    assert leadglass(*export).code == Exit.OK
    again = leadglass(*export)
    assert again.code == Exit.ERROR
    assert "not overwritten" in again.err
    passphrase.write_text("another one altogether", encoding="utf-8")
    wrong = leadglass("--home", home, "keys", "drill", bundle, "--passphrase-file", passphrase)
    assert wrong.code == Exit.ERROR
    assert "passphrase is wrong" in wrong.err
    passphrase.chmod(0o644)
    open_to_all = leadglass("--home", home, "keys", "drill", bundle, "--passphrase-file", passphrase)
    assert open_to_all.code == Exit.ERROR
    assert "used by others" in open_to_all.err


def test_what_was_done_with_keys_is_in_the_audit_trail(
    leadglass: Leadglass, home: Path, passphrase: Path, tmp_path: Path, live: LiveSite
) -> None:
    bundle = tmp_path / "recovery"
    leadglass("--home", home, "keys", "export", bundle, "--passphrase-file", passphrase)
    leadglass("--home", home, "keys", "drill", bundle, "--passphrase-file", passphrase)
    leadglass("--home", home, "keys", "rotate")
    kinds = [line.event.kind for line in live.audit() if line.event.kind.startswith("keys.")]
    assert kinds == ["keys.exported", "keys.drilled", "keys.renewed", "keys.rotated"]
    said = " ".join(line.event.reason for line in live.audit())
    assert PASSPHRASE not in said
