from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from leadglass.model.errors import ConfigurationInvalid, KeyUnavailable, LocalProtocolError, StorageFailed
from leadglass.storage.keys import FileKeyProvider, MemoryKeyProvider, SiteKey
from tests.support.storage import OTHER_KEY, SITE_KEY, repeatable_bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def keys(folder: Path) -> FileKeyProvider:
    return FileKeyProvider.create(folder, os.urandom)


def key_file(folder: Path) -> Path:
    (found,) = folder.glob("site-*.key")
    return found


def test_a_new_site_gets_a_key_that_is_there_after_a_restart(keys: FileKeyProvider, folder: Path) -> None:
    key = keys.current()
    again = FileKeyProvider(folder)
    assert (again.current().key_id, again.current().secret) == (key.key_id, key.secret)
    assert again.find(key.key_id) is again.current()
    assert (len(key.key_id), len(key.secret)) == (16, 32)


def test_only_the_owner_can_read_keys(folder: Path) -> None:
    old_umask = os.umask(0)
    try:
        FileKeyProvider.create(folder, os.urandom)
    finally:
        os.umask(old_umask)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


def test_create_never_replaces_a_key(keys: FileKeyProvider, folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(ConfigurationInvalid, match="not replaced"):
        FileKeyProvider.create(folder, os.urandom)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_create_succeeds_after_one_that_was_interrupted(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "site-current.new").write_bytes(b"half")
    key = FileKeyProvider.create(folder, os.urandom).current()
    assert FileKeyProvider(folder).current() == key


def test_create_reports_a_folder_it_cannot_make(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed, match="cannot make a key"):
        FileKeyProvider.create(tmp_path / "file" / "keys", os.urandom)


def test_a_key_is_never_written_over_another_file(folder: Path) -> None:
    FileKeyProvider.create(folder, repeatable_bytes(1))
    (folder / "site-current").unlink()
    with pytest.raises(StorageFailed, match="File exists"):
        FileKeyProvider.create(folder, repeatable_bytes(1))


def test_an_older_key_is_found_in_its_file(keys: FileKeyProvider, folder: Path, tmp_path: Path) -> None:
    older = FileKeyProvider.create(tmp_path / "older", os.urandom).current()
    with pytest.raises(KeyUnavailable, match="restore"):
        keys.find(older.key_id)
    shutil.copy2(key_file(tmp_path / "older"), folder)
    assert keys.find(older.key_id).secret == older.secret
    assert keys.find(older.key_id) is keys.find(older.key_id)
    assert keys.current().key_id != older.key_id


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
@pytest.mark.parametrize("name", ["site-current", "site-*.key"])
def test_a_file_open_to_others_is_refused_with_the_command_that_closes_it(
    keys: FileKeyProvider, folder: Path, name: str, mode: int
) -> None:
    (file,) = folder.glob(name)
    file.chmod(mode)
    with pytest.raises(ConfigurationInvalid, match=f"chmod 600 {file}"):
        FileKeyProvider(folder)


def test_a_folder_that_others_can_write_is_refused(keys: FileKeyProvider, folder: Path) -> None:
    folder.chmod(0o770)
    with pytest.raises(ConfigurationInvalid, match=f"chmod 700 {folder}"):
        FileKeyProvider(folder)


def test_a_missing_folder_is_named(folder: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match=str(folder)):
        FileKeyProvider(folder)


@pytest.mark.parametrize("name", ["site-current", "site-*.key"])
def test_symbolic_links_are_not_followed(keys: FileKeyProvider, folder: Path, name: str) -> None:
    (file,) = folder.glob(name)
    real = file.rename(folder.parent / "elsewhere")
    file.symlink_to(real)
    with pytest.raises(ConfigurationInvalid, match="symbolic link"):
        FileKeyProvider(folder)


@pytest.mark.parametrize("name", ["site-current", "site-*.key"])
def test_a_missing_file_is_named(keys: FileKeyProvider, folder: Path, name: str) -> None:
    (file,) = folder.glob(name)
    file.unlink()
    with pytest.raises(ConfigurationInvalid, match=str(file)):
        FileKeyProvider(folder)


def test_a_pipe_in_place_of_a_key_does_not_hang(keys: FileKeyProvider, folder: Path) -> None:
    file = key_file(folder)
    file.unlink()
    os.mkfifo(file, 0o600)
    with pytest.raises(ConfigurationInvalid, match="not a regular file"):
        FileKeyProvider(folder)


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(32), bytes(33), bytes(5000)])
def test_a_damaged_key_is_called_so(keys: FileKeyProvider, folder: Path, content: bytes) -> None:
    file = key_file(folder)
    file.write_bytes(content)
    with pytest.raises(ConfigurationInvalid, match=f"{file} is damaged"):
        FileKeyProvider(folder)


