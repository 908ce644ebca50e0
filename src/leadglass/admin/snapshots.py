"""A backup folder: snapshots that share the copies of segments.

::

    leadglass-backup.json   whose backup it is
    segments/               bodies and headers of segments (storage/copies.py)
    snapshots/<ulid>/       one state of the site
        about.json          when, and how much: to be read by people
        segments.json       which bodies and headers belong to it
        index.db            the index, encrypted as the site's own
        audit.checkpoints   as the site's own
        sealed.bundle       keys, settings, policy, and the digests of the files above: with a passphrase

A snapshot has its name only when it is whole.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from leadglass.admin.site import KEYS, POLICY, SETTINGS
from leadglass.identity.authority import ISSUED
from leadglass.identity.files import (
    SECRET_MODE,
    is_draft_of,
    make_folder,
    read_file,
    replace_file,
    sync_directory,
)
from leadglass.model.errors import ConfigurationInvalid, IntegrityBroken, NotFound, StorageFailed
from leadglass.storage.copies import SegmentCopies, SegmentCopy
from leadglass.storage.ulid import is_ulid

MARKER, LOCK, SEGMENTS, SNAPSHOTS = "leadglass-backup.json", ".lock", "segments", "snapshots"
ABOUT, MANIFEST, INDEX, CHECKPOINTS, BUNDLE = (
    "about.json",
    "segments.json",
    "index.db",
    "audit.checkpoints",
    "sealed.bundle",
)
DIGESTED: Final = (MANIFEST, INDEX, CHECKPOINTS)  # what a restore needs; a backup digests ABOUT too
DIGESTS: Final = "digests.json"
FORMAT: Final = 1
PRIVATE_FOLDER: Final = 0o700
MAX_MANIFEST_BYTES: Final = 1 << 30

_DRAFT: Final = ".new"
_SITE_FILE: Final = re.compile(
    rf"{re.escape(SETTINGS)}|{re.escape(POLICY)}|{KEYS}/({ISSUED}/)?[A-Za-z0-9][A-Za-z0-9._-]*"
)


_T = TypeVar("_T")


class Marker(msgspec.Struct, frozen=True):
    """``site``: the SHA-256 of its CA's certificate."""

    format: int
    site: str


class About(msgspec.Struct, frozen=True):
    """One snapshot, for people. ``problems``: how many segments could not be copied as they are now."""

    id: str
    made_at: str
    name: str
    objects: int
    size_bytes: int
    problems: int


