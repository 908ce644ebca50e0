"""Bounded inflation of deflated data sets. PS3.5 §A.5: raw deflate, RFC 1951."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from leadglass.model.errors import DatasetInvalid, LimitExceeded

MEBIBYTE: Final = 1024 * 1024

_IN_BYTES: Final = 16 * 1024
_OUT_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class InflateLimits:
    """Security limits.

    The ratio counts only past ``ratio_floor_bytes``: a short blank text deflates well without being
    a bomb.
    """

    max_bytes: int = 512 * MEBIBYTE
    max_ratio: int = 200
    ratio_floor_bytes: int = MEBIBYTE


DEFAULT_INFLATE_LIMITS: Final = InflateLimits()


class Rest(Enum):
    """What lies behind the inflated bytes."""

    NOTHING = "the stream ended"
    MORE = "there is more to inflate"
    CUT = "the bytes given end before the stream does"


@dataclass(frozen=True, slots=True)
class Inflated:
    """The leading bytes of a data set, and whether there are more."""

    data: bytes
    rest: Rest


def inflate(parts: Sequence[bytes | memoryview], limits: InflateLimits, at_most_bytes: int) -> Inflated:
    """Inflate no more than ``at_most_bytes``.

    Raises:
        DatasetInvalid: not a deflate stream.
        LimitExceeded: larger, or blown up more, than the limits allow.
    """
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    out = bytearray()
    consumed_bytes = 0
    for part in parts:
        whole = memoryview(part)
        for start in range(0, len(whole), _IN_BYTES):
            pending: bytes | memoryview = whole[start : start + _IN_BYTES]
            consumed_bytes += len(pending)
            while True:
                # One byte more than wanted tells "exactly all" from "there is more".
                room = min(_OUT_BYTES, at_most_bytes + 1 - len(out))
                chunk = _step(engine, pending, room)
                out += chunk
                _check(len(out), consumed_bytes, limits)
                if len(out) > at_most_bytes:
                    return Inflated(bytes(out[:at_most_bytes]), Rest.MORE)
                if engine.eof:
                    return Inflated(bytes(out), Rest.NOTHING)
                pending = engine.unconsumed_tail
                if not pending and len(chunk) < room:
                    break
    return Inflated(bytes(out), Rest.CUT)


def inflate_chunks(chunks: Iterable[bytes], limits: InflateLimits) -> Iterator[bytes]:
    """Inflate a whole stream as it comes, a piece at a time.

    Raises:
        DatasetInvalid: not a deflate stream, or it is cut short.
        LimitExceeded: larger, or blown up more, than the limits allow.
    """
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    out_bytes = consumed_bytes = 0
    for chunk in chunks:
        for start in range(0, len(chunk), _IN_BYTES):
            pending = chunk[start : start + _IN_BYTES]
            consumed_bytes += len(pending)
            while not engine.eof:
                out = _step(engine, pending, _OUT_BYTES)
                out_bytes += len(out)
                _check(out_bytes, consumed_bytes, limits)
                yield out
                pending = engine.unconsumed_tail
                if not pending and len(out) < _OUT_BYTES:
                    break
    if not engine.eof:
        raise DatasetInvalid("the deflated data set is cut short")


def _step(engine: zlib._Decompress, pending: bytes | memoryview, room: int) -> bytes:
    try:
        return engine.decompress(pending, room)
    except zlib.error as error:
        raise DatasetInvalid("not a deflated data set") from error


def _check(out_bytes: int, consumed_bytes: int, limits: InflateLimits) -> None:
    if out_bytes > limits.max_bytes:
        raise LimitExceeded(f"inflates past {limits.max_bytes} bytes")
    if out_bytes > limits.ratio_floor_bytes and out_bytes > consumed_bytes * limits.max_ratio:
        raise LimitExceeded(f"inflates more than {limits.max_ratio} times")
