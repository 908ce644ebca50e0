"""A large object, streamed into a segment of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from leadglass.model.errors import LocalProtocolError, StorageFailed
from leadglass.model.instance import Location
from leadglass.storage.directory import SEGMENT, UNFINISHED, SegmentDirectory
from leadglass.storage.filesystem import FileSystem, write_all
from leadglass.storage.health import Health
from leadglass.storage.keys import KeyProvider
from leadglass.storage.record import HEADER_BYTES
from leadglass.storage.seal import Sealer

WRITE_BACK_BYTES = 8 << 20


@runtime_checkable
class LargeObject(Protocol):
    """An object that is being written. Used by one thread at a time."""

    def write(self, fragment: bytes | memoryview) -> None:
        """Add bytes. On failure nothing of the object is left.

        Raises:
            StorageFailed: they could not be written.
        """

    def settle(self) -> None:
        """Have what was written reach the disk now, so that ``finish`` has little left to wait for.

        Raises:
            StorageFailed: it could not. Nothing of the object is left.
        """

    def finish(self) -> Location:
        """The object is whole and durable when this returns. On failure nothing of it is left.

        Raises:
            StorageFailed: it could not be made durable.
        """

    def abort(self) -> None:
        """Forget the object. Does nothing when it is finished, aborted or failed already."""


@dataclass(frozen=True, slots=True)
class LargeSetting:
    """What a large object shares with its store."""

    directory: SegmentDirectory
    filesystem: FileSystem
    health: Health
    keys: KeyProvider


class LocalLargeObject:
    """Writes ``<ulid>.part``: chunks as they come, the header at the end, then renames it.

    Raises:
        StorageFailed: no file could be made.
    """

    def __init__(self, setting: LargeSetting, segment: str, sealer: Sealer) -> None:
        self._directory = setting.directory
        self._filesystem = setting.filesystem
        self._health = setting.health
        self._keys = setting.keys
        self._segment = segment
        self._sealer = sealer
        self._end = HEADER_BYTES
        self._written_back = 0
        self._descriptor: int | None = None
        self._health.require()
        try:
            self._descriptor = self._directory.create(segment + UNFINISHED)
        except OSError as error:
            raise StorageFailed(f"cannot make a segment: {error.strerror}") from error

    def write(self, fragment: bytes | memoryview) -> None:
        """As ``LargeObject.write``."""
        descriptor = self._open_descriptor()
        chunks = self._sealer.add(fragment)
        self._put(descriptor, chunks, self._end)
        self._end += sum(map(len, chunks))
        if self._end - self._written_back >= WRITE_BACK_BYTES:
            self._filesystem.write_back(descriptor, self._written_back, self._end - self._written_back)
            self._written_back = self._end

    def settle(self) -> None:
        """As ``LargeObject.settle``."""
        self._sync(self._filesystem.fdatasync, self._open_descriptor())

    def finish(self) -> Location:
        """As ``LargeObject.finish``."""
        descriptor = self._open_descriptor()
        last, header = self._sealer.finish(self._keys.current())
        self._put(descriptor, [last], self._end)
        self._put(descriptor, [header], 0)
        self._sync(self._filesystem.fsync, descriptor)
        self._publish()
        return Location(self._segment, 0, self._end + len(last))

    def abort(self) -> None:
        """As ``LargeObject.abort``."""
        if self._descriptor is None:
            return
        self._close()
        # What cannot be removed now is removed by discard_unfinished at the next start.
        with contextlib.suppress(OSError):
            self._directory.remove(self._segment + UNFINISHED)

    def _sync(self, sync: Callable[[int], None], descriptor: int) -> None:
        try:
            sync(descriptor)
        except OSError as error:
            self.abort()
            raise self._health.sync_failed(error, self._name) from error

    def _publish(self) -> None:
        """Give the file its name, durably."""
        directory = self._directory.descriptor
        try:
            self._filesystem.rename(self._segment + UNFINISHED, self._segment + SEGMENT, directory)
        except OSError as error:
            self.abort()
            raise StorageFailed(f"cannot name {self._name}: {error.strerror or error}") from error
        self._close()
        try:
            self._filesystem.fsync(directory)
        except OSError as error:
            self._health.fail(f"cannot sync the segments folder: {error.strerror or error}")
            with contextlib.suppress(OSError):
                self._directory.remove(self._segment + SEGMENT)
            raise StorageFailed(f"cannot make the name of {self._name} durable") from error

    @property
    def _name(self) -> str:
        return f"segments/{self._segment}"

    def _put(self, descriptor: int, buffers: list[bytes], offset: int) -> None:
        try:
            self._health.require()
            write_all(self._filesystem, descriptor, buffers, offset)
        except OSError as error:
            self.abort()
            raise StorageFailed(f"cannot write {self._name}: {error.strerror or error}") from error
        except StorageFailed:
            self.abort()
            raise

    def _open_descriptor(self) -> int:
        if self._descriptor is None:
            raise LocalProtocolError("the large object is finished, aborted or failed")
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # what counts was synced before; the rest is given up
                os.close(self._descriptor)
            self._descriptor = None
