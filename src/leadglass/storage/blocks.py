"""Appending in whole blocks: large writes go past the page cache, straight to the disk.

Measured on two cores: 0.5 MB into the page cache and synced takes 0.45 to 0.6 ms and, where the cache
has to take memory the machine has never used, 1.3 ms of processor time; straight to the disk it is
0.35 ms and 0.08. A direct write takes whole blocks from memory that begins on a page, so the bytes are
gathered in a buffer of our own, with the block that the end of the file lies in first, and the last
block is filled up with zeros. Those lie beyond the end that counts, and go when the file is let go of.
"""

from __future__ import annotations

import errno
import mmap
from collections.abc import Sequence

from leadglass.storage.filesystem import FileSystem

BLOCK_BYTES = 4096
STAGING_BYTES = 4 << 20
DIRECT_FROM_BYTES = 128 << 10  # below, the page cache is as quick, and keeps what was just written


class Staging:
    """Memory for one write, beginning on a page. Shared by all that one thread writes."""

    def __init__(self) -> None:
        self._pages = mmap.mmap(-1, STAGING_BYTES)
        self.view = memoryview(self._pages)


class BlockWriter:
    """Writes to the end of one file, through two descriptors of it. For one thread at a time.

    ``direct`` was opened with O_DIRECT.
    """

    def __init__(self, filesystem: FileSystem, buffered: int, direct: int, staging: Staging) -> None:
        self._filesystem = filesystem
        self._buffered = buffered
        self._direct = direct
        self._staging = staging
        self._last_block = b""  # what the file's last block holds, up to ``_end``
        self._end = 0
        self._written_block = b""
        self._written_end = 0

    def write(self, buffers: Sequence[bytes | memoryview]) -> None:
        """Put the buffers at the end that counts, in place of whatever was written there and not kept.

        Raises:
            OSError: not all could be written; how much was is unknown.
        """
        staging = self._staging.view
        offset = self._end - len(self._last_block)
        staging[: len(self._last_block)] = self._last_block
        filled = len(self._last_block)
        for buffer in buffers:
            rest = memoryview(buffer)
            while rest:
                taken = min(len(rest), STAGING_BYTES - filled)
                staging[filled : filled + taken] = rest[:taken]
                filled += taken
                rest = rest[taken:]
                if filled == STAGING_BYTES:
                    self._put(filled, offset)
                    offset += filled
                    filled = 0
        beyond = filled % BLOCK_BYTES
        self._written_block = bytes(staging[filled - beyond : filled])
        self._written_end = offset + filled
        if beyond:
            whole = filled + BLOCK_BYTES - beyond
            staging[filled:whole] = bytes(whole - filled)
            filled = whole
        if filled:
            self._put(filled, offset)

    def keep(self) -> None:
        """What was last written counts from now on."""
        self._last_block = self._written_block
        self._end = self._written_end

    def _put(self, length: int, offset: int) -> None:
        """Write whole blocks of the staging memory."""
        descriptor = self._direct if length >= DIRECT_FROM_BYTES else self._buffered
        done = 0
        while done < length:
            try:
                written = self._filesystem.pwritev(
                    descriptor, [self._staging.view[done:length]], offset + done
                )
            except OSError as error:
                if error.errno != errno.EINVAL or descriptor == self._buffered:
                    raise
                descriptor = self._direct = self._buffered  # larger blocks than ours, or a limit within one
                continue
            if done + written < length and descriptor != self._buffered:
                written -= written % BLOCK_BYTES  # a direct write begins on a block
            if written <= 0:
                raise OSError("the system took no bytes and gave no reason")
            done += written
