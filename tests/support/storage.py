"""What the storage tests share: a permit, a clock, randomness that repeats, and disks that fail."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from leadglass.model.action import Action, Verb
from leadglass.model.caller import LocalAdministrator
from leadglass.model.errors import KeyUnavailable
from leadglass.model.permit import EVERYTHING, Permit, issue_permit
from leadglass.storage import LocalLimits, LocalSegmentStore, SealedObject, SiteKey, seal
from leadglass.storage.filesystem import FileSystem, PosixFileSystem
from leadglass.storage.keys import KeyProvider

PERMIT: Permit = issue_permit(
    LocalAdministrator("test"), Action(Verb.OPERATE, "site"), EVERYTHING, who="test", rule="test"
)
SITE_KEY = SiteKey.from_secret(bytes(range(32)))
OTHER_KEY = SiteKey.from_secret(bytes(range(32, 64)))
SMALL_CHUNK_BYTES = 64


class SteppingClock:
    """A millisecond passes with every look."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(milliseconds=1)
        return self._now

    def monotonic_s(self) -> float:
        return self._now.timestamp()


class KeyRing:
    """Keys that can be changed and lost."""

    def __init__(self, *keys: SiteKey) -> None:
        self.keys = list(keys)

    def current(self) -> SiteKey:
        if not self.keys:
            raise KeyUnavailable("none")
        return self.keys[-1]

    def find(self, key_id: bytes) -> SiteKey:
        for key in self.keys:
            if key.key_id == key_id:
                return key
        raise KeyUnavailable(key_id.hex())


def repeatable_bytes(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def object_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def payload(size_bytes: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


def sealed(number: int, plaintext: bytes, chunk_bytes: int = SMALL_CHUNK_BYTES) -> SealedObject:
    return seal(PERMIT, object_id(number), [plaintext], SITE_KEY, os.urandom, chunk_bytes=chunk_bytes)


def local_store(
    directory: Path,
    filesystem: FileSystem | None = None,
    *,
    keys: KeyProvider | None = None,
    segment_bytes: int = 1 << 20,
    chunk_bytes: int = SMALL_CHUNK_BYTES,
    open_segments: int = 4,
) -> LocalSegmentStore:
    return LocalSegmentStore(
        directory,
        keys or KeyRing(SITE_KEY),
        SteppingClock(),
        os.urandom,
        filesystem=filesystem or PosixFileSystem(),
        limits=LocalLimits(segment_bytes, open_segments, chunk_bytes),
    )


class Call(StrEnum):
    PREAD = "pread"
    PWRITEV = "pwritev"
    FDATASYNC = "fdatasync"
    FSYNC_FILE = "fsync file"
    FSYNC_DIRECTORY = "fsync directory"
    FTRUNCATE = "ftruncate"
    RENAME = "rename"


@dataclass
class FailingDisk:
    """A real folder whose calls fail as told. ``room_bytes`` is what can still be written.

    ``failures`` are used up, first come first served, by the call they belong to. Files that
    were synced in vain are remembered: syncing one of them again fails the test.
    """

    failures: list[tuple[Call, int]] = field(default_factory=list)
    room_bytes: int | None = None
    most_bytes_per_write: int | None = None
    calls: list[Call] = field(default_factory=list)
    synced_in_vain: set[int] = field(default_factory=set)
    posix: PosixFileSystem = field(default_factory=PosixFileSystem)

    def open_direct(self, descriptor: int) -> int | None:
        return None

    def pwritev(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        self._call(Call.PWRITEV)
        content = b"".join(buffers)
        if self.most_bytes_per_write is not None:
            content = content[: self.most_bytes_per_write]
        if self.room_bytes is not None:
            if not self.room_bytes:
                raise OSError(28, "No space left on device")
            content = content[: self.room_bytes]
            self.room_bytes -= len(content)
        return os.pwrite(descriptor, content, offset)

    def write_back(self, descriptor: int, offset: int, length: int) -> None:
        self.posix.write_back(descriptor, offset, length)

    def pread(self, descriptor: int, length: int, offset: int) -> bytes:
        self._call(Call.PREAD)
        return self.posix.pread(descriptor, length, offset)

    def fdatasync(self, descriptor: int) -> None:
        self._sync(Call.FDATASYNC, descriptor)
        self.posix.fdatasync(descriptor)

    def fsync(self, descriptor: int) -> None:
        is_directory = os.path.isdir(f"/proc/self/fd/{descriptor}")  # noqa: PTH112 - a descriptor
        self._sync(Call.FSYNC_DIRECTORY if is_directory else Call.FSYNC_FILE, descriptor)
        self.posix.fsync(descriptor)

    def ftruncate(self, descriptor: int, size_bytes: int) -> None:
        self._call(Call.FTRUNCATE)
        self.posix.ftruncate(descriptor, size_bytes)

    def rename(self, old: str, new: str, directory: int) -> None:
        self._call(Call.RENAME)
        self.posix.rename(old, new, directory)

    def _sync(self, call: Call, descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        assert inode not in self.synced_in_vain, "a file was synced again after a failed sync"
        try:
            self._call(call)
        except OSError:
            self.synced_in_vain.add(inode)
            raise

    def _call(self, call: Call) -> None:
        self.calls.append(call)
        for planned in self.failures:
            if planned[0] is call:
                self.failures.remove(planned)
                raise OSError(planned[1], os.strerror(planned[1]))
