"""The key that signs the trail's checkpoints: Ed25519, in a file of mode 0600."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from leadglass.model.errors import KeyUnavailable, SiteExists


class Signer:
    """Signs. The key never leaves it, and its repr says nothing of it."""

    __slots__ = ("_key",)

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def sign(self, message: bytes) -> bytes:
        """64 bytes. RFC 8032."""
        return self._key.sign(message)

    @property
    def public_key(self) -> Ed25519PublicKey:
        """What verifies."""
        return self._key.public_key()


def create_signer(path: Path) -> Signer:
    """Make a key and write it, durably, to a new file of mode 0600.

    Raises:
        SiteExists: there is such a file.
        KeyUnavailable: it cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise SiteExists(f"{path} exists: an audit key is never replaced") from error
    except OSError as error:
        raise KeyUnavailable(f"cannot write {path}: {error.strerror}") from error
    return Signer(key)


def open_signer(path: Path) -> Signer:
    """Read the key.

    Raises:
        KeyUnavailable: missing, readable by others, or not an Ed25519 key.
    """
    try:
        with path.open("rb") as file:
            others = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077
            pem = file.read()
    except OSError as error:
        raise KeyUnavailable(f"cannot read {path}: {error.strerror}") from error
    if others:
        raise KeyUnavailable(f"{path} may be read by others: chmod 600 it")
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise KeyUnavailable(f"{path} is not a private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnavailable(f"{path} is not an Ed25519 key")
    return Signer(key)
