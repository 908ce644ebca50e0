"""``backup --verify``, as an administrator types it: all of a backup is read, and what is wrong named."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from leadglass.admin import backup
from leadglass.admin.snapshots import DIGESTS, BackupFolder
from leadglass.cli.output import Exit
from leadglass.identity.bundle import open_bundle, seal_bundle
from leadglass.index.engine import connector
from leadglass.model.event import Outcome
from tests.support.archive_rig import ct_images
from tests.support.command_line import Ended, Leadglass
from tests.support.site import LiveSite
from tests.support.stored import store_in_process, study_of

PASSPHRASE = "correct horse battery staple"
ITEMS = ct_images(5)
STUDY = study_of(ITEMS[0])

Add = Callable[[], Path]
Verify = Callable[..., Ended]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase that is cheap to guess: bundles are opened often here."""
    monkeypatch.setattr(backup, "seal_bundle", partial(seal_bundle, log2_n=8))


@pytest.fixture
def home(live: LiveSite) -> Path:
    store_in_process(live, ITEMS[:3])
    return live.home


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture
def add(leadglass: Leadglass, home: Path, tmp_path: Path, passphrase: Path) -> Add:
    """Add a snapshot."""

    def add() -> Path:
        making = ("backup", tmp_path / "backup", "--passphrase-file", passphrase)
        assert leadglass("--home", home, *making).code in (Exit.OK, Exit.PARTLY_DONE)
        return tmp_path / "backup"

    return add


