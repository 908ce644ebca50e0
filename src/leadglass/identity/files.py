"""Files that must not leak and must not be half written.

A secret is made with mode 0600 whatever the umask, never through a symbolic link, never over
an existing file. Every write is on disk (file and directory synced) before it returns.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leadglass.model.errors import ConfigurationInvalid

SECRET_MODE = 0o600
PUBLIC_MODE = 0o644
MAX_FILE_BYTES = 1 << 20  # keys, certificates and policies are far smaller

_DRAFT = ".new"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Make a file that did not exist, durably; on failure nothing is left of it.

    Raises:
        FileExistsError: something is there already, a dangling symbolic link counts.
    """
    descriptor = os.open(path, _NEW, SECRET_MODE)
    try:
        try:
            _fill(descriptor, content, mode)
        finally:
            os.close(descriptor)
        sync_directory(path.parent)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def write_secret(path: Path, content: bytes) -> None:
    """``write_new`` for keys: only the owner reads it. Raises as ``write_new``."""
    write_new(path, content, SECRET_MODE)


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Put ``content`` in place of ``path`` at once: a reader sees the old or the new, never a mix."""
    draft = path.with_name(f".{path.name}.{os.getpid()}{_DRAFT}")
    draft.unlink(missing_ok=True)  # of a process with our number that was killed
    write_new(draft, content, mode)
    try:
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def is_draft_of(path: Path, name: str) -> bool:
    """Whether it is what a ``replace_file`` of this name has left that was killed."""
    return path.name.startswith(f".{name}.") and path.suffix == _DRAFT


def read_file(path: Path, at_most: int = MAX_FILE_BYTES) -> bytes:
    """A small file's content.

    Raises:
        ConfigurationInvalid: missing, unreadable, or larger than ``at_most`` bytes.
    """
    return _read(path, os.O_RDONLY | os.O_CLOEXEC, at_most)[0]


def read_secret(path: Path) -> bytes:
    """A key's content, if only its owner can read it.

    Raises:
        ConfigurationInvalid: as ``read_file``, or a symbolic link, or others have any access.
    """
    content, mode = _read(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, MAX_FILE_BYTES)
    if mode & 0o077:
        raise ConfigurationInvalid(
            f"{path} can be used by others (mode {stat.S_IMODE(mode):04o}): chmod 600 {path}"
        )
    return content


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path, mode: int) -> None:
    """A folder and those above it that are missing, each with its name durable. It may be there already.

    Raises:
        OSError: one cannot be made.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=mode, exist_ok=True)
        sync_directory(each.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock against other Leadglass processes; waits for whoever has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, SECRET_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _fill(descriptor: int, content: bytes, mode: int) -> None:
    os.fchmod(descriptor, mode)  # the umask took bits from open's mode
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)


def _read(path: Path, flags: int, at_most: int) -> tuple[bytes, int]:
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK)  # a FIFO must not hold us
    except OSError as error:
        raise ConfigurationInvalid(f"cannot read {path}: {error.strerror}") from error
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):  # fdopen would take no folder
        os.close(descriptor)
        raise ConfigurationInvalid(f"{path} is not a plain file")
    with os.fdopen(descriptor, "rb") as file:
        if facts.st_size > at_most:
            raise ConfigurationInvalid(f"{path} is too large: {facts.st_size} bytes of {at_most}")
        return file.read(at_most), facts.st_mode
