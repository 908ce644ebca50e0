"""``backup --verify``: everything in a backup, compared and opened, without restoring it.

With the passphrase alone: the keys of the archive are in each snapshot's bundle, which it opens. The
bundles have the digests of the snapshots' files; the copies of segments have those of their stretches and
headers; and each object that an index names is put together again, opened with the keys of its snapshot,
and compared with the SHA-256 kept at ingest. What several snapshots share is read once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final

from leadglass.admin.backup import Watcher
from leadglass.admin.desk import require
from leadglass.admin.recovery import site_keys_in
from leadglass.admin.restore import open_files, require_as_written
from leadglass.admin.site import INDEX_KEY, KEYS
from leadglass.admin.snapshots import ABOUT, BUNDLE, DIGESTED, INDEX, MANIFEST, MARKER, BackupFolder
from leadglass.identity.authority import CA_CERTIFICATE
from leadglass.identity.certificates import fingerprint_of_pem
from leadglass.index.copying import index_snapshot
from leadglass.index.engine import open_frozen
from leadglass.index.index import Index
from leadglass.index.inventory import Held
from leadglass.index.migrate import require_current
from leadglass.model.action import Verb
from leadglass.model.errors import ConfigurationInvalid, IntegrityBroken, KeyUnavailable, LocalError
from leadglass.model.permit import Permit
from leadglass.storage.copies import CopiedSegment, SegmentCopy
from leadglass.storage.keys import MemoryKeyProvider
from leadglass.storage.reader import open_record

PROBLEMS_TOLD: Final = 1_000


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read. ``problems``, the first thousand: each names the file or the object that is hit.

    ``not_compared``: snapshots of an older Leadglass, whose index only a restore can read; all else of
    them was compared.
    """

    snapshots: int
    segments: int
    size_bytes: int
    objects: int
    problem_count: int
    problems: tuple[str, ...]
    not_compared: tuple[str, ...]


def verify_backup(permit: Permit, backup: BackupFolder, passphrase: bytes, watcher: Watcher) -> Verified:
    """Read all of a backup, every snapshot of it; nothing is written.

    Raises:
        NotPermitted: ``permit`` is not for BACKUP.
        NotFound: there is no snapshot.
        KeyUnavailable: the passphrase opens none of them.
        ConfigurationInvalid: a backup runs.
    """
    require(permit, Verb.BACKUP)
    found = _Findings()
    with backup.reading():
        backup.latest()
        snapshots = _opened(backup, passphrase, found)
        by_segment = _by_segment(snapshots)
        size_bytes = _verify_copies(backup, by_segment, found, watcher)
        objects = _Objects(permit, backup, found, watcher)
        objects.verify(snapshots)
    return Verified(
        len(backup.names()),
        len(by_segment),
        size_bytes,
        objects.read,
        found.count,
        tuple(found.problems),
        tuple(objects.not_compared),
    )


