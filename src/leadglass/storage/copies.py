"""Copies of segments in a backup: bodies that only grow, and headers apart from them.

A record's header is all that ever changes of it, when the site key does or when it is erased. So a copy
is three kinds of files::

    <ulid>.body              the segment, with zeros where its headers are
    <ulid>.<digest>.headers  the headers as they were at one moment: "LGH1", then offset u64 + header
    <ulid>.state             JSON: the stretches of the body with their SHA-256, and the segment as last seen;
                             and the SHA-256 of that

A backup adds to the body what is new and writes the headers anew only where one has changed. An object
that was erased can be read from a backup as long as headers from before are kept, and no longer.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec

from leadglass.model.errors import IntegrityBroken, StorageFailed
from leadglass.model.instance import Location
from leadglass.model.permit import Permit
from leadglass.storage.copy_state import CopyState, Stretch, decode_state, encode_state
from leadglass.storage.directory import SegmentInfo
from leadglass.storage.reader import ScannedRecord, TornTail
from leadglass.storage.record import HEADER_BYTES
from leadglass.storage.ulid import is_ulid

BODY, HEADERS, STATE = ".body", ".headers", ".state"
BLOCK_BYTES: Final = 4 << 20
SETTLED_NS: Final = 2_000_000_000  # a file system's clock may tick that seldom

_MAGIC: Final = b"LGH1"
_ENTRY: Final = struct.Struct(f">Q{HEADER_BYTES}s")
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


Copied = Callable[[int], None]
"""Told how many bytes more are copied; it may wait."""


class Source(Protocol):
    """The archive's segments; a ``LocalSegmentStore`` is one."""

    def scan(self, permit: Permit, segment: str) -> Iterator[ScannedRecord | TornTail]:
        """As ``SegmentStore.scan``."""

    def sealed(self, permit: Permit, location: Location) -> bytes:
        """Bytes as they lie on the disk; IntegrityBroken where they do not."""


class SegmentCopy(msgspec.Struct, frozen=True):
    """A segment in one snapshot: how much of its body belongs to it, and which headers."""

    segment: str
    body_bytes: int
    headers: str


@dataclass(frozen=True, slots=True)
class Named:
    """What the index names in a segment: where each record begins, and where the last one ends."""

    segment: str
    offsets: Sequence[int]
    end: int


class CopiedSegment:
    """A copy of a segment that is open: body and headers together again."""

    def __init__(self, descriptor: int, body_bytes: int, headers: Mapping[int, bytes]) -> None:
        self._descriptor = descriptor
        self._body_bytes = body_bytes
        self._headers = headers
        self._offsets = sorted(headers)

    def header(self, offset: int) -> bytes:
        """The header of the record at ``offset``; nothing where the copy has none."""
        return self._headers.get(offset, b"")

    def read_at(self, _segment: str, offset: int, length: int) -> bytes:
        """As ``reader.ReadAt``, of this segment whatever its name."""
        block = bytearray(_read_at(self._descriptor, offset, max(0, min(length, self._body_bytes - offset))))
        _put_headers(block, offset, self._offsets, self._headers)
        return bytes(block)


