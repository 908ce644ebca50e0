"""A file system of a few MiB that a test can fill."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.compiling import cannot

MIB = 1 << 20
BALLAST = ".ballast"


@contextmanager
def small_disk(mount: Path, size_mib: int) -> Iterator[Path]:
    """An empty tmpfs at ``mount``, until the block ends.

    Where mounting is not allowed the test fails in CI and skips elsewhere, with the reason.
    """
    options = f"size={size_mib}m,mode=0700"
    with _mounted(mount, ["-t", "tmpfs", "-o", options, "tmpfs"]):
        yield mount


@contextmanager
def small_ext4(mount: Path, size_mib: int) -> Iterator[Path]:
    """The same as an ext4 in a file, by way of a loop device: it allocates late, and has a journal."""
    make = shutil.which("mkfs.ext4", path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")
    if make is None:
        cannot("a test of a full ext4 needs mkfs.ext4: apt-get install e2fsprogs")
    image = mount.with_suffix(".ext4")
    with image.open("wb") as sparse:
        sparse.truncate(size_mib * MIB)
    subprocess.run([make, "-q", "-m", "0", str(image)], check=True)
    with _mounted(mount, ["-t", "ext4", "-o", "loop", str(image)]):
        yield mount


@contextmanager
def _mounted(mount: Path, arguments: Sequence[str]) -> Iterator[None]:
    mount.mkdir(mode=0o700)
    mounted = subprocess.run(["mount", *arguments, str(mount)], check=False, capture_output=True, text=True)
    if mounted.returncode:
        cannot(f"a test of a full disk needs root and the right to mount: {mounted.stderr.strip()}")
    try:
        yield
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
