"""What a backup keeps of a segment's copy beside it: a line of JSON, and a line with the SHA-256 of that."""

from __future__ import annotations

import hashlib

import msgspec

from leadglass.model.errors import IntegrityBroken


class Stretch(msgspec.Struct, frozen=True):
    """A piece of a body, from the end of the one before to ``end``; no digest where that is not known."""

    end: int
    sha256: str


class CopyState(msgspec.Struct, frozen=True):
    """``seen``: length and time of the segment's file when its headers were read."""

    stretches: tuple[Stretch, ...] = ()
    headers: str = ""
    seen: tuple[int, int] = (0, 0)

    @property
    def end(self) -> int:
        """How much of the segment is in the body."""
        return self.stretches[-1].end if self.stretches else 0


def encode_state(state: CopyState) -> bytes:
    """Both lines."""
    line = msgspec.json.encode(state)
    return b"%b\n%b\n" % (line, _digest(line))


def decode_state(raw: bytes) -> CopyState:
    """Read what ``encode_state`` wrote, or what was written before there was a second line.

    Raises:
        IntegrityBroken: it is damaged.
    """
    line, newline, digest = raw.partition(b"\n")
    if newline and digest != _digest(line) + b"\n":
        raise IntegrityBroken("its two lines do not belong together")
    try:
        return msgspec.json.decode(line, type=CopyState)
    except msgspec.MsgspecError as error:
        raise IntegrityBroken("it cannot be read") from error


def _digest(line: bytes) -> bytes:
    return hashlib.sha256(line).hexdigest().encode()
