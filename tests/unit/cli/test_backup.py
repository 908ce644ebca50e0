"""``backup`` and ``restore``, as an administrator types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadglass.admin.occupancy import alone_in
from leadglass.admin.restore import open_snapshot, restore_site
from leadglass.admin.snapshots import BackupFolder
from leadglass.app import Home, local_site
from leadglass.cli.output import Exit
from leadglass.model.errors import SiteExists, SiteInUse
from tests.support.archive_rig import ct_images
from tests.support.command_line import Ended, Leadglass
from tests.support.site import LiveSite
from tests.support.stored import store_in_process, study_of

PASSPHRASE = "correct horse battery staple"
INIT = ("init", "--name", "North", "--ae", "NORTH", "--dicom-tls", "127.0.0.1:0")


@pytest.fixture
def home(live: LiveSite) -> Path:
    store_in_process(live, ct_images(3))
    return live.home


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture
def folder(tmp_path: Path, leadglass: Leadglass, home: Path, passphrase: Path) -> Path:
    """A backup with one snapshot."""
    made = leadglass("--home", home, "backup", tmp_path / "backup", "--passphrase-file", passphrase)
    assert made.code == Exit.OK
    return tmp_path / "backup"


def test_a_site_comes_back_whole_and_its_trail_says_from_where(
    leadglass: Leadglass, home: Path, folder: Path, passphrase: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    restored = leadglass("--home", again, "restore", folder, "--passphrase-file", passphrase, "--json")
    assert restored.code == Exit.OK
    assert restored.json["check"]["objects"] == 3
    assert restored.json["check"]["damage_count"] == 0
    lines = leadglass("--home", again, "audit", "tail", "--json").out
    assert "site.restored" in lines
    assert leadglass("--home", again, "audit", "verify").code == Exit.OK
    for name in ("leadglass.toml", "policy.toml", "keys/ca.key"):
        assert (again / name).read_bytes() == (home / name).read_bytes()
    assert (again / "keys" / "ca.key").stat().st_mode & 0o077 == 0
    kept = {path.name for path in again.iterdir()}
    assert kept <= {"leadglass.toml", "policy.toml", "keys", "segments", "audit.checkpoints"} | {
        f"index.db{end}" for end in ("", "-wal", "-shm")
    }


def test_a_second_backup_copies_only_what_is_new_and_both_can_be_restored(
    leadglass: Leadglass, home: Path, live: LiveSite, folder: Path, passphrase: Path, tmp_path: Path
) -> None:
    store_in_process(live, ct_images(5)[3:], again=True)
    assert leadglass("--home", home, "keys", "rotate").code == Exit.OK
    made = leadglass("--home", home, "backup", folder, "--passphrase-file", passphrase, "--json")
    assert made.json["objects"] == 5
    assert 0 < made.json["added_bytes"] < 2 * 2500
    first, second = leadglass("restore", folder, "--list", "--json").json
    assert (first["objects"], second["objects"]) == (3, 5)
    for each in (first, second):
        again = tmp_path / str(each["id"])
        arguments = ("restore", folder, "--snapshot", each["id"], "--passphrase-file", passphrase, "--json")
        restored = leadglass("--home", again, *arguments)
        assert (restored.code, restored.json["check"]["objects"]) == (Exit.OK, each["objects"])


def test_only_so_many_snapshots_are_kept(
    leadglass: Leadglass, home: Path, folder: Path, passphrase: Path
) -> None:
    arguments = ("backup", folder, "--keep", 2, "--passphrase-file", passphrase, "--json")
    removed = [leadglass("--home", home, *arguments).json["removed"] for _ in range(2)]
    assert removed == [0, 1]
    assert len(leadglass("restore", folder, "--list", "--json").json) == 2
    assert leadglass("restore", folder, "--dry-run", "--passphrase-file", passphrase).code == Exit.OK


def test_what_is_erased_and_binned_comes_back_as_it_was(
    leadglass: Leadglass, home: Path, folder: Path, passphrase: Path, tmp_path: Path
) -> None:
    study = study_of(ct_images(1)[0])
    assert leadglass("--home", home, "delete", "study", study, "--reason", "x", "--yes").code == Exit.OK
    assert leadglass("--home", home, "backup", folder, "--passphrase-file", passphrase).code == Exit.OK
    again = tmp_path / "again"
    assert leadglass("--home", again, "restore", folder, "--passphrase-file", passphrase).code == Exit.OK
    assert leadglass("--home", again, "bin", "restore", "--study", study).code == Exit.OK
    assert leadglass("--home", again, "status", "--json").json["counts"]["instances"] == 3
    assert leadglass("--home", home, "bin", "empty", "--study", study, "--yes").code == Exit.OK
    assert leadglass("--home", home, "backup", folder, "--passphrase-file", passphrase).code == Exit.OK
    empty = tmp_path / "empty"
    restored = leadglass("--home", empty, "restore", folder, "--passphrase-file", passphrase, "--json")
    assert (restored.code, restored.json["check"]["objects"]) == (Exit.OK, 0)


def test_damage_in_the_backup_is_named_and_the_rest_is_restored(
    leadglass: Leadglass, folder: Path, passphrase: Path, tmp_path: Path
) -> None:
    [body] = (folder / "segments").glob("*.body")
    content = bytearray(body.read_bytes())
    content[200] ^= 1
    body.write_bytes(content)
    tried = leadglass("restore", folder, "--dry-run", "--passphrase-file", passphrase)
    assert tried.code == Exit.INTEGRITY_BROKEN
    assert "are not those that were copied" in tried.err
    again = tmp_path / "again"
    restored = leadglass("--home", again, "restore", folder, "--passphrase-file", passphrase, "--json")
    assert restored.code == Exit.INTEGRITY_BROKEN
    assert restored.json["problem_count"] == 1
    assert restored.json["check"]["damage_count"] == 1
    assert restored.json["check"]["objects"] == 3


@pytest.mark.parametrize("name", ["segments.json", "index.db", "audit.checkpoints", "sealed.bundle"])
def test_a_snapshot_that_was_changed_is_refused(
    leadglass: Leadglass, folder: Path, passphrase: Path, tmp_path: Path, name: str
) -> None:
    [path] = folder.glob(f"snapshots/*/{name}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    again = tmp_path / "again"
    refused = leadglass("--home", again, "restore", folder, "--passphrase-file", passphrase)
    assert refused.code in (Exit.ERROR, Exit.INTEGRITY_BROKEN)
    assert "error:" in refused.err
    assert not again.exists()


def test_a_wrong_passphrase_opens_nothing(
    leadglass: Leadglass, folder: Path, passphrase: Path, tmp_path: Path
) -> None:
    passphrase.write_text("another one entirely\n", encoding="utf-8")
    refused = leadglass("--home", tmp_path / "again", "restore", folder, "--passphrase-file", passphrase)
    assert refused.code == Exit.ERROR
    assert "passphrase is wrong" in refused.err
    assert not (tmp_path / "again").exists()


def test_a_lost_segment_is_told_and_the_backup_keeps_what_it_had(
    leadglass: Leadglass, home: Path, folder: Path, passphrase: Path, tmp_path: Path
) -> None:
    [segment] = (home / "segments").glob("*.seg")
    segment.unlink()
    made = leadglass("--home", home, "backup", folder, "--passphrase-file", passphrase)
    assert made.code == Exit.PARTLY_DONE
    assert f"{segment.name} is missing" in made.err
    again = tmp_path / "again"
    restored = leadglass("--home", again, "restore", folder, "--passphrase-file", passphrase, "--json")
    assert (restored.code, restored.json["check"]["objects"]) == (Exit.OK, 3)


def test_no_site_is_overwritten_and_no_other_folder_taken(
    leadglass: Leadglass, home: Path, folder: Path, passphrase: Path, tmp_path: Path
) -> None:
    refused = leadglass("--home", home, "restore", folder, "--passphrase-file", passphrase)
    assert refused.code == Exit.ERROR
    assert "there is a site here" in refused.err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("x", encoding="utf-8")
    into = leadglass("--home", home, "backup", tmp_path / "full", "--passphrase-file", passphrase)
    assert into.code == Exit.ERROR
    assert "holds other files" in into.err
    assert leadglass("restore", tmp_path / "full", "--list").code == Exit.ERROR
    unknown = leadglass("restore", folder, "--dry-run", "--snapshot", "X", "--passphrase-file", passphrase)
    assert "holds no snapshot X" in unknown.err


def test_what_was_broken_off_before_it_said_what_it_is_is_begun_again(
    leadglass: Leadglass, home: Path, passphrase: Path, tmp_path: Path
) -> None:
    folder, new = tmp_path / "disk" / "backup", tmp_path / "new" / "site"
    folder.mkdir(parents=True)
    (folder / ".leadglass-backup.json.4711.new").write_bytes(b"")
    assert leadglass("--home", home, "backup", folder, "--passphrase-file", passphrase).code == Exit.OK
    draft = new.parent / ".site.restoring"
    draft.mkdir(parents=True)
    (draft / ".restoring.json.4711.new").write_bytes(b"")
    assert leadglass("--home", new, "restore", folder, "--passphrase-file", passphrase).code == Exit.OK
    assert (new / "leadglass.toml").exists()
    (tmp_path / ".other.restoring").mkdir()
    (tmp_path / ".other.restoring" / "letter.txt").write_text("x", encoding="utf-8")
    refused = leadglass("--home", tmp_path / "other", "restore", folder, "--passphrase-file", passphrase)
    assert "remove it first" in refused.err


def test_a_short_passphrase_is_refused_before_anything_is_written(
    leadglass: Leadglass, home: Path, passphrase: Path, tmp_path: Path
) -> None:
    passphrase.write_text("short\n", encoding="utf-8")
    refused = leadglass("--home", home, "backup", tmp_path / "backup", "--passphrase-file", passphrase)
    assert refused.code == Exit.ERROR
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("name", ["ca.pem~", "old keys.txt", "notes", "issued/a b.pem"])
def test_what_an_editor_left_among_the_keys_keeps_no_site_from_coming_back(
    leadglass: Leadglass, home: Path, passphrase: Path, tmp_path: Path, name: str
) -> None:
    (home / "keys" / name).write_text("x", encoding="utf-8")
    folder, again = tmp_path / "backup", tmp_path / "again"
    assert leadglass("--home", home, "backup", folder, "--passphrase-file", passphrase).code == Exit.OK
    assert leadglass("--home", again, "restore", folder, "--passphrase-file", passphrase).code == Exit.OK
    assert (again / "keys" / "ca.pem").read_bytes() == (home / "keys" / "ca.pem").read_bytes()


def test_segments_that_lay_elsewhere_are_restored_into_the_sites_folder(
    leadglass: Leadglass, home: Path, passphrase: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "disk"
    (home / "segments").rename(elsewhere)
    settings = home / "leadglass.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace('segments = "segments"', f'segments = "{elsewhere}"'), encoding="utf-8")
    folder, again = tmp_path / "backup", tmp_path / "again"
    assert leadglass("--home", home, "backup", folder, "--passphrase-file", passphrase).code == Exit.OK
    assert leadglass("--home", again, "restore", folder, "--passphrase-file", passphrase).code == Exit.OK
    assert list((again / "segments").glob("*.seg"))
    assert str(elsewhere) not in (again / "leadglass.toml").read_text(encoding="utf-8")


def test_a_second_restore_into_the_same_home_is_refused_while_the_first_runs(
    leadglass: Leadglass, folder: Path, passphrase: Path, tmp_path: Path
) -> None:
    again, found = tmp_path / "again", BackupFolder.open(folder)
    opened = open_snapshot(found, found.latest(), PASSPHRASE.encode())
    meanwhile: list[Ended] = []

    def second(_what: str, _done: int, _total: int) -> None:
        meanwhile.append(leadglass("--home", again, "restore", folder, "--passphrase-file", passphrase))
        meanwhile.append(leadglass("--home", again, *INIT))

    restore_site(opened, found.copies, again, second)
    assert len(meanwhile) >= 2
    for refused in meanwhile:
        assert refused.code == Exit.ERROR
        assert "another leadglass command uses" in refused.err
    assert leadglass("--home", again, "check").code == Exit.OK


def test_one_that_was_broken_off_keeps_nobody_out(
    leadglass: Leadglass, folder: Path, passphrase: Path, tmp_path: Path
) -> None:
    again, found = tmp_path / "again", BackupFolder.open(folder)
    opened = open_snapshot(found, found.latest(), PASSPHRASE.encode())

    def broken_off(_what: str, _done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_site(opened, found.copies, again, broken_off)
    assert leadglass("--home", again, "restore", folder, "--passphrase-file", passphrase).code == Exit.OK
    with pytest.raises(SiteExists):
        restore_site(opened, found.copies, again, broken_off)


def test_one_that_was_killed_at_its_first_step_is_begun_again(
    leadglass: Leadglass, folder: Path, passphrase: Path, tmp_path: Path
) -> None:
    draft = tmp_path / ".again.restoring"
    draft.mkdir()
    (draft / ".restoring.json.4711.new").write_bytes(b'{"snap')
    restoring = ("restore", folder, "--passphrase-file", passphrase)
    assert leadglass("--home", tmp_path / "again", *restoring).code == Exit.OK
    draft.mkdir()
    (draft / "letter.txt").write_bytes(b"x")
    (tmp_path / "again").rename(tmp_path / "elsewhere")
    refused = leadglass("--home", tmp_path / "again", *restoring)
    assert (refused.code, "of a restore of another snapshot" in refused.err) == (Exit.ERROR, True)


def test_a_home_that_was_emptied_under_a_command_is_not_restored_to(
    leadglass: Leadglass, home: Path, folder: Path, passphrase: Path
) -> None:
    restoring = ("--home", home, "restore", folder, "--passphrase-file", passphrase)
    with local_site(Home(home)) as site:
        site.committer.flush()
        for path in home.iterdir():
            path.rename(folder.parent / f"gone-{path.name}")
        refused = leadglass(*restoring)
        assert refused.code == Exit.ERROR
        assert f"another leadglass command uses {home}" in refused.err
        assert not list(home.iterdir())
    assert leadglass(*restoring).code == Exit.OK


def test_no_command_uses_a_site_that_is_being_put_in_place(leadglass: Leadglass, home: Path) -> None:
    with alone_in(home):
        refused = leadglass("--home", home, "status")
    assert (refused.code, "a restore puts a site into" in refused.err) == (Exit.ERROR, True)
    assert leadglass("--home", home, "status").code == Exit.OK


def test_a_folder_that_is_moved_away_is_nobodys(tmp_path: Path) -> None:
    with pytest.raises(SiteInUse, match="moved away"), alone_in(tmp_path / "none"):
        pass


def test_no_backup_removes_what_a_restore_reads(
    leadglass: Leadglass, home: Path, folder: Path, passphrase: Path
) -> None:
    backing_up = ("--home", home, "backup", folder, "--keep", 1, "--passphrase-file", passphrase)
    with BackupFolder.open(folder).reading():
        refused = leadglass(*backing_up)
        assert leadglass("restore", folder, "--dry-run", "--passphrase-file", passphrase).code == Exit.OK
    assert (refused.code, "a restore from it, is under way" in refused.err) == (Exit.ERROR, True)
    with BackupFolder.open(folder).locked():
        refused = leadglass("restore", folder, "--dry-run", "--passphrase-file", passphrase)
    assert refused.code == Exit.ERROR
    (folder / ".lock").unlink()  # as in a copy of the folder
    assert leadglass("restore", folder, "--dry-run", "--passphrase-file", passphrase).code == Exit.OK