class BackupFolder:
    """One backup folder that exists."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.copies = SegmentCopies(path / SEGMENTS)

    @classmethod
    def open(cls, path: Path) -> BackupFolder:
        """A folder that backups were made to.

        Raises:
            ConfigurationInvalid: it is none, or a newer Leadglass made it.
        """
        _marker(path)
        return cls(path)

    @classmethod
    def of_site(cls, path: Path, site: str) -> BackupFolder:
        """The same for the site with this CA; a missing or empty folder becomes its backup.

        Raises:
            ConfigurationInvalid: it holds something else, another site's backup say, or cannot be used.
        """
        try:
            make_folder(path, PRIVATE_FOLDER)
            if not (path / MARKER).exists():
                _begin(path, site)
            if _marker(path).site != site:
                raise ConfigurationInvalid(f"{path} is the backup of another site: choose another folder")
            for name in (SEGMENTS, SNAPSHOTS):
                (path / name).mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
            sync_directory(path)
        except OSError as error:
            raise ConfigurationInvalid(f"cannot use {path}: {error.strerror}") from error
        return cls(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other backups out; what one that was broken off has left is cleared away.

        Raises:
            ConfigurationInvalid: another backup to this folder runs, or somebody reads it.
        """
        descriptor = os.open(self._path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, SECRET_MODE)
        try:
            self._lock(descriptor, fcntl.LOCK_EX)
            for draft in (self._path / SNAPSHOTS).glob(f"*{_DRAFT}"):
                shutil.rmtree(draft)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep backups out, which remove what no snapshot uses; others may read too.

        Raises:
            ConfigurationInvalid: a backup to this folder runs.
        """
        try:
            descriptor = os.open(self._path / LOCK, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # it was copied here without it, or none was ever begun
            yield
            return
        try:
            self._lock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int, how: int) -> None:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            what = f"another backup to {self._path}, or a restore from it, is under way"
            raise ConfigurationInvalid(what) from None

    def is_marked(self, site: str) -> bool:
        """Whether the marker is, byte for byte, that of a backup of the site with this CA."""
        return read_file(self._path / MARKER) == msgspec.json.encode(Marker(FORMAT, site))

    def names(self) -> list[str]:
        """The ids of all snapshots, oldest first.

        Raises:
            ConfigurationInvalid: the folder cannot be read.
        """
        try:
            return sorted(each.name for each in (self._path / SNAPSHOTS).iterdir() if is_ulid(each.name))
        except OSError as error:
            raise ConfigurationInvalid(f"cannot read {self._path}: {error.strerror}") from error

    def abouts(self) -> list[About]:
        """All snapshots, oldest first.

        Raises:
            IntegrityBroken: one cannot be read.
        """
        return [_decoded(self.file(name, ABOUT), About) for name in self.names()]

    def latest(self) -> str:
        """The newest snapshot's id.

        Raises:
            NotFound: there is none.
        """
        names = self.names()
        if not names:
            raise NotFound(f"{self._path} holds no snapshot: no backup to it was ever finished")
        return names[-1]

    def file(self, snapshot: str, name: str) -> Path:
        """One file of a snapshot.

        Raises:
            NotFound: there is no such snapshot.
        """
        if snapshot not in self.names():
            raise NotFound(f"{self._path} holds no snapshot {snapshot}: see 'leadglass restore --list'")
        return self._path / SNAPSHOTS / snapshot / name

    def manifest(self, snapshot: str) -> list[SegmentCopy]:
        """The segments of a snapshot. Raises as ``file``, and IntegrityBroken where it cannot be read."""
        return _decoded(self.file(snapshot, MANIFEST), list[SegmentCopy])

    @contextmanager
    def snapshot(self, name: str) -> Iterator[Path]:
        """A folder for the files of a new snapshot, each of them durable; it counts when the block ends well.

        Raises:
            StorageFailed: the disk refuses.
        """
        folder = self._path / SNAPSHOTS
        draft = folder / (name + _DRAFT)
        try:
            draft.mkdir(mode=PRIVATE_FOLDER)
            yield draft
            sync_directory(draft)
            draft.rename(folder / name)
            sync_directory(folder)
        except OSError as error:
            what = error.filename or self._path
            raise StorageFailed(f"cannot make the snapshot: {what}: {error.strerror or error}") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def prune(self, keep: int) -> tuple[int, int]:
        """Remove all snapshots but the ``keep`` newest, and what only they used; snapshots and bytes.

        Raises:
            IntegrityBroken: a snapshot that is kept cannot be read: nothing is removed.
            StorageFailed: the disk refuses.
        """
        names = self.names()
        kept = names[-keep:]
        used = [copy for name in kept for copy in self.manifest(name)]
        removed = names[: len(names) - len(kept)]
        if not removed:
            return 0, 0
        folder = self._path / SNAPSHOTS
        freed = 0
        try:
            for name in removed:
                draft = folder / (name + _DRAFT)
                (folder / name).rename(draft)  # no snapshot any more, and cleared away if we are killed
                sync_directory(folder)
                freed += sum(each.stat().st_size for each in draft.iterdir())
                shutil.rmtree(draft)
        except OSError as error:
            raise StorageFailed(f"cannot remove a snapshot: {error.strerror}") from error
        return len(removed), freed + self.copies.keep_only(used)


def is_site_file(name: str) -> bool:
    """Whether a bundle holds a file of this name in the site's folder; backup and restore ask alike."""
    return _SITE_FILE.fullmatch(name) is not None


def write_json(path: Path, value: object) -> None:
    """A new file of a snapshot, durably."""
    replace_file(path, msgspec.json.encode(value), SECRET_MODE)


def _begin(path: Path, site: str) -> None:
    """Make a backup folder of one that holds nothing, or what was left when that was broken off before."""
    if any(each.name != "lost+found" and not is_draft_of(each, MARKER) for each in path.iterdir()):
        raise ConfigurationInvalid(f"{path} holds other files: give the backup a folder of its own")
    sync_directory(path.parent)  # whoever made it may have been killed before that
    replace_file(path / MARKER, msgspec.json.encode(Marker(FORMAT, site)), SECRET_MODE)


def _marker(path: Path) -> Marker:
    try:
        marker = msgspec.json.decode(read_file(path / MARKER), type=Marker)
    except ConfigurationInvalid:
        raise ConfigurationInvalid(f"{path} is no backup of Leadglass: it has no {MARKER}") from None
    except msgspec.MsgspecError:
        raise ConfigurationInvalid(f"{path / MARKER} is damaged") from None
    if marker.format != FORMAT:
        raise ConfigurationInvalid(f"{path} is of format {marker.format}: use a newer Leadglass")
    return marker


def _decoded(path: Path, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(read_file(path, MAX_MANIFEST_BYTES), type=kind)
    except (ConfigurationInvalid, msgspec.MsgspecError) as error:
        raise IntegrityBroken(f"{path} is missing or damaged") from error
