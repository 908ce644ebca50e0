"""A file system of a few MiB that a test can fill."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1 << 20
BALLAST = ".ballast"


@contextmanager
def small_disk(mount: Path, size_mib: int) -> Iterator[Path]:
    """An empty tmpfs at ``mount``, until the block ends.

    Where mounting is not allowed the test fails in CI and skips elsewhere, with the reason.
    """
    mount.mkdir(mode=0o700)
    options = f"size={size_mib}m,mode=0700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(mount)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        reason = f"a test of a full disk needs root and the right to mount: {mounted.stderr.strip()}"
        if "CI" in os.environ:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    try:
        yield mount
    finally:
        subprocess.run(["umount", "--lazy", str(mount)], check=True)


def fill(mount: Path, *, but_bytes: int) -> None:
    """Take all room but this much."""
    facts = os.statvfs(mount)
    with (mount / BALLAST).open("ab") as ballast:
        left = facts.f_bavail * facts.f_frsize - but_bytes
        if left > 0:
            os.posix_fallocate(ballast.fileno(), ballast.tell(), left)


def make_room(mount: Path) -> None:
    """Give back what ``fill`` took."""
    (mount / BALLAST).unlink()
