"""Site keys: what wraps the data key of every sealed object. Where they come from is a Protocol.

A key's id is a digest of its secret, so a damaged key file is found when it is read, and never
mistaken for damaged images.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from leadglass.model.errors import ConfigurationInvalid, KeyUnavailable, LocalProtocolError, StorageFailed

KEY_ID_BYTES = 16
SECRET_BYTES = 32  # AES-256

_CURRENT = "site-current"
_CURRENT_DRAFT = "site-current.new"
_KEY_FILE = re.compile(r"site-([0-9a-f]{32})\.key")
_KEY_ID_HEX = re.compile(rb"[0-9a-f]{32}\n?")
_OTHERS = 0o077
_OTHERS_WRITE = 0o022
# O_NONBLOCK: opening a FIFO somebody put there must not hang.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class SiteKey:
    """A key-encrypting key. ``key_id`` is public, 16 bytes; ``secret`` is 32 bytes and never shown."""

    key_id: bytes
    secret: bytes = field(repr=False, compare=False)

    @classmethod
    def from_secret(cls, secret: bytes) -> SiteKey:
        """The key of 32 random bytes, with its id."""
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"a site key has {SECRET_BYTES} bytes, not {len(secret)}")
        digest = hashlib.sha256(b"leadglass site key id\0" + secret).digest()
        return cls(digest[:KEY_ID_BYTES], secret)


class KeyProvider(Protocol):
    """Where site keys come from. Safe to call from any thread."""

    def current(self) -> SiteKey:
        """The key that seals new objects.

        Raises:
            KeyUnavailable: there is none.
        """

    def find(self, key_id: bytes) -> SiteKey:
        """The key that sealed an older object.

        Raises:
            KeyUnavailable: it is not here.
        """


class MemoryKeyProvider:
    """Keys that live and die with the process: for tests. The last one given is current."""

    def __init__(self, keys: Iterable[SiteKey]) -> None:
        self._keys = {key.key_id: key for key in keys}

    def current(self) -> SiteKey:
        """As ``KeyProvider.current``."""
        if not self._keys:
            raise KeyUnavailable("there is no site key")
        return next(reversed(self._keys.values()))

    def find(self, key_id: bytes) -> SiteKey:
        """As ``KeyProvider.find``."""
        try:
            return self._keys[key_id]
        except KeyError:
            raise KeyUnavailable(f"site key {key_id.hex()} is not here") from None


class FileKeyProvider:
    """Site keys as files: ``site-<hex id>.key``, 32 raw bytes each, and the pointer ``site-current``.

    The current key is read at construction and kept, so that losing the folder later stops no
    store; older keys are read when first asked for. A new pointer takes effect with ``refresh``.

    Raises:
        ConfigurationInvalid: a file is missing, damaged, a link, or open to others; says what to do.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        _refuse_shared_directory(directory)
        key_id = self._pointer()
        self._current = _load(_key_path(directory, key_id), key_id)
        self._keys = {key_id: self._current}

    def refresh(self) -> bool:
        """Take up the key that another process has made current; whether there was another.

        Raises:
            ConfigurationInvalid: as the constructor; the key that was current stays so.
        """
        key_id = self._pointer()
        if key_id == self._current.key_id:
            return False
        self._current = self.find(key_id)
        return True

    def renew(self, random_bytes: Callable[[int], bytes]) -> SiteKey:
        """Make another key, durably, and make it the current one.

        Raises:
            StorageFailed: it could not be written; the old one stays current.
        """
        try:
            key = _write_key(self._directory, random_bytes)
            _point_to(self._directory, key)
        except OSError as error:
            reason = f"cannot make a key in {self._directory}: {error.strerror or error}"
            raise StorageFailed(reason) from error
        self._keys[key.key_id] = key
        self._current = key
        return key

    def older(self) -> list[bytes]:
        """The ids of all keys here but the current one."""
        names = (path.name for path in self._directory.glob("site-*.key"))
        ids = (bytes.fromhex(found[1]) for name in names if (found := _KEY_FILE.fullmatch(name)))
        return sorted(key_id for key_id in ids if key_id != self._current.key_id)

    def destroy(self, key_id: bytes) -> None:
        """Overwrite and remove a key that no record needs any more.

        Raises:
            LocalProtocolError: it is the current one.
            StorageFailed: it could not be removed durably.
        """
        if key_id == self._current.key_id:
            raise LocalProtocolError("the current key is not destroyed")
        path = _key_path(self._directory, key_id)
        self._keys.pop(key_id, None)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.pwrite(descriptor, bytes(SECRET_BYTES), 0)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            path.unlink()
            _sync_directory(self._directory)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageFailed(f"cannot destroy {path}: {error.strerror or error}") from error

    def _pointer(self) -> bytes:
        """The id of the key that is current on disk."""
        pointer = self._directory / _CURRENT
        text = _read_private(pointer)
        if not _KEY_ID_HEX.fullmatch(text):
            raise ConfigurationInvalid(f"{pointer} does not name a key: restore it from the backup")
        return bytes.fromhex(text.decode("ascii"))

    @classmethod
    def create(cls, directory: Path, random_bytes: Callable[[int], bytes]) -> FileKeyProvider:
        """Make the first key of a site, durably. The folder is made, 0700, if it is missing.

        Raises:
            ConfigurationInvalid: the site has a key already; it is left alone.
            StorageFailed: the key could not be written.
        """
        pointer = directory / _CURRENT
        if os.path.lexists(pointer):
            raise ConfigurationInvalid(f"{pointer} exists: this site has a key, and it is not replaced")
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_directory(directory.parent)
            _refuse_shared_directory(directory)
            _point_to(directory, _write_key(directory, random_bytes))
        except OSError as error:
            raise StorageFailed(f"cannot make a key in {directory}: {error.strerror or error}") from error
        return cls(directory)

    def current(self) -> SiteKey:
        """As ``KeyProvider.current``."""
        return self._current

    def find(self, key_id: bytes) -> SiteKey:
        """As ``KeyProvider.find``.

        Raises:
            ConfigurationInvalid: the key's file is there but damaged, a link, or open to others.
        """
        known = self._keys.get(key_id)
        if known is not None:
            return known
        path = _key_path(self._directory, key_id)
        if not os.path.lexists(path):
            raise KeyUnavailable(f"site key {key_id.hex()} is not here: restore {path} from the backup")
        key = _load(path, key_id)
        self._keys[key_id] = key
        return key


