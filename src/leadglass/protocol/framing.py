"""Where one PDU ends and the next begins. PS3.8 §9.3.1: 6-byte header, then as many bytes as it says.

A header is judged before a byte of the body is kept, so a hostile length costs its sender a connection
and us six bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from leadglass.protocol.codec import PDU_HEADER, PDU_HEADER_BYTES
from leadglass.protocol.pdu import PduType

_NOTHING = memoryview(b"")


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole PDU. ``body`` is a read-only view that stays valid: nobody writes to its bytes again."""

    pdu_type: PduType
    body: memoryview


class PduReader:
    """Cuts a byte stream into PDUs, in any chunking.

    A PDU that lies whole within one ``bytes`` chunk is handed out as a view of it; anything else is
    copied once, into a buffer that grows with what was received and never with what was announced.
    """

    __slots__ = ("_chunk", "_gathered", "_pdu_type", "_position", "_stable", "_wanted")

    def __init__(self) -> None:
        self._chunk = _NOTHING
        self._position = 0
        self._stable = True
        self._gathered = bytearray()
        self._wanted = PDU_HEADER_BYTES
        self._pdu_type = PduType.ABORT  # of the PDU being gathered, once its header is whole

    @property
    def is_inside_pdu(self) -> bool:
        """Whether the beginning of a PDU was received and its end was not."""
        return bool(self._gathered)

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take a chunk. It must be drained with ``next_frame`` before the next one."""
        self._chunk = memoryview(chunk).cast("B")
        self._position = 0
        self._stable = isinstance(chunk, bytes)

    def drop(self) -> None:
        """Forget everything: the stream is broken or over."""
        self.feed(b"")
        self._start_over()

    def next_frame(self, judge_header: Callable[[int, int], PduType]) -> Frame | None:
        """The next whole PDU, or ``None`` when the chunk is used up.

        ``judge_header(type_byte, length)`` is called once a PDU, before its body is kept, and names its
        type; what it raises passes through, and the reader must then be dropped.
        """
        if not self._gathered and self._stable:
            frame = self._whole_frame(judge_header)
            if frame is not None:
                return frame
        while self._position < len(self._chunk):
            missing = self._wanted - len(self._gathered)
            taken = self._chunk[self._position : self._position + missing]
            self._gathered += taken
            self._position += len(taken)
            if len(taken) < missing:
                break
            if self._wanted == PDU_HEADER_BYTES:
                type_byte, length = PDU_HEADER.unpack(self._gathered)
                self._pdu_type = judge_header(type_byte, length)
                self._wanted += length
            if len(self._gathered) == self._wanted:
                body = memoryview(self._gathered).toreadonly()[PDU_HEADER_BYTES:]
                frame = Frame(self._pdu_type, body)
                self._start_over()
                return frame
        self._chunk = _NOTHING
        self._position = 0
        return None

    def _whole_frame(self, judge_header: Callable[[int, int], PduType]) -> Frame | None:
        """The fast path: a PDU whole within the chunk, without a copy."""
        start = self._position + PDU_HEADER_BYTES
        if start > len(self._chunk):
            return None
        type_byte, length = PDU_HEADER.unpack_from(self._chunk, self._position)
        if start + length > len(self._chunk):
            return None  # judged by the slow path, which begins the PDU anew
        pdu_type = judge_header(type_byte, length)
        self._position = start + length
        return Frame(pdu_type, self._chunk[start : start + length])

    def _start_over(self) -> None:
        # A new buffer, not a cleared one: views of the old may be kept for long.
        self._gathered = bytearray()
        self._wanted = PDU_HEADER_BYTES
