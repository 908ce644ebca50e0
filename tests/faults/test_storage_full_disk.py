"""Real limits: a file system of 2 MiB, and the largest file a process may write."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leadglass.model.errors import StorageFailed
from leadglass.storage import LocalSegmentStore, StoreState
from tests.support.storage import PERMIT, local_store, object_id, payload, sealed

ROOT = Path(__file__).parents[2]
OBJECT_BYTES = 100_000
IN_A_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def has_mount_namespaces() -> bool:
    if shutil.which("unshare") is None:
        return False
    answer = subprocess.run([*IN_A_NAMESPACE, "true"], check=False, capture_output=True, timeout=20)
    return answer.returncode == 0


def test_a_full_file_system_refuses_resumes_and_loses_nothing(tmp_path: Path) -> None:
    if not has_mount_namespaces() and "CI" not in os.environ:
        pytest.skip("no unprivileged mount namespaces here, so no small file system")
    script = 'mount -t tmpfs -o size=2m,mode=0700 tmpfs "$1" && exec "$2" "$3" "$1"'
    arguments = [str(tmp_path), sys.executable, __file__]
    answer = subprocess.run(
        [*IN_A_NAMESPACE, "sh", "-c", script, "sh", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PATH": os.environ["PATH"]},
    )
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "survived\n", "")


def live_through_a_full_disk(mount: Path) -> None:
    """The story, on a disk of 2 MiB: fill it, be refused, make room, go on, lose nothing."""
    store = local_store(mount / "segments", segment_bytes=500_000)
    stored = {}
    for number in range(100):
        try:
            (stored[number],) = store.append(PERMIT, [sealed(number, payload(OBJECT_BYTES))])
        except StorageFailed:
            break
    assert 10 < len(stored) < 20, len(stored)
    large = store.begin_large(PERMIT, object_id(200))
    refused = 0
    try:
        for _ in range(30):
            large.write(payload(OBJECT_BYTES))
    except StorageFailed:
        refused += 1
    assert (refused, store.state) == (1, StoreState.READY)
    assert list((mount / "segments").glob("*.part")) == []

    removed = stored[0].segment  # an administrator makes room; here, from what we can spare
    stored = {number: location for number, location in stored.items() if location.segment != removed}
    store.truncate_tail(PERMIT, removed, 0)
    (stored[300],) = store.append(PERMIT, [sealed(300, payload(OBJECT_BYTES))])
    for number, location in stored.items():
        assert store.open(PERMIT, location, object_id(number)).read(0, OBJECT_BYTES) == payload(OBJECT_BYTES)
    store.close()


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def store(tmp_path: Path) -> LocalSegmentStore:
    return local_store(tmp_path / "segments")


def test_a_file_size_limit_refuses_an_append_and_takes_it_back(store: LocalSegmentStore) -> None:
    (before,) = store.append(PERMIT, [sealed(1, payload(OBJECT_BYTES))])
    with largest_file(before.length + 1000), pytest.raises(StorageFailed, match="File too large"):
        store.append(PERMIT, [sealed(2, payload(OBJECT_BYTES))])
    assert [info.size_bytes for info in store.segments(PERMIT)] == [before.length]
    (after,) = store.append(PERMIT, [sealed(3, payload(OBJECT_BYTES))])
    store.verify(PERMIT, before, object_id(1))
    store.verify(PERMIT, after, object_id(3))


def test_a_file_size_limit_stops_a_large_object_and_removes_it(
    store: LocalSegmentStore, tmp_path: Path
) -> None:
    large = store.begin_large(PERMIT, object_id(1))
    with largest_file(OBJECT_BYTES // 2), pytest.raises(StorageFailed, match="File too large"):
        large.write(payload(OBJECT_BYTES))
    assert list((tmp_path / "segments").iterdir()) == []


if __name__ == "__main__":
    live_through_a_full_disk(Path(sys.argv[1]))
    print("survived")