def _write_key(directory: Path, random_bytes: Callable[[int], bytes]) -> SiteKey:
    key = SiteKey.from_secret(random_bytes(SECRET_BYTES))
    _write_private(_key_path(directory, key.key_id), key.secret)
    _sync_directory(directory)
    return key


def _point_to(directory: Path, key: SiteKey) -> None:
    """The pointer changes whole or not at all; a crash before leaves an unused key, no harm."""
    draft = directory / _CURRENT_DRAFT
    draft.unlink(missing_ok=True)
    _write_private(draft, key.key_id.hex().encode("ascii") + b"\n")
    draft.replace(directory / _CURRENT)
    _sync_directory(directory)


def _key_path(directory: Path, key_id: bytes) -> Path:
    return directory / f"site-{key_id.hex()}.key"


def _load(path: Path, key_id: bytes) -> SiteKey:
    secret = _read_private(path)
    if len(secret) == SECRET_BYTES:
        key = SiteKey.from_secret(secret)
        if key.key_id == key_id:
            return key
    raise ConfigurationInvalid(f"{path} is damaged: restore it from the backup")


def _read_private(path: Path) -> bytes:
    """A small file only its owner can touch."""
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        why = "it is a symbolic link" if path.is_symlink() else error.strerror
        raise ConfigurationInvalid(f"{path} cannot be read: {why}") from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ConfigurationInvalid(f"{path} is not a regular file")
        if facts.st_mode & _OTHERS:
            mode = stat.S_IMODE(facts.st_mode)
            raise ConfigurationInvalid(
                f"{path} is open to others (mode {mode:04o}): run 'chmod 600 {path}', "
                "and consider whether somebody has copied it"
            )
        return os.read(descriptor, 4096)
    except OSError as error:
        raise ConfigurationInvalid(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _refuse_shared_directory(directory: Path) -> None:
    try:
        mode = directory.stat().st_mode
    except OSError as error:
        raise ConfigurationInvalid(f"{directory} cannot be read: {error.strerror}") from error
    if mode & _OTHERS_WRITE:
        raise ConfigurationInvalid(f"{directory} can be written by others: run 'chmod 700 {directory}'")


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, _CREATE, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # the umask may have taken more than others' bits
        written = os.write(descriptor, content)
        if written != len(content):
            raise OSError(f"wrote {written} of {len(content)} bytes to {path}")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