@pytest.fixture
def verify(leadglass: Leadglass, tmp_path: Path, passphrase: Path) -> Verify:
    def verify(*arguments: object) -> Ended:
        return leadglass(
            "backup", "--verify", tmp_path / "backup", "--passphrase-file", passphrase, *arguments
        )

    return verify


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def reseal(snapshot: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Change what a bundle holds, as whoever has the passphrase can."""
    files = open_bundle((snapshot / "sealed.bundle").read_bytes(), PASSPHRASE.encode())
    change(files)
    sealed = seal_bundle(files, PASSPHRASE.encode(), os.urandom, log2_n=8)
    (snapshot / "sealed.bundle").write_bytes(sealed)


def test_a_sound_backup_is_sound_and_needs_no_site(add: Add, verify: Verify, home: Path) -> None:
    add()
    home.rename(home.parent / "burnt")
    shown = verify()
    assert (shown.code, "all that was read is sound" in shown.err) == (Exit.OK, True)
    assert "objects    3\n" in shown.out
    found = verify("--json").json
    numbers = [found[name] for name in ("snapshots", "segments", "objects", "problem_count")]
    assert (numbers, found["not_compared"]) == ([1, 1, 3, 0], [])
    assert found["size_bytes"] == sum(path.stat().st_size for path in bodies(home.parent / "backup"))


def bodies(folder: Path) -> list[Path]:
    return list((folder / "segments").glob("*.body"))


def test_what_snapshots_share_is_read_once_and_what_differs_is_read_each(
    add: Add, verify: Verify, live: LiveSite, leadglass: Leadglass, home: Path
) -> None:
    add()
    add()
    assert verify("--json").json["objects"] == 3
    store_in_process(live, ITEMS[3:], again=True)
    add()
    assert verify("--json").json["objects"] == 5
    assert leadglass("--home", home, "keys", "rotate").code == Exit.OK
    add()
    assert verify("--json").json["objects"] == 5 + 5  # under the older key and under the newer one
    assert leadglass("--home", home, "delete", "study", STUDY, "--reason", "x", "--yes").code == Exit.OK
    assert leadglass("--home", home, "bin", "empty", "--study", STUDY, "--yes").code == Exit.OK
    add()
    found = verify("--json").json
    assert (found["snapshots"], found["objects"], found["problems"]) == (5, 10, [])


def test_a_flipped_bit_costs_one_object_which_is_named(add: Add, verify: Verify) -> None:
    [body] = bodies(add())
    flip(body, 200)
    ended = verify("--json")
    assert ended.code == Exit.INTEGRITY_BROKEN
    of_body, of_object = ended.json["problems"]
    assert "are not those that were copied" in of_body
    assert f"instance {ITEMS[0].sop_instance} of study {STUDY}: " in of_object
    assert "1 problems" not in ended.err
    assert "2 problems found" in ended.err


@pytest.mark.parametrize(("suffix", "objects"), [(".body", 3), (".headers", 3), (".state", 0)])
def test_a_lost_file_of_a_segment_is_named_with_the_objects_it_costs(
    add: Add, verify: Verify, suffix: str, objects: int
) -> None:
    [path] = (add() / "segments").glob(f"*{suffix}")
    path.unlink()
    problems = verify("--json").json["problems"]
    assert f"{path.name} cannot be read" in problems[0]
    assert sum("instance " in each for each in problems) == objects


@pytest.mark.parametrize("name", ["segments.json", "index.db", "audit.checkpoints", "about.json"])
def test_a_lost_file_of_a_snapshot_is_named(add: Add, verify: Verify, name: str) -> None:
    [path] = add().glob(f"snapshots/*/{name}")
    path.unlink()
    ended = verify("--json")
    assert (ended.code, ended.json["problem_count"]) == (Exit.INTEGRITY_BROKEN, 1)
    assert str(path) in ended.json["problems"][0]


def test_what_was_rotten_in_the_archive_is_found_in_its_copy(add: Add, verify: Verify, home: Path) -> None:
    [segment] = (home / "segments").glob("*.seg")
    flip(segment, 200)
    add()
    [problem] = verify("--json").json["problems"]
    assert f"instance {ITEMS[0].sop_instance}" in problem


def test_objects_of_a_segment_that_was_never_copied_are_named(add: Add, verify: Verify, home: Path) -> None:
    [segment] = (home / "segments").glob("*.seg")
    segment.unlink()
    add()
    problems = verify("--json").json["problems"]
    assert len(problems) == 3
    assert all("nothing of its segment is in the snapshot" in each for each in problems)


def test_a_site_key_that_is_missing_is_told_of_each_object(add: Add, verify: Verify) -> None:
    def without_site_keys(files: dict[str, bytes]) -> None:
        for name in [name for name in files if name.startswith("keys/site-") and name.endswith(".key")]:
            del files[name]

    [snapshot] = (add() / "snapshots").iterdir()
    reseal(snapshot, without_site_keys)
    problems = verify("--json").json["problems"]
    assert len(problems) == 3
    assert all("site key" in each for each in problems)


def test_a_backup_of_another_site_or_of_nobody_is_told(add: Add, verify: Verify) -> None:
    marker = add() / "leadglass-backup.json"
    marker.write_bytes(marker.read_bytes().replace(b'"site":"', b'"site":"f'))
    [problem] = verify("--json").json["problems"]
    assert problem.startswith("leadglass-backup.json is not")
    marker.write_bytes(b"{")
    ended = verify()
    assert (ended.code, f"{marker} is damaged" in ended.err) == (Exit.ERROR, True)


def test_a_wrong_passphrase_verifies_nothing_and_names_the_bundle(
    add: Add, verify: Verify, passphrase: Path
) -> None:
    add()
    passphrase.write_text("another one entirely\n", encoding="utf-8")
    ended = verify()
    assert ended.code == Exit.ERROR
    assert "sealed.bundle: the passphrase is wrong, or the bundle was changed" in ended.err


def test_a_snapshot_of_another_passphrase_is_a_problem_among_others(
    add: Add, verify: Verify, passphrase: Path
) -> None:
    folder = add()
    passphrase.write_text("another one entirely\n", encoding="utf-8")
    add()
    ended = verify("--json")
    [problem] = ended.json["problems"]
    assert BackupFolder.open(folder).names()[0] in problem
    assert (ended.code, ended.json["objects"]) == (Exit.INTEGRITY_BROKEN, 3)


def test_what_an_older_leadglass_indexed_is_left_to_a_restore(add: Add, verify: Verify) -> None:
    [snapshot] = (add() / "snapshots").iterdir()
    index = snapshot / "index.db"

    def as_if_older(files: dict[str, bytes]) -> None:
        opened = connector(str(index), files["keys/index.key"])()
        opened.execute("UPDATE alembic_version SET version_num = 'r0000'")
        opened.close()
        digests = msgspec.json.decode(files[DIGESTS], type=dict[str, str])
        digests["index.db"] = hashlib.sha256(index.read_bytes()).hexdigest()
        files[DIGESTS] = msgspec.json.encode(digests)

    reseal(snapshot, as_if_older)
    ended = verify("--json")
    assert (ended.code, ended.json["problems"]) == (Exit.PARTLY_DONE, [])
    assert (ended.json["not_compared"], ended.json["objects"]) == ([snapshot.name], 0)
    assert "'leadglass restore' compares its objects" in ended.err


def test_with_a_site_its_trail_says_what_came_of_it(
    add: Add, leadglass: Leadglass, home: Path, live: LiveSite, passphrase: Path
) -> None:
    folder = add()
    verifying = ("--home", home, "backup", "--verify", folder, "--passphrase-file", passphrase)
    assert leadglass(*verifying).code == Exit.OK
    flip(bodies(folder)[0], 200)
    assert leadglass(*verifying, "--mib-per-s", 50).code == Exit.INTEGRITY_BROKEN
    sound, damaged = (line.event for line in live.audit("backup.verified"))
    assert (sound.outcome, sound.reason) == (Outcome.DONE, "1 snapshots, 3 objects, 0 problems")
    assert (damaged.outcome, damaged.reason) == (Outcome.ALERT, "1 snapshots, 3 objects, 2 problems")


def test_it_takes_nothing_away_and_waits_for_no_backup(add: Add, verify: Verify) -> None:
    folder = add()
    assert verify("--keep", 1).code == Exit.USAGE
    with BackupFolder.open(folder).locked():
        ended = verify()
    assert (ended.code, "is under way" in ended.err) == (Exit.ERROR, True)


def test_a_folder_without_a_snapshot_is_told(add: Add, verify: Verify) -> None:
    folder = add()
    [snapshot] = (folder / "snapshots").iterdir()
    snapshot.rename(folder / "elsewhere")
    ended = verify()
    assert (ended.code, "holds no snapshot" in ended.err) == (Exit.ERROR, True)
