"""The calls that reach the disk, behind a Protocol, so that tests can make a disk fail."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Protocol

_MOST_BUFFERS = os.sysconf("SC_IOV_MAX")


class FileSystem(Protocol):
    """The calls of POSIX by their names; each raises OSError as the system does."""

    def open_direct(self, descriptor: int) -> int | None:
        """Another descriptor of the same file, for writing past the page cache; ``None``: not here."""

    def pwritev(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        """Write the buffers one after the other; how many bytes were taken."""

    def write_back(self, descriptor: int, offset: int, length: int) -> None:
        """Ask that bytes written before begin their way to the disk. Promises nothing, never fails."""

    def pread(self, descriptor: int, length: int, offset: int) -> bytes:
        """Read at most ``length`` bytes."""

    def fdatasync(self, descriptor: int) -> None:
        """Content and size of a file to the disk."""

    def fsync(self, descriptor: int) -> None:
        """A file or a directory to the disk."""

    def ftruncate(self, descriptor: int, size_bytes: int) -> None:
        """Cut a file."""

    def rename(self, old: str, new: str, directory: int) -> None:
        """Rename within a directory."""


class PosixFileSystem:
    """The real calls."""

    def open_direct(self, descriptor: int) -> int | None:
        """As ``FileSystem.open_direct``: through the name that the kernel gives a descriptor."""
        try:
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
        except OSError:  # memory as a disk, or no /proc: both are slower without
            return None

    def pwritev(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        """As ``FileSystem.pwritev``."""
        return os.pwritev(descriptor, buffers, offset)

    def write_back(self, descriptor: int, offset: int, length: int) -> None:
        """As ``FileSystem.write_back``: Linux begins it where told that nobody will read them soon."""
        with contextlib.suppress(OSError):  # some file systems take no advice
            os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)

    def pread(self, descriptor: int, length: int, offset: int) -> bytes:
        """As ``FileSystem.pread``."""
        return os.pread(descriptor, length, offset)

    def fdatasync(self, descriptor: int) -> None:
        """As ``FileSystem.fdatasync``."""
        os.fdatasync(descriptor)

    def fsync(self, descriptor: int) -> None:
        """As ``FileSystem.fsync``."""
        os.fsync(descriptor)

    def ftruncate(self, descriptor: int, size_bytes: int) -> None:
        """As ``FileSystem.ftruncate``."""
        os.ftruncate(descriptor, size_bytes)

    def rename(self, old: str, new: str, directory: int) -> None:
        """As ``FileSystem.rename``."""
        os.rename(old, new, src_dir_fd=directory, dst_dir_fd=directory)


def write_all(filesystem: FileSystem, descriptor: int, buffers: Sequence[bytes], offset: int) -> None:
    """Write all buffers from ``offset`` on, however little the system takes at a time.

    Raises:
        OSError: not all could be written; how much was is unknown.
    """
    waiting: list[bytes | memoryview] = list(buffers)
    first = 0
    while first < len(waiting):
        written = filesystem.pwritev(descriptor, waiting[first : first + _MOST_BUFFERS], offset)
        if written <= 0:
            raise OSError("the system took no bytes and gave no reason")
        offset += written
        while first < len(waiting) and written >= len(waiting[first]):
            written -= len(waiting[first])
            first += 1
        if written:
            waiting[first] = memoryview(waiting[first])[written:]
