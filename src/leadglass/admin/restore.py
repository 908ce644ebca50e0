"""``restore``: a site from a snapshot, into a folder where there is none."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import tomlkit

from leadglass.admin.occupancy import alone_in, restoring_folder
from leadglass.admin.site import CHECKPOINTS as SITE_CHECKPOINTS
from leadglass.admin.site import INDEX as SITE_INDEX
from leadglass.admin.site import KEYS, POLICY, PRIVATE_FOLDER, SETTINGS, refuse_to_overwrite
from leadglass.admin.snapshots import (
    BUNDLE,
    CHECKPOINTS,
    DIGESTED,
    DIGESTS,
    INDEX,
    BackupFolder,
    is_site_file,
    write_json,
)
from leadglass.identity.authority import ISSUED
from leadglass.identity.bundle import MAX_BUNDLE_BYTES, open_bundle
from leadglass.identity.files import (
    PUBLIC_MODE,
    SECRET_MODE,
    is_draft_of,
    make_folder,
    read_file,
    sync_directory,
    write_new,
)
from leadglass.model.errors import ConfigurationInvalid, IntegrityBroken, SiteExists, StorageFailed
from leadglass.sitefile import StorageSettings, read_settings
from leadglass.storage.copies import SegmentCopies, SegmentCopy
from leadglass.storage.directory import SEGMENT

RESERVE_BYTES: Final = 64 << 20
PROBLEMS_TOLD: Final = 100
BLOCK_BYTES: Final = 4 << 20

Progress = Callable[[str, int, int], None]
"""Told what is being copied, how many bytes of it are done, and of how many."""

_STATE: Final = "restoring.json"


class _Restoring(msgspec.Struct, frozen=True):
    snapshot: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back. ``problems``, the first hundred: what of the backup is damaged or missing."""

    snapshot: str
    segments: int
    size_bytes: int
    problem_count: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenSnapshot:
    """A snapshot whose bundle the passphrase has opened, and whose files are those that it vouches for."""

    name: str
    files: Mapping[str, bytes]
    manifest: tuple[SegmentCopy, ...]
    index: Path
    checkpoints: bytes

    @property
    def segment_bytes(self) -> int:
        """How much room the segments will take."""
        return sum(copy.body_bytes for copy in self.manifest)

    @property
    def size_bytes(self) -> int:
        """How much room the site will take."""
        return self.index.stat().st_size + self.segment_bytes


def open_snapshot(backup: BackupFolder, name: str, passphrase: bytes) -> OpenSnapshot:
    """Open a snapshot, and compare its files with what the bundle says of them.

    Raises:
        NotFound: there is no such snapshot.
        KeyUnavailable: the passphrase is wrong, or the bundle was changed.
        IntegrityBroken: a file of the snapshot is not what it was.
    """
    files, digests = open_files(backup, name, passphrase)
    for each in DIGESTED:
        require_as_written(backup.file(name, each), digests.get(each, ""))
    wrong = [path for path in files if not is_site_file(path)]
    if wrong:
        raise ConfigurationInvalid(f"the snapshot holds {wrong[0]!r}, which is no file of a site")
    return OpenSnapshot(
        name,
        files,
        tuple(backup.manifest(name)),
        backup.file(name, INDEX),
        backup.file(name, CHECKPOINTS).read_bytes(),
    )


def open_files(
    backup: BackupFolder, name: str, passphrase: bytes
) -> tuple[Mapping[str, bytes], Mapping[str, str]]:
    """What a snapshot's bundle holds: the site's small files, and the digests of the snapshot's own.

    Raises:
        NotFound, KeyUnavailable: as ``open_snapshot``.
        ConfigurationInvalid: it is missing, or no bundle.
    """
    files = open_bundle(read_file(backup.file(name, BUNDLE), MAX_BUNDLE_BYTES), passphrase)
    digests = msgspec.json.decode(files.pop(DIGESTS, b"{}"), type=dict[str, str])
    return files, digests


def require_as_written(path: Path, sha256: str) -> None:
    """Let pass only a file with this digest.

    Raises:
        IntegrityBroken: it has another, or cannot be read.
    """
    if _sha256(path) != sha256:
        raise IntegrityBroken(f"{path} is not what the backup wrote: try an earlier snapshot")


def read_through(snapshot: OpenSnapshot, copies: SegmentCopies, progress: Progress) -> Restored:
    """Read all of a snapshot, and write nothing: what a restore would bring back, and what is damaged."""
    problems: list[str] = []
    done, total = 0, snapshot.segment_bytes
    for copy in snapshot.manifest:
        try:
            for block in copies.read(copy, problems.append):
                done += len(block)
                progress("segments", done, total)
        except IntegrityBroken as error:
            problems.append(str(error))
    return _restored(snapshot, problems)


def restore_site(snapshot: OpenSnapshot, copies: SegmentCopies, home: Path, progress: Progress) -> Restored:
    """Make the site's folder as it was. What of the backup is damaged is restored as it is, and told.

    It is built beside ``home`` and renamed into place. Broken off, it goes on where it was when it is begun
    again with the same snapshot. There is no gate before there is a site, so this use case takes no permit;
    whoever has the passphrase may.

    Raises:
        SiteExists: there is a site; nothing of it is touched.
        SiteInUse: another restore to it is under way, or a command is still in the folder.
        ConfigurationInvalid: the folder is not empty, or another restore was begun for it.
        StorageFailed: the disk refuses, or has no room.
    """
    home = home.resolve()
    refuse_to_overwrite(home)
    draft = restoring_folder(home)
    try:
        make_folder(draft, PRIVATE_FOLDER)
        with ExitStack() as alone:
            for folder in (home, draft) if home.exists() else (draft,):
                alone.enter_context(alone_in(folder))
            refuse_to_overwrite(home)  # by whoever was faster, before we were alone
            problems = _build(draft, snapshot, copies, progress)
            _put_in_place(draft, home)
            (home / _STATE).unlink()
    except OSError as error:
        raise StorageFailed(f"cannot restore to {home}: {error.strerror or error}") from error
    return _restored(snapshot, problems)