class SegmentCopies:
    """The copies in one folder, for one process at a time. No byte in it is plain: all is sealed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def update(
        self, permit: Permit, source: Source, info: SegmentInfo, named: Named, now_ns: int, copied: Copied
    ) -> SegmentCopy:
        """Bring the copy of a segment up to what the index names, durably.

        Headers must not change meanwhile, if the copy is to be of one moment. ``now_ns``: since 1970.

        Raises:
            IntegrityBroken: the archive's disk does not give the segment's bytes.
            StorageFailed: the backup's disk does not take them.
        """
        state = self._state(named.segment)
        seen = (info.size_bytes, info.changed_ns)
        if state.seen == seen and named.end <= state.end and self._has_headers(named.segment, state.headers):
            return SegmentCopy(named.segment, named.end, state.headers)
        with _writing():
            offsets = self._offsets(permit, source, named, state)
            stretches = self._grow(permit, source, named, state, offsets, copied)
            headers = self._write_headers(permit, source, named.segment, offsets)
            settled = seen if now_ns - info.changed_ns > SETTLED_NS else (0, 0)
            self._keep_state(named.segment, CopyState(stretches, headers, settled))
        return SegmentCopy(named.segment, named.end, headers)

    def body_bytes(self, segment: str) -> int:
        """How much of a segment is copied already."""
        return self._state(segment).end

    def as_it_was(self, named: Named) -> SegmentCopy | None:
        """What an earlier backup has of a segment that cannot be read any more, if anything."""
        state = self._state(named.segment)
        if not state.end or not self._has_headers(named.segment, state.headers):
            return None
        return SegmentCopy(named.segment, min(named.end, state.end), state.headers)

    def read(self, copy: SegmentCopy, damaged: Callable[[str], None]) -> Iterator[bytes | bytearray]:
        """The segment, from its first byte to its last, block by block.

        What does not have the digest that it had is given all the same, for most of it may be sound, and
        ``damaged`` is told.

        Raises:
            IntegrityBroken: a file of the copy is missing or cannot be read, or the body is too short.
        """
        headers = self._read_headers(copy)
        offsets = sorted(headers)
        with self._reading(copy) as descriptor:
            for start, block in self._blocks(descriptor, copy, damaged):
                _put_headers(block, start, offsets, headers)
                del block[max(0, copy.body_bytes - start) :]
                yield block

    def verify(self, copy: SegmentCopy, damaged: Callable[[str], None], copied: Copied) -> None:
        """Read all of a body that some copy is of, and compare it with its digests; not the headers.

        Raises:
            IntegrityBroken: as ``read``.
        """
        with self._reading(copy) as descriptor:
            for _, block in self._blocks(descriptor, copy, damaged):
                copied(len(block))

    def verify_headers(self, copy: SegmentCopy) -> None:
        """Compare the headers with their digest.

        Raises:
            IntegrityBroken: they are not those that were copied, or missing.
        """
        self._read_headers(copy)

    @contextlib.contextmanager
    def opened(self, copy: SegmentCopy) -> Iterator[CopiedSegment]:
        """The segment as it lay on the archive's disk, to read records of it.

        Raises:
            IntegrityBroken: a file of the copy is missing or cannot be read.
        """
        headers = self._read_headers(copy)
        with self._reading(copy) as descriptor:
            yield CopiedSegment(descriptor, copy.body_bytes, headers)

    def _blocks(
        self, descriptor: int, copy: SegmentCopy, damaged: Callable[[str], None]
    ) -> Iterator[tuple[int, bytearray]]:
        """Each block of a body with its place, from stretches that begin before the copy's end."""
        done = 0
        for stretch in self._stretches(copy, damaged):
            if done >= copy.body_bytes:
                break
            digest = hashlib.sha256()
            for start in range(done, stretch.end, BLOCK_BYTES):
                block = bytearray(_read_at(descriptor, start, min(BLOCK_BYTES, stretch.end - start)))
                digest.update(block)
                yield start, block
            if stretch.sha256 not in ("", digest.hexdigest()):
                damaged(f"{copy.segment}{BODY}: bytes {done} to {stretch.end} are not those that were copied")
            done = stretch.end
        size_bytes = os.fstat(descriptor).st_size
        if size_bytes < copy.body_bytes:
            raise IntegrityBroken(f"{copy.segment}{BODY} has {size_bytes} bytes of {copy.body_bytes}")

    def _stretches(self, copy: SegmentCopy, damaged: Callable[[str], None]) -> tuple[Stretch, ...]:
        """Those of the state; of what it does not know, one without a digest: the body may be sound."""
        name = f"{copy.segment}{STATE}"
        try:
            state = decode_state(self._path(copy.segment, STATE).read_bytes())
        except OSError as error:
            damaged(f"{name} cannot be read: {error.strerror}")
            state = CopyState()
        except IntegrityBroken as error:
            damaged(f"{name} is damaged: {error}")
            state = CopyState()
        else:
            if state.end < copy.body_bytes:
                damaged(f"{name} knows {state.end} bytes of {copy.body_bytes}")
        beyond = Stretch(copy.body_bytes, "")
        return (*state.stretches, beyond) if state.end < copy.body_bytes else state.stretches

    def keep_only(self, used: Iterable[SegmentCopy]) -> int:
        """Remove what no snapshot uses; how many bytes that gave back.

        Raises:
            StorageFailed: a file could not be removed.
        """
        headers = {f"{copy.segment}.{copy.headers}{HEADERS}" for copy in used}
        segments = {name.split(".", 1)[0] for name in headers}
        freed = 0
        with _writing():
            for path in list(self._folder.iterdir()):
                segment, _, rest = path.name.partition(".")
                kept = path.name in headers if rest.endswith(HEADERS[1:]) else segment in segments
                if is_ulid(segment) and not kept:
                    freed += path.stat().st_size
                    path.unlink()
            _sync(self._folder)
        return freed

    def _offsets(self, permit: Permit, source: Source, named: Named, state: CopyState) -> Sequence[int]:
        """Where a header is: by the index, by the segment itself, and where one was seen before."""
        offsets = set(named.offsets)
        for record in source.scan(permit, named.segment):
            if isinstance(record, TornTail) or record.location.offset >= named.end:
                break
            offsets.add(record.location.offset)
        with contextlib.suppress(IntegrityBroken):  # lost or rotten in the backup: what is here counts
            offsets.update(self._read_headers(SegmentCopy(named.segment, 0, state.headers)))
        return sorted(offset for offset in offsets if offset < named.end or offset < state.end)

    def _grow(
        self,
        permit: Permit,
        source: Source,
        named: Named,
        state: CopyState,
        offsets: Sequence[int],
        copied: Copied,
    ) -> tuple[Stretch, ...]:
        """Add to the body what is new of the segment."""
        zeros = dict.fromkeys(offsets, bytes(HEADER_BYTES))
        descriptor = os.open(self._path(named.segment, BODY), _NEW & ~os.O_TRUNC, 0o600)
        try:
            whole = os.fstat(descriptor).st_size >= state.end
            stretches, begin = (state.stretches, state.end) if whole else ((), 0)
            if named.end <= begin:
                return stretches
            os.ftruncate(descriptor, begin)  # what a backup that was broken off has left
            digest = hashlib.sha256()
            for start in range(begin, named.end, BLOCK_BYTES):
                length = min(BLOCK_BYTES, named.end - start)
                block = bytearray(source.sealed(permit, Location(named.segment, start, length)))
                _put_headers(block, start, offsets, zeros)
                digest.update(block)
                _write_at(descriptor, block, start)
                copied(length)
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # the archive needs the memory
        finally:
            os.close(descriptor)
        return (*stretches, Stretch(named.end, digest.hexdigest()))

    def _write_headers(self, permit: Permit, source: Source, segment: str, offsets: Sequence[int]) -> str:
        """The headers as they are now; the name they have."""
        entries = (
            _ENTRY.pack(offset, source.sealed(permit, Location(segment, offset, HEADER_BYTES)))
            for offset in offsets
        )
        raw = _MAGIC + b"".join(entries)
        digest = hashlib.sha256(raw).hexdigest()
        _replace(self._headers_path(segment, digest), raw)  # also where it is: it may have rotted
        return digest

    def _read_headers(self, copy: SegmentCopy) -> Mapping[int, bytes]:
        path = self._headers_path(copy.segment, copy.headers)
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise IntegrityBroken(f"{path.name} cannot be read: {error.strerror}") from error
        if hashlib.sha256(raw).hexdigest() != copy.headers or raw[: len(_MAGIC)] != _MAGIC:
            raise IntegrityBroken(f"{path.name} is damaged")
        return dict(_ENTRY.iter_unpack(raw[len(_MAGIC) :]))

    @contextlib.contextmanager
    def _reading(self, copy: SegmentCopy) -> Iterator[int]:
        path = self._path(copy.segment, BODY)
        try:
            descriptor = os.open(path, _READ)
        except OSError as error:
            raise IntegrityBroken(f"{path.name} cannot be read: {error.strerror}") from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _state(self, segment: str) -> CopyState:
        """What is known of a copy; nothing where there is none, or where that is damaged: it is made anew."""
        try:
            return decode_state(self._path(segment, STATE).read_bytes())
        except (FileNotFoundError, IntegrityBroken):
            return CopyState()

    def _keep_state(self, segment: str, state: CopyState) -> None:
        _replace(self._path(segment, STATE), encode_state(state))

    def _has_headers(self, segment: str, digest: str) -> bool:
        return bool(digest) and self._headers_path(segment, digest).exists()

    def _headers_path(self, segment: str, digest: str) -> Path:
        return self._path(segment, f".{digest}{HEADERS}")

    def _path(self, segment: str, suffix: str) -> Path:
        if not is_ulid(segment):
            raise IntegrityBroken("a backup names a segment that cannot be ours")
        return self._folder / f"{segment}{suffix}"


