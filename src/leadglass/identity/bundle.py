"""A recovery bundle: the keys of a site in one file, sealed with a passphrase.

::

    magic "LGKB" · version u16 · scrypt n (log2) u8, r u8, p u8 · salt 16 · nonce 12
    AES-256-GCM of a JSON map, file name to base64, with all before as additional data

The key is scrypt (RFC 7914) of the passphrase. With the parameters used here a guess costs 128 MiB and
about half a second, so a passphrase of six random words stands for good.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from leadglass.model.errors import ConfigurationInvalid, KeyUnavailable

MIN_PASSPHRASE_BYTES: Final = 12
MAX_BUNDLE_BYTES: Final = 16 << 20  # a site's certificates, ten thousand of them
LOG2_N: Final = 17

_MAGIC: Final = b"LGKB"
_VERSION: Final = 1
_HEAD: Final = struct.Struct(">4sHBBB16s12s")
_R, _P = 8, 1
_MAX_LOG2_N, _MAX_R, _MAX_P = 20, 16, 4  # a hostile file must not take all memory


def seal_bundle(
    files: Mapping[str, bytes],
    passphrase: bytes,
    random_bytes: Callable[[int], bytes],
    *,
    log2_n: int = LOG2_N,
) -> bytes:
    """The files, sealed.

    Raises:
        ConfigurationInvalid: the passphrase is too short to protect anything.
    """
    require_strong(passphrase)
    salt, nonce = random_bytes(16), random_bytes(12)
    head = _HEAD.pack(_MAGIC, _VERSION, log2_n, _R, _P, salt, nonce)
    plain = msgspec.json.encode(dict(files))
    return head + AESGCM(_derive(passphrase, salt, log2_n, _R, _P)).encrypt(nonce, plain, head)


def require_strong(passphrase: bytes) -> None:
    """Let pass only a passphrase that can protect something. Raises as ``seal_bundle``."""
    if len(passphrase) < MIN_PASSPHRASE_BYTES:
        raise ConfigurationInvalid(
            f"the passphrase must have at least {MIN_PASSPHRASE_BYTES} bytes; six random words are good"
        )


def open_bundle(sealed: bytes, passphrase: bytes) -> dict[str, bytes]:
    """The files back.

    Raises:
        ConfigurationInvalid: not a bundle, or one that asks for too much memory.
        KeyUnavailable: the passphrase is wrong, or the bundle was changed.
    """
    if len(sealed) < _HEAD.size or len(sealed) > MAX_BUNDLE_BYTES or sealed[:4] != _MAGIC:
        raise ConfigurationInvalid("this is no recovery bundle of Leadglass")
    _, version, log2_n, r, p, salt, nonce = _HEAD.unpack_from(sealed)
    if version != _VERSION:
        raise ConfigurationInvalid(f"a recovery bundle of version {version}: use a newer Leadglass")
    if not (1 <= log2_n <= _MAX_LOG2_N and 1 <= r <= _MAX_R and 1 <= p <= _MAX_P):
        raise ConfigurationInvalid("the recovery bundle asks for more memory than any of ours")
    head, body = sealed[: _HEAD.size], sealed[_HEAD.size :]
    try:
        plain = AESGCM(_derive(passphrase, salt, log2_n, r, p)).decrypt(nonce, body, head)
        return msgspec.json.decode(plain, type=dict[str, bytes])
    except InvalidTag:
        raise KeyUnavailable("the passphrase is wrong, or the bundle was changed") from None
    except msgspec.MsgspecError:
        raise ConfigurationInvalid("the recovery bundle does not hold what it should") from None


def _derive(passphrase: bytes, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=1 << log2_n, r=r, p=p).derive(passphrase)