def _build(draft: Path, snapshot: OpenSnapshot, copies: SegmentCopies, progress: Progress) -> list[str]:
    """All of the site, durably; what of the backup is damaged."""
    _begin(draft, snapshot)
    settings, segments = _settings(snapshot)
    _require_room(draft, snapshot)
    _put_files(draft, {**snapshot.files, SETTINGS: settings})
    make_folder(draft / segments, PRIVATE_FOLDER)
    problems = _put_segments(draft / segments, snapshot, copies, progress)
    _copy(snapshot.index, draft / SITE_INDEX)
    write_new(draft / SITE_CHECKPOINTS, snapshot.checkpoints, SECRET_MODE)
    sync_directory(draft)
    return problems


def _begin(draft: Path, snapshot: OpenSnapshot) -> None:
    """One that was begun for the same snapshot keeps its segments and nothing else."""
    begun = _Restoring(snapshot.name)
    for each in draft.iterdir():
        if is_draft_of(each, _STATE):  # of one that was killed at its first step
            each.unlink()
    if any(draft.iterdir()) and _begun(draft) != begun:
        raise ConfigurationInvalid(f"{draft} is of a restore of another snapshot: remove it first")
    for name in (KEYS, SETTINGS, POLICY, SITE_INDEX, SITE_CHECKPOINTS):
        path = draft / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    write_json(draft / _STATE, begun)


def _begun(draft: Path) -> _Restoring | None:
    try:
        return msgspec.json.decode((draft / _STATE).read_bytes(), type=_Restoring)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError:
        raise ConfigurationInvalid(f"{draft / _STATE} is damaged: remove {draft}") from None


def _settings(snapshot: OpenSnapshot) -> tuple[bytes, Path]:
    """The settings, and the folder of segments in the site's: where it was elsewhere, it is here now."""
    text = snapshot.files[SETTINGS].decode()
    wanted = Path(read_settings(text, path=SETTINGS).storage.segments)
    if not wanted.is_absolute() and ".." not in wanted.parts:
        return text.encode(), wanted
    document = tomlkit.parse(text)
    document["storage"]["segments"] = StorageSettings().segments
    return tomlkit.dumps(document).encode(), Path(StorageSettings().segments)


def _require_room(draft: Path, snapshot: OpenSnapshot) -> None:
    facts = os.statvfs(draft)
    there = sum(path.stat().st_size for path in draft.rglob("*") if path.is_file())
    needed = snapshot.size_bytes - there + RESERVE_BYTES
    free = facts.f_bavail * facts.f_frsize
    if free < needed:
        raise StorageFailed(f"{needed >> 20} MiB are needed at {draft.parent}, and {free >> 20} are free")


def _put_files(draft: Path, files: Mapping[str, bytes]) -> None:
    (draft / KEYS / ISSUED).mkdir(mode=PRIVATE_FOLDER, parents=True)
    (draft / KEYS).chmod(PRIVATE_FOLDER)
    for name, content in files.items():
        write_new(draft / name, content, PUBLIC_MODE if name.endswith(".pem") else SECRET_MODE)


def _put_segments(
    folder: Path, snapshot: OpenSnapshot, copies: SegmentCopies, progress: Progress
) -> list[str]:
    problems: list[str] = []
    done, total = 0, snapshot.segment_bytes
    for copy in snapshot.manifest:
        path = folder / f"{copy.segment}{SEGMENT}"
        lengths = [copy.body_bytes] if path.exists() else _put_segment(path, copy, copies, problems.append)
        for length in lengths:
            done += length
            progress("segments", done, total)
    sync_directory(folder)
    return problems


def _put_segment(
    path: Path, copy: SegmentCopy, copies: SegmentCopies, damaged: Callable[[str], None]
) -> Iterator[int]:
    """Under its name when it is on the disk; of a damaged one, all that can be read. Lengths written."""
    draft = path.with_suffix(".restoring")
    with _new_file(draft) as file:
        try:
            for block in copies.read(copy, damaged):
                yield file.write(block)
        except IntegrityBroken as error:
            damaged(str(error))
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as from_file, _new_file(target) as to_file:
        shutil.copyfileobj(from_file, to_file, BLOCK_BYTES)
        to_file.flush()
        os.fsync(to_file.fileno())


def _new_file(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, SECRET_MODE), "wb")


def _put_in_place(draft: Path, home: Path) -> None:
    try:
        draft.rename(home)  # also over an empty folder, and over nothing else
    except OSError as error:
        raise SiteExists(f"{home} was filled by somebody else meanwhile: {error.strerror}") from error
    sync_directory(home.parent)


def _restored(snapshot: OpenSnapshot, problems: list[str]) -> Restored:
    told = tuple(problems[:PROBLEMS_TOLD])
    return Restored(snapshot.name, len(snapshot.manifest), snapshot.size_bytes, len(problems), told)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise IntegrityBroken(f"{path} cannot be read: {error.strerror}") from error
