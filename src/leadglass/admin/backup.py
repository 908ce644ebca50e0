"""``backup``: one more snapshot of the site, while it serves."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol

import msgspec
from sqlalchemy import Engine

from leadglass.admin.desk import Recorder, record, require
from leadglass.admin.site import INDEX_KEY, KEYS, POLICY, SETTINGS
from leadglass.admin.snapshots import (
    ABOUT,
    BUNDLE,
    CHECKPOINTS,
    DIGESTED,
    DIGESTS,
    INDEX,
    MANIFEST,
    About,
    BackupFolder,
    is_site_file,
    write_json,
)
from leadglass.audit.copying import checkpoints_of
from leadglass.identity.authority import ISSUED
from leadglass.identity.bundle import MAX_BUNDLE_BYTES, require_strong, seal_bundle
from leadglass.identity.files import SECRET_MODE, read_file, read_secret, write_new
from leadglass.index.copying import IndexSnapshot, index_snapshot
from leadglass.model.action import SITE, Verb
from leadglass.model.clock import Clock
from leadglass.model.errors import ConfigurationInvalid, IntegrityBroken
from leadglass.model.event import Outcome
from leadglass.model.permit import Permit
from leadglass.storage.copies import Named, SegmentCopy
from leadglass.storage.directory import SegmentInfo
from leadglass.storage.local import LocalSegmentStore
from leadglass.storage.ulid import new_ulid

PROBLEMS_TOLD: Final = 100
NS: Final = 1_000_000_000


class Watcher(Protocol):
    """Sees a backup at work."""

    def reached(self, what: str, done: int, total: int) -> None:
        """How much of the segments (bytes) or of the index (pages) is done, and of how much."""

    def copied(self, length: int) -> None:
        """So many bytes more are written; the backup waits as long as this does."""


@dataclass(frozen=True, slots=True)
class BackupRequest:
    """Where to, sealed with what. ``keep``: how many snapshots may stay, ``None`` is all."""

    folder: Path
    passphrase: bytes
    keep: int | None = None


@dataclass(frozen=True, slots=True)
class BackupRooms:
    """What is backed up. ``site``: the SHA-256 of its CA's certificate; ``home``: its folder."""

    home: Path
    name: str
    site: str
    engine: Engine
    store: LocalSegmentStore
    checkpoints: Path


@dataclass(frozen=True, slots=True)
class Made:
    """A snapshot. ``added_bytes`` of segments were new.

    ``removed`` older snapshots gave back ``freed_bytes``. ``problems``, the first hundred: segments that
    cannot be read as they are now. Of those the snapshot has what an earlier one had.
    """

    snapshot: str
    objects: int
    segments: int
    added_bytes: int
    problem_count: int
    problems: tuple[str, ...]
    removed: int = 0
    freed_bytes: int = 0


def make_backup(
    permit: Permit,
    rooms: BackupRooms,
    request: BackupRequest,
    recorder: Recorder,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
    watcher: Watcher,
) -> Made:
    """Add a snapshot to a backup folder: everything that was acknowledged before this was called is in it.

    The archive serves and stores meanwhile. Most is copied first, as it comes; then, while no header may
    change and no record be moved, what is new since; the index is that of this moment. Broken off at any
    point, the snapshot does not exist, and what was copied need not be copied again.

    Raises:
        NotPermitted: ``permit`` is not for BACKUP.
        ConfigurationInvalid: the folder or the passphrase cannot be used.
        StorageFailed: the backup's disk refuses.
        IntegrityBroken: the index or the audit trail cannot be read.
    """
    require(permit, Verb.BACKUP)
    require_strong(request.passphrase)
    backup = BackupFolder.of_site(request.folder, rooms.site)
    with backup.locked():
        made = _make(permit, rooms, backup, request.passphrase, clock, random_bytes, watcher)
        if request.keep is not None:
            removed, freed_bytes = backup.prune(request.keep)
            made = replace(made, removed=removed, freed_bytes=freed_bytes)
    outcome = Outcome.ALERT if made.problem_count else Outcome.DONE
    reason = f"{made.snapshot}: {made.objects} objects"
    reason += f"; {made.problem_count} segments not as they are now" if made.problem_count else ""
    reason += f"; {made.removed} older snapshots removed" if made.removed else ""
    record(recorder, permit, "backup.made", SITE, reason, outcome)
    return made