class _Findings:
    """Problems: all are counted, the first thousand kept."""

    def __init__(self) -> None:
        self.count = 0
        self.problems: list[str] = []

    def add(self, problem: str) -> None:
        self.count += 1
        if len(self.problems) < PROBLEMS_TOLD:
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A snapshot that was opened. ``copies`` and ``index``: only where they are those that were written."""

    name: str
    copies: Mapping[str, SegmentCopy]
    index: Path | None
    index_key: bytes
    keys: MemoryKeyProvider
    key_ids: frozenset[bytes]


def _opened(backup: BackupFolder, passphrase: bytes, found: _Findings) -> list[_Snapshot]:
    """Every snapshot that the passphrase opens, its files compared."""
    snapshots: list[_Snapshot] = []
    locked: list[KeyUnavailable] = []
    for name in backup.names():
        try:
            files, digests = open_files(backup, name, passphrase)
            snapshots.append(_compared(backup, name, files, digests, found))
        except KeyUnavailable as error:
            locked.append(KeyUnavailable(f"snapshots/{name}/{BUNDLE}: {error}"))
        except LocalError as error:
            found.add(f"snapshots/{name}: {error}")
    if locked and not snapshots:
        raise locked[0]
    for each in locked:
        found.add(str(each))
    return snapshots


def _compared(
    backup: BackupFolder,
    name: str,
    files: Mapping[str, bytes],
    digests: Mapping[str, str],
    found: _Findings,
) -> _Snapshot:
    """Its files, each with its digest; of ABOUT the first backups had none."""
    if not backup.is_marked(fingerprint_of_pem(files[f"{KEYS}/{CA_CERTIFICATE}"])):
        found.add(f"{MARKER} is not what the backup of this site wrote")
    wrong = set()
    for each in (*DIGESTED, *({ABOUT} & set(digests))):
        try:
            require_as_written(backup.file(name, each), digests.get(each, ""))
        except IntegrityBroken as error:
            wrong.add(each)
            found.add(str(error))
    site_keys = site_keys_in({path.removeprefix(f"{KEYS}/"): content for path, content in files.items()})
    return _Snapshot(
        name,
        {} if MANIFEST in wrong else {copy.segment: copy for copy in backup.manifest(name)},
        None if wrong & {MANIFEST, INDEX} else backup.file(name, INDEX),
        files[f"{KEYS}/{INDEX_KEY}"],
        MemoryKeyProvider(site_keys),
        frozenset(key.key_id for key in site_keys),
    )


def _by_segment(snapshots: Iterable[_Snapshot]) -> dict[str, set[SegmentCopy]]:
    by_segment: dict[str, set[SegmentCopy]] = {}
    for snapshot in snapshots:
        for segment, copy in snapshot.copies.items():
            by_segment.setdefault(segment, set()).add(copy)
    return by_segment


def _verify_copies(
    backup: BackupFolder, by_segment: Mapping[str, set[SegmentCopy]], found: _Findings, watcher: Watcher
) -> int:
    """Every body once, as far as any snapshot needs it, and all headers; how many bytes of bodies."""
    longest = [max(copies, key=attrgetter("body_bytes")) for copies in by_segment.values()]
    total = sum(copy.body_bytes for copy in longest)
    done = 0

    def read(length: int) -> None:
        nonlocal done
        done += length
        watcher.reached("segments", done, max(done, total))
        watcher.copied(length)

    for copy in longest:
        try:
            backup.copies.verify(copy, found.add, read)
        except IntegrityBroken as error:
            found.add(str(error))
        for headers in {each.headers: each for each in by_segment[copy.segment]}.values():
            try:
                backup.copies.verify_headers(headers)
            except IntegrityBroken as error:
                found.add(str(error))
    return done


@dataclass(frozen=True, slots=True)
class _Named:
    """An object that the index of a snapshot names."""

    snapshot: _Snapshot
    held: Held

    @property
    def place(self) -> tuple[str, int]:
        location = self.held.stored.location
        return location.segment, location.offset

    @property
    def segment(self) -> str:
        return self.held.stored.location.segment


class _Objects:
    """Opens every object of every snapshot, in the order in which they lie in the segments.

    ``read``: how many different ones. The indexes are read side by side, so that what several snapshots
    name alike is seen at one time and read once.
    """

    def __init__(self, permit: Permit, backup: BackupFolder, found: _Findings, watcher: Watcher) -> None:
        self._permit = permit
        self._backup = backup
        self._found = found
        self._watcher = watcher
        self._seen = 0
        self._total = 0
        self.read = 0
        self.not_compared: list[str] = []

    def verify(self, snapshots: Iterable[_Snapshot]) -> None:
        with ExitStack() as indexes:
            streams = [
                self._named(snapshot, snapshot.index, indexes) for snapshot in snapshots if snapshot.index
            ]
            every = merge(*streams, key=attrgetter("place"))
            for _, in_segment in groupby(every, key=attrgetter("segment")):
                with ExitStack() as files:
                    self._verify_segment(in_segment, files)

    def _named(self, snapshot: _Snapshot, path: Path, indexes: ExitStack) -> Iterator[_Named]:
        engine = open_frozen(path, snapshot.index_key)
        indexes.callback(engine.dispose)
        try:
            require_current(engine)
        except ConfigurationInvalid:
            self.not_compared.append(snapshot.name)
            return iter(())
        with index_snapshot(engine, self._permit) as index:
            self._total += index.totals()[0]
        return (_Named(snapshot, held) for held in Index(engine).inventory(self._permit))

    def _verify_segment(self, in_segment: Iterator[_Named], files: ExitStack) -> None:
        opened: dict[SegmentCopy, CopiedSegment] = {}
        for _, at_place in groupby(in_segment, key=attrgetter("place")):
            read: set[object] = set()
            for each in at_place:
                self._seen += 1
                self._watcher.reached("objects", self._seen, self._total)
                copied = self._copied(each, opened, files)
                if copied is None:
                    continue
                stored = each.held.stored
                header = copied.header(stored.location.offset)
                alike = (stored.object_id, stored.location, stored.sha256, header, each.snapshot.key_ids)
                if alike not in read:
                    read.add(alike)
                    self.read += 1
                    self._tell(each, self._problem(each, copied))

    def _copied(
        self, each: _Named, opened: dict[SegmentCopy, CopiedSegment], files: ExitStack
    ) -> CopiedSegment | None:
        copy = each.snapshot.copies.get(each.segment)
        if copy is None:
            self._tell(each, "nothing of its segment is in the snapshot")
            return None
        try:
            if copy not in opened:
                opened[copy] = files.enter_context(self._backup.copies.opened(copy))
        except IntegrityBroken as error:
            self._tell(each, str(error))
            return None
        return opened[copy]

    def _problem(self, each: _Named, copied: CopiedSegment) -> str:
        """What is wrong with an object, or nothing."""
        stored = each.held.stored
        digest = hashlib.sha256()
        try:
            reader = open_record(copied.read_at, stored.location, stored.object_id, each.snapshot.keys)
            for chunk in reader.chunks():
                digest.update(chunk)
                self._watcher.copied(len(chunk))
        except (IntegrityBroken, KeyUnavailable) as error:
            return str(error)
        return "" if digest.digest() == stored.sha256 else "its bytes are not those that were received"

    def _tell(self, each: _Named, problem: str) -> None:
        if problem:
            stored = each.held.stored
            what = f"instance {stored.sop_instance} of study {stored.study}"
            self._found.add(f"snapshot {each.snapshot.name}: {what}: {problem}")