@pytest.mark.parametrize("content", [b"", b"../../etc/passwd", b"0" * 31, b"0" * 32 + b"/..", b"\xff" * 32])
def test_a_pointer_can_only_name_a_key(keys: FileKeyProvider, folder: Path, content: bytes) -> None:
    (folder / "site-current").write_bytes(content)
    with pytest.raises(ConfigurationInvalid, match="does not name a key"):
        FileKeyProvider(folder)


def test_the_folder_may_vanish_while_serving(keys: FileKeyProvider, folder: Path) -> None:
    key = keys.current()
    shutil.rmtree(folder)
    assert keys.find(key.key_id) is keys.current() is key


def test_secrets_are_never_shown(keys: FileKeyProvider) -> None:
    secret = keys.current().secret
    shown = f"{keys} {keys!r} {keys.current()} {keys.current()!r} {MemoryKeyProvider([keys.current()])!r}"
    assert repr(secret) not in shown
    assert secret.hex() not in shown


def test_an_id_says_which_secret_it_belongs_to() -> None:
    assert SITE_KEY.key_id != OTHER_KEY.key_id
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        SiteKey.from_secret(bytes(31))


def test_keys_in_memory() -> None:
    keys = MemoryKeyProvider([SITE_KEY, OTHER_KEY])
    assert keys.current() is OTHER_KEY
    assert keys.find(SITE_KEY.key_id) is SITE_KEY
    with pytest.raises(KeyUnavailable):
        keys.find(bytes(16))
    with pytest.raises(KeyUnavailable):
        MemoryKeyProvider([]).current()


def test_a_key_made_by_another_process_is_taken_up(keys: FileKeyProvider, folder: Path) -> None:
    assert not keys.refresh()
    made = FileKeyProvider(folder).renew(os.urandom)
    assert keys.current() != made
    assert keys.refresh()
    assert keys.current() == made
    assert len(keys.older()) == 1


def test_a_pointer_that_was_damaged_leaves_the_current_key(keys: FileKeyProvider, folder: Path) -> None:
    before = keys.current()
    (folder / "site-current").write_text("nonsense")
    with pytest.raises(ConfigurationInvalid):
        keys.refresh()
    assert keys.current() is before


def test_an_older_key_can_be_destroyed_and_the_current_one_not(keys: FileKeyProvider, folder: Path) -> None:
    old = keys.current()
    new = keys.renew(os.urandom)
    keys.destroy(old.key_id)
    keys.destroy(old.key_id)
    assert keys.older() == []
    with pytest.raises(KeyUnavailable):
        keys.find(old.key_id)
    with pytest.raises(LocalProtocolError):
        keys.destroy(new.key_id)
    assert FileKeyProvider(folder).current() == new


def test_a_key_that_cannot_be_written_leaves_the_current_one(keys: FileKeyProvider, folder: Path) -> None:
    before = keys.current()
    (folder / "site-current.new").mkdir()
    with pytest.raises(StorageFailed, match="cannot make a key"):
        keys.renew(os.urandom)
    assert keys.current() is before
    assert FileKeyProvider(folder).current() == before


def test_a_key_that_cannot_be_destroyed_is_named(keys: FileKeyProvider, folder: Path) -> None:
    keys.renew(os.urandom)
    (old,) = keys.older()
    path = folder / f"site-{old.hex()}.key"
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageFailed, match="cannot destroy"):
        keys.destroy(old)
