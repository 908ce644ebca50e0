from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.identity.files import (
    MAX_FILE_BYTES,
    PUBLIC_MODE,
    is_draft_of,
    locked,
    make_folder,
    read_file,
    read_secret,
    replace_file,
    write_new,
    write_secret,
)
from leadglass.model.errors import ConfigurationInvalid


@pytest.fixture(params=[0o000, 0o022, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secret_has_mode_0600_whatever_the_umask(tmp_path: Path, umask: None) -> None:
    write_secret(tmp_path / "k", b"secret")
    assert _mode(tmp_path / "k") == 0o600
    assert read_secret(tmp_path / "k") == b"secret"


def test_nothing_is_written_over_or_through_a_link(tmp_path: Path) -> None:
    write_secret(tmp_path / "k", b"first")
    with pytest.raises(FileExistsError):
        write_secret(tmp_path / "k", b"second")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_secret(tmp_path / "link", b"second")
    assert read_file(tmp_path / "k") == b"first"
    assert not (tmp_path / "elsewhere").exists()


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    full = Path("/dev/full")
    assert full.exists()
    with pytest.raises(OSError, match="File exists"):
        write_new(full, b"x", PUBLIC_MODE)
    target = tmp_path / "folder"
    target.mkdir()
    (target / "occupied").write_bytes(b"")
    with pytest.raises(OSError, match="directory"):
        replace_file(target, b"x", PUBLIC_MODE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder"]


def test_replacing_keeps_no_draft_and_survives_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(b"old")
    (tmp_path / f".policy.toml.{os.getpid()}.new").write_bytes(b"of a killed process")
    replace_file(path, b"new", 0o640)
    assert path.read_bytes() == b"new"
    assert _mode(path) == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["policy.toml"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_key_that_others_can_use_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "k"
    path.write_bytes(b"secret")
    path.chmod(mode)
    with pytest.raises(ConfigurationInvalid, match=rf"mode {mode:04o}\): chmod 600"):
        read_secret(path)


def test_what_is_not_a_small_plain_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(ConfigurationInvalid, match="not a plain file"):
        read_secret(tmp_path / "fifo")
    with pytest.raises(ConfigurationInvalid, match="not a plain file"):
        read_file(tmp_path)
    write_secret(tmp_path / "k", b"x")
    (tmp_path / "link").symlink_to(tmp_path / "k")
    with pytest.raises(ConfigurationInvalid, match="cannot read"):
        read_secret(tmp_path / "link")
    with pytest.raises(ConfigurationInvalid, match="cannot read"):
        read_file(tmp_path / "missing")
    (tmp_path / "big").write_bytes(bytes(MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigurationInvalid, match="too large"):
        read_file(tmp_path / "big")


def test_a_folder_is_made_with_all_above_it_and_may_be_there_already(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a" / "b", 0o700)
        assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "file" / "below", 0o700)


def test_only_drafts_of_a_name_are_taken_for_them() -> None:
    assert is_draft_of(Path("x/.a.json.123.new"), "a.json")
    assert not is_draft_of(Path("x/.b.json.123.new"), "a.json")
    assert not is_draft_of(Path("x/.a.json.123"), "a.json")


def test_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []
    inside = threading.Event()

    def other() -> None:
        inside.wait()
        with locked(tmp_path / "lock"):
            order.append("second")

    thread = threading.Thread(target=other)
    thread.start()
    with locked(tmp_path / "lock"):
        inside.set()
        thread.join(timeout=0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
