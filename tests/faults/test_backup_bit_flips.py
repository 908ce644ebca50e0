"""A flipped bit is found and named wherever in a backup it falls."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from leadglass.admin import backup
from leadglass.cli.output import Exit
from leadglass.identity.bundle import seal_bundle
from tests.support.archive_rig import ct_images
from tests.support.command_line import Ended, Leadglass, command_line
from tests.support.site import LiveSite, make_site
from tests.support.stored import store_in_process, study_of

FLIPS_EACH = int(os.environ.get("LEADGLASS_BACKUP_FLIPS", "12"))
PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def leadglass(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Leadglass:
    """The command line, with a passphrase that is cheap to guess: bundles are opened hundreds of times."""
    monkeypatch.setattr(backup, "seal_bundle", partial(seal_bundle, log2_n=8))
    return command_line(monkeypatch, capsys)


@pytest.fixture
def folder(tmp_path: Path, leadglass: Leadglass) -> Path:
    """A backup of two snapshots, the keys renewed and a study deleted between them."""
    live: LiveSite = make_site(tmp_path)
    passphrase, folder = tmp_path / "passphrase", tmp_path / "backup"
    passphrase.write_text(PASSPHRASE + "\n", encoding="utf-8")
    passphrase.chmod(0o600)
    store_in_process(live, ct_images(3))
    making = ("--home", live.home, "backup", folder, "--passphrase-file", passphrase)
    assert leadglass(*making).code == Exit.OK
    store_in_process(live, ct_images(2, seed=5), again=True)
    assert leadglass("--home", live.home, "keys", "rotate").code == Exit.OK
    study = study_of(ct_images(1)[0])
    assert leadglass("--home", live.home, "delete", "study", study, "--reason", "x", "--yes").code == Exit.OK
    assert leadglass(*making).code == Exit.OK
    return folder


def verified(leadglass: Leadglass, folder: Path) -> Ended:
    passphrase = folder.parent / "passphrase"
    return leadglass("backup", "--verify", folder, "--passphrase-file", passphrase, "--json")


@contextmanager
def flipped(path: Path, bit: int) -> Iterator[None]:
    content = path.read_bytes()
    wrong = bytearray(content)
    wrong[bit // 8] ^= 1 << bit % 8
    path.write_bytes(wrong)
    yield
    path.write_bytes(content)


def test_any_flipped_bit_is_found_and_its_file_named(folder: Path, leadglass: Leadglass) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert verified(leadglass, folder).json["problem_count"] == 0
    chance = random.Random(1)
    files = [path for path, content in before.items() if content]
    assert {path.suffix for path in files} == {
        ".json",
        ".body",
        ".headers",
        ".state",
        ".db",
        ".checkpoints",
        ".bundle",
    }
    for path in files:
        for bit in sorted(chance.sample(range(len(before[path]) * 8), FLIPS_EACH)):
            with flipped(path, bit):
                ended = verified(leadglass, folder)
            said = ended.out + ended.err
            assert ended.code != Exit.OK, f"{path.name}: bit {bit}"
            assert path.name in said, f"{path.name}: bit {bit}: {said}"
            if path.parent.parent.name == "snapshots":
                assert path.parent.name in said
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