def _put_headers(block: bytearray, start: int, offsets: Sequence[int], headers: Mapping[int, bytes]) -> None:
    """Put the headers that lie in a block, or reach into it, in their places; ``start`` is the block's."""
    first = bisect_left(offsets, start - HEADER_BYTES + 1)
    for offset in offsets[first : bisect_left(offsets, start + len(block))]:
        begin, end = max(offset, start), min(offset + HEADER_BYTES, start + len(block))
        block[begin - start : end - start] = headers[offset][begin - offset : end - offset]


def _read_at(descriptor: int, start: int, length: int) -> bytes:
    """At most ``length`` bytes: fewer where the file ends."""
    try:
        return os.pread(descriptor, length, start)
    except OSError as error:
        raise IntegrityBroken(f"a body cannot be read at {start}: {error.strerror}") from error


def _write_at(descriptor: int, block: bytearray, start: int) -> None:
    left = memoryview(block)
    while left:
        written = os.pwrite(descriptor, left, start)
        left, start = left[written:], start + written


def _replace(path: Path, content: bytes) -> None:
    """The file is the old one or the new one, never a mix."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, _NEW, 0o600)
    try:
        _write_at(descriptor, bytearray(content), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """What the backup's disk refuses."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"cannot write to the backup: {error.strerror or error}") from error
