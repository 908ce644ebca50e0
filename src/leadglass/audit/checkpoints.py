"""Signed checkpoints: the end of the chain at a moment, said where the database cannot unsay it.

One line of text each, in a file beside the database::

    1 <seq> <microseconds since 1970> <hash, hex> <signature, hex> <node>

Copy the file off the host now and then: whoever can write both it and the database, and has the key,
can write another history up to the last copy, and no further.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from leadglass.audit.signing import Signer
from leadglass.model.errors import AuditFailed, IntegrityBroken

_FORMAT: Final = "1"
_FIELDS: Final = 6
MAX_LINE_BYTES: Final = 1_024


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The chain ended with line ``seq`` and this hash."""

    seq: int
    time_us: int
    node: str
    hash: bytes
    signature: bytes

    @property
    def message(self) -> bytes:
        """What is signed: the line without its signature."""
        return _message(self.seq, self.time_us, self.node, self.hash)

    @property
    def line(self) -> str:
        """The line of the file, with its end."""
        return f"{_FORMAT} {self.seq} {self.time_us} {self.hash.hex()} {self.signature.hex()} {self.node}\n"

    def verifies(self, public_key: Ed25519PublicKey) -> bool:
        """Whether the signature is good."""
        try:
            public_key.verify(self.signature, self.message)
        except InvalidSignature:
            return False
        return True


def sign_checkpoint(signer: Signer, seq: int, time_us: int, node: str, chain_hash: bytes) -> Checkpoint:
    """A checkpoint of the chain's end."""
    signature = signer.sign(_message(seq, time_us, node, chain_hash))
    return Checkpoint(seq, time_us, node, chain_hash, signature)


def append_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Add a line, durably, in one write; the file is made with mode 0600.

    Raises:
        AuditFailed: the file cannot be written.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        is_new = not path.exists()
        descriptor = os.open(path, flags, 0o600)
        try:
            _append_line(descriptor, checkpoint.line.encode())
        finally:
            os.close(descriptor)
        if is_new:
            _sync_directory(path.parent)
    except OSError as error:
        raise AuditFailed(f"cannot write {path}: {error.strerror}") from error


def _append_line(descriptor: int, line: bytes) -> None:
    """All of the line or none of it; after one that a crash cut short, begin a new one."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        line = b"\n" + line
    if os.write(descriptor, line) != len(line):
        os.ftruncate(descriptor, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(descriptor)


def read_checkpoints(path: Path) -> Iterator[Checkpoint | None]:
    """Each line of the file, ``None`` for one that cannot be read; nothing if there is no file.

    Raises:
        IntegrityBroken: the file cannot be read at all.
    """
    return (_parse(line) for line in _lines(path))


def lines_up_to(path: Path, seq: int) -> bytes:
    """The file without what was signed after line ``seq`` of the trail; what cannot be read stays as it is.

    Raises:
        IntegrityBroken: the file cannot be read at all.
    """
    kept = []
    for line in _lines(path):
        checkpoint = _parse(line)
        if checkpoint is None or checkpoint.seq <= seq:
            kept.append(line)
    return b"".join(kept)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES):
                yield line
    except FileNotFoundError:
        return
    except OSError as error:
        raise IntegrityBroken(f"cannot read {path}: {error.strerror}") from error


def _message(seq: int, time_us: int, node: str, chain_hash: bytes) -> bytes:
    return f"leadglass-audit-checkpoint {_FORMAT} {seq} {time_us} {chain_hash.hex()} {node}".encode()


def _parse(line: bytes) -> Checkpoint | None:
    try:
        fields = line.decode("utf-8").rstrip("\n").split(" ", _FIELDS - 1)
        version, seq, time_us, chain_hash, signature, node = fields
        if version != _FORMAT:
            return None
        return Checkpoint(int(seq), int(time_us), node, bytes.fromhex(chain_hash), bytes.fromhex(signature))
    except ValueError:  # UnicodeDecodeError is one
        return None


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
