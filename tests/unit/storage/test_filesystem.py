from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.storage.filesystem import FileSystem, PosixFileSystem, write_all
from tests.support.storage import FailingDisk

tmp_path_is_overwritten = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(tmp_path: Path, filesystem: FileSystem, buffers: list[bytes]) -> bytes:
    path = tmp_path / "file"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(filesystem, descriptor, buffers, 3)
    finally:
        os.close(descriptor)
    return path.read_bytes()


@tmp_path_is_overwritten
@given(st.lists(st.binary(min_size=1, max_size=20), max_size=8), st.integers(1, 30))
def test_short_writes_are_continued_until_all_is_written(
    tmp_path: Path, buffers: list[bytes], most_bytes: int
) -> None:
    content = b"".join(buffers)
    disk = FailingDisk(most_bytes_per_write=most_bytes)
    assert written(tmp_path, disk, buffers) == (b"\0\0\0" + content if content else b"")


def test_more_buffers_than_the_system_takes_at_once(tmp_path: Path) -> None:
    buffers = [number.to_bytes(2, "big") for number in range(3000)]
    assert written(tmp_path, PosixFileSystem(), buffers)[3:] == b"".join(buffers)


def test_a_system_that_takes_nothing_is_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="took no bytes"):
        written(tmp_path, FailingDisk(most_bytes_per_write=0), [b"a"])