def _make(
    permit: Permit,
    rooms: BackupRooms,
    backup: BackupFolder,
    passphrase: bytes,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
    watcher: Watcher,
) -> Made:
    name = new_ulid(clock.now(), random_bytes)
    made_at = clock.now().isoformat(timespec="seconds")
    copying = _Copying(permit, rooms, backup, clock, watcher)
    with index_snapshot(rooms.engine, permit) as earlier:
        copying.segments(earlier)
    with backup.snapshot(name) as draft, ExitStack() as held:
        with rooms.store.unchanging(permit):
            snapshot = held.enter_context(index_snapshot(rooms.engine, permit))
            manifest = copying.segments(snapshot)
            files = _files(rooms.home)
        write_json(draft / MANIFEST, manifest)
        write_new(draft / CHECKPOINTS, checkpoints_of(snapshot.connection, rooms.checkpoints), SECRET_MODE)
        index_key = read_secret(rooms.home / KEYS / INDEX_KEY)
        snapshot.copy_to(draft / INDEX, index_key, copying.pages)
        objects, size_bytes = snapshot.totals()
        problems = copying.problems
        write_json(draft / ABOUT, About(name, made_at, rooms.name, objects, size_bytes, len(problems)))
        digests = msgspec.json.encode({each: _sha256(draft / each) for each in (*DIGESTED, ABOUT)})
        bundle = seal_bundle({**files, DIGESTS: digests}, passphrase, random_bytes)
        write_new(draft / BUNDLE, bundle, SECRET_MODE)
    told = tuple(problems[:PROBLEMS_TOLD])
    return Made(name, objects, len(manifest), copying.added_bytes, len(problems), told)


class _Copying:
    """The segments of one backup, gone through twice. ``problems`` are of the last time."""

    def __init__(
        self, permit: Permit, rooms: BackupRooms, backup: BackupFolder, clock: Clock, watcher: Watcher
    ) -> None:
        self._permit = permit
        self._clock = clock
        self._store = rooms.store
        self._copies = backup.copies
        self._watcher = watcher
        self.problems: list[str] = []
        self.added_bytes = 0

    def segments(self, snapshot: IndexSnapshot) -> list[SegmentCopy]:
        """Bring the copy of each segment up to what the snapshot names in it."""
        self.problems = []
        infos = {info.name: info for info in self._store.segments(self._permit)}
        total = sum(info.size_bytes for info in infos.values())
        done = 0
        manifest = []
        for named in _by_segment(snapshot):
            try:
                manifest.append(self._updated(infos, named))
            except IntegrityBroken as error:
                copy = self._copies.as_it_was(named)
                had = "nothing" if copy is None else f"{copy.body_bytes} bytes"
                self.problems.append(f"{error}; the backup has {had} of it from before")
                manifest += [] if copy is None else [copy]
            done += named.end
            self._watcher.reached("segments", done, max(done, total))
        return manifest

    def _updated(self, infos: Mapping[str, SegmentInfo], named: Named) -> SegmentCopy:
        info = infos.get(named.segment)
        if info is None:
            raise IntegrityBroken(f"segments/{named.segment}.seg is missing")
        before = self._copies.body_bytes(named.segment)
        now_ns = int(self._clock.now().timestamp() * NS)
        copy = self._copies.update(self._permit, self._store, info, named, now_ns, self._watcher.copied)
        self.added_bytes += max(0, copy.body_bytes - before)
        return copy

    def pages(self, done: int, total: int) -> None:
        """The index, page by page."""
        self._watcher.reached("index", done, total)


def _by_segment(snapshot: IndexSnapshot) -> Iterator[Named]:
    for segment, places in groupby(snapshot.places(), key=lambda place: place.segment):
        several = list(places)
        end = max(place.offset + place.length for place in several)
        yield Named(segment, [place.offset for place in several], end)


def _files(home: Path) -> Mapping[str, bytes]:
    """What opens the archive and says who may do what: the keys, the certificates, both files of settings."""
    paths = [home / SETTINGS, home / POLICY]
    for folder in (home / KEYS, home / KEYS / ISSUED):
        paths += (path for path in sorted(folder.iterdir()) if stat.S_ISREG(path.lstat().st_mode))
    named = {str(path.relative_to(home)): path for path in paths}
    files = {name: _read(path) for name, path in named.items() if is_site_file(name)}
    if sum(map(len, files.values())) * 3 // 2 > MAX_BUNDLE_BYTES:  # base64, and the names
        raise ConfigurationInvalid(f"{home / KEYS} and the settings are more than a backup's bundle takes")
    return files


def _read(path: Path) -> bytes:
    return read_secret(path) if path.suffix == ".key" else read_file(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
