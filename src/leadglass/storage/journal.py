"""Changing headers of sealed records in place, so that a crash leaves each old or new and never half.

A segment is append-only but for this: the site key that wraps an object's data key changes, or an object
is erased by destroying that key. The new headers are written to a journal first and synced, then put in
their places and synced, then the journal goes. Whoever comes next, another change or the next start, does
again what a journal says; that changes nothing where it was done. The journal never holds an old header,
for that could bring back what was erased.

A lock in the folder lets one process at a time change headers or move records.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

from leadglass.model.errors import IntegrityBroken, StorageFailed
from leadglass.storage.directory import SegmentDirectory
from leadglass.storage.filesystem import FileSystem, write_all
from leadglass.storage.record import HEADER_BYTES
from leadglass.storage.ulid import is_ulid

JOURNAL, DRAFT, LOCK = "rewrite.journal", "rewrite.journal.new", "rewrite.lock"

_MAGIC = b"LGJ1"
_HEAD = struct.Struct(">4sI")
_ENTRY = struct.Struct(f">26sQ{HEADER_BYTES}s")
_DIGEST_BYTES = 32
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class NewHeader:
    """What shall stand at a place."""

    segment: str
    offset: int
    raw: bytes


class HeaderJournal:
    """The journal of one segments folder."""

    def __init__(self, directory: SegmentDirectory, filesystem: FileSystem) -> None:
        self._directory = directory
        self._filesystem = filesystem

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Hold the folder's lock; waits for whoever has it. What was broken off before is done first.

        Raises:
            StorageFailed: the lock or the journal cannot be used.
        """
        try:
            lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600, dir_fd=self._directory.descriptor)
        except OSError as error:
            raise StorageFailed(f"cannot lock the segments folder: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._replay()
            yield
        finally:
            os.close(lock)

    @property
    def is_pending(self) -> bool:
        """Whether a change was begun and is not known to be done."""
        try:
            os.stat(JOURNAL, dir_fd=self._directory.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def change(self, headers: Sequence[NewHeader]) -> None:
        """Put the headers in their places, all of them or (after a crash) all of them later.

        Only within ``exclusively``.

        Raises:
            StorageFailed: the disk refuses; where it was before the journal, nothing is changed.
        """
        if not headers:
            return
        try:
            self._write_journal(headers)
            self._put(headers)
            self._remove_journal()
        except OSError as error:
            raise StorageFailed(f"cannot change headers: {error.strerror or error}") from error

    def _replay(self) -> None:
        try:
            raw = self._read_journal()
            if raw is not None:
                self._put(_decode(raw))
                self._remove_journal()
        except OSError as error:
            reason = f"cannot finish what {JOURNAL} says: {error.strerror or error}"
            raise StorageFailed(reason) from error

    def _write_journal(self, headers: Sequence[NewHeader]) -> None:
        self._directory.remove(DRAFT)
        descriptor = self._directory.create(DRAFT)
        try:
            write_all(self._filesystem, descriptor, [_encode(headers)], 0)
            self._filesystem.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._filesystem.rename(DRAFT, JOURNAL, self._directory.descriptor)
        self._filesystem.fsync(self._directory.descriptor)

    def _put(self, headers: Sequence[NewHeader]) -> None:
        in_order = sorted(headers, key=lambda each: (each.segment, each.offset))
        for segment, several in groupby(in_order, key=lambda each: each.segment):
            descriptor = self._directory.open_for_cutting(segment)
            try:
                size_bytes = os.fstat(descriptor).st_size
                for each in several:
                    if each.offset + HEADER_BYTES > size_bytes:
                        raise IntegrityBroken(f"segments/{segment}.seg ends before a header of it")
                    write_all(self._filesystem, descriptor, [each.raw], each.offset)
                self._filesystem.fdatasync(descriptor)
            finally:
                os.close(descriptor)

    def _read_journal(self) -> bytes | None:
        try:
            descriptor = os.open(JOURNAL, os.O_RDONLY | _FLAGS, dir_fd=self._directory.descriptor)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def _remove_journal(self) -> None:
        self._directory.remove(JOURNAL)
        self._filesystem.fsync(self._directory.descriptor)


def _encode(headers: Sequence[NewHeader]) -> bytes:
    entries = (_ENTRY.pack(each.segment.encode("ascii"), each.offset, each.raw) for each in headers)
    body = _HEAD.pack(_MAGIC, len(headers)) + b"".join(entries)
    return body + hashlib.sha256(body).digest()


def _decode(raw: bytes) -> list[NewHeader]:
    """What a journal says. It has its name only when it is whole: a damaged one is damage."""
    body, digest = raw[:-_DIGEST_BYTES], raw[-_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest or body[:4] != _MAGIC:
        raise IntegrityBroken(f"segments/{JOURNAL} is damaged: keep it aside and ask for help")
    headers = []
    for segment, offset, header in _ENTRY.iter_unpack(body[_HEAD.size :]):
        name = segment.decode("ascii", "replace")
        if not is_ulid(name):
            raise IntegrityBroken(f"segments/{JOURNAL} names a segment that cannot be ours")
        headers.append(NewHeader(name, offset, header))
    return headers
