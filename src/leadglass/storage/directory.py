"""The segments folder: names that are ours alone, and nothing followed out of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from leadglass.model.errors import ConfigurationInvalid, IntegrityBroken, LocalError, OutOfResources
from leadglass.storage.ulid import is_ulid

SEGMENT = ".seg"
UNFINISHED = ".part"

_OURS = os.O_NOFOLLOW | os.O_CLOEXEC
_CLOSED = -1
_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """A segment, its length on disk, and when its file was changed last (nanoseconds since 1970)."""

    name: str
    size_bytes: int
    changed_ns: int = 0


class SegmentDirectory:
    """Opens segments by name, relative to one descriptor. A name is a ULID, so it can be no path.

    The folder is made, 0700, if it is missing. It may itself be a symbolic link, an
    administrator's way to another disk; nothing in it may be.

    Raises:
        ConfigurationInvalid: no folder, or one that others can write.
    """

    def __init__(self, path: Path) -> None:
        try:
            if not path.is_dir():
                path.mkdir(mode=0o700)
                _sync(path.parent)
            self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigurationInvalid(f"{path} cannot be opened: {error.strerror}") from error
        if os.fstat(self.descriptor).st_mode & 0o077:
            self.close()
            raise ConfigurationInvalid(f"{path} is open to others: run 'chmod 700 {path}'")

    def close(self) -> None:
        """Let go of the folder; once is enough, and more does no harm to others' files."""
        if self.descriptor != _CLOSED:
            os.close(self.descriptor)
            self.descriptor = _CLOSED

    def create(self, file_name: str) -> int:
        """A new, empty file, 0600, open for writing. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _OURS
        return os.open(file_name, flags, 0o600, dir_fd=self.descriptor)

    def open_for_reading(self, segment: str) -> int:
        """A descriptor of a segment.

        Raises:
            IntegrityBroken: there is no such segment, or it is no regular file, or unreadable.
            OutOfResources: no descriptors left.
        """
        return self._open(segment, os.O_RDONLY)

    def open_for_cutting(self, segment: str) -> int:
        """A descriptor of a segment, for writing. Raises as ``open_for_reading``."""
        return self._open(segment, os.O_RDWR)

    def segments(self) -> Iterator[SegmentInfo]:
        """All segments, oldest first. What is not ours by its name, or no regular file, is left out.

        Raises:
            IntegrityBroken: the folder cannot be read.
            OutOfResources: no descriptors left.
        """
        for name in self._names(SEGMENT):
            try:
                facts = os.stat(name + SEGMENT, dir_fd=self.descriptor, follow_symlinks=False)
            except FileNotFoundError:  # removed since the folder was read
                continue
            except OSError as error:
                raise unreadable(name, error) from error
            if stat.S_ISREG(facts.st_mode):
                yield SegmentInfo(name, facts.st_size, facts.st_mtime_ns)

    def unfinished(self) -> list[str]:
        """File names of large objects that were never finished."""
        return [name + UNFINISHED for name in self._names(UNFINISHED)]

    def remove(self, file_name: str) -> None:
        """Remove a file; it may be gone already. Raises OSError."""
        try:
            os.unlink(file_name, dir_fd=self.descriptor)
        except FileNotFoundError:
            return

    def free_bytes(self) -> int:
        """Room left for us on its file system."""
        facts = os.fstatvfs(self.descriptor)
        return facts.f_bavail * facts.f_frsize

    def _open(self, segment: str, access: int) -> int:
        if not is_ulid(segment):
            raise IntegrityBroken("the index names a segment that cannot be ours")
        try:
            descriptor = os.open(segment + SEGMENT, access | os.O_NONBLOCK | _OURS, dir_fd=self.descriptor)
        except OSError as error:
            raise unreadable(segment, error) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise IntegrityBroken(f"segments/{segment}.seg is not a regular file")
        return descriptor

    def _names(self, suffix: str) -> list[str]:
        # A descriptor of its own: the position of a shared one would be shared between threads.
        try:
            own = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.descriptor)
            try:
                with os.scandir(own) as entries:
                    files = [entry.name for entry in entries]
            finally:
                os.close(own)
        except OSError as error:
            raise _unreadable("the segments folder", error) from error
        stems = (file.removesuffix(suffix) for file in files if file.endswith(suffix))
        return sorted(stem for stem in stems if is_ulid(stem))


def unreadable(segment: str, error: OSError) -> LocalError:
    """What it means that a segment could not be opened or read."""
    return _unreadable(f"segments/{segment}.seg", error)


def _unreadable(what: str, error: OSError) -> LocalError:
    reason = f"{what} cannot be read: {error.strerror}"
    return OutOfResources(reason) if error.errno in _NO_DESCRIPTORS else IntegrityBroken(reason)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
