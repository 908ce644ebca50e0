"""A whole data set without identity, as a stream: its header in memory, its pixels on their way through."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from leadglass.dataset import tags
from leadglass.dataset.convert import ConvertLimits
from leadglass.dataset.deidentify.clean import clean_header
from leadglass.dataset.deidentify.pixels import Appearance, why_not
from leadglass.dataset.deidentify.pseudonyms import Pseudonyms
from leadglass.dataset.header import Header, HeaderLimits, NeedMoreBytes, Part, scan_header
from leadglass.dataset.inflate import MEBIBYTE, inflate_chunks
from leadglass.dataset.syntaxes import (
    DEFLATED,
    DEFLATED_EXPLICIT_LITTLE,
    EXPLICIT_LITTLE,
    ITEM,
    SEQUENCE_DELIMITER,
    UNDEFINED_LENGTH,
    Layout,
)
from leadglass.dataset.walk import Event, Mark, walk_dataset
from leadglass.model.errors import DatasetInvalid, LimitExceeded, NotDeidentifiable
from leadglass.model.names import Uid
from leadglass.model.query import Tag

MAX_HEADER_BYTES: Final = 64 * MEBIBYTE
"""Before the pixels, where an enhanced object has one or two kilobytes for each of its frames."""

_FIRST_LOOK_BYTES: Final = 256 * 1024
_LOOK_GROWTH: Final = 4
_PIECE_BYTES: Final = 256 * 1024
_PADDING: Final = b" \0"
_CONVERSION_TYPE: Final[Tag] = 0x00080064
_BURNED_IN_ANNOTATION: Final[Tag] = 0x00280301
_PIXEL_VRS: Final = frozenset({b"OB", b"OW", b"OF", b"OD", b"UN"})


@dataclass(frozen=True, slots=True)
class _Prefix:
    """What stands before the pixels, all of it."""

    header: Header
    data: bytes


def deidentify(
    chunks: Iterable[bytes], transfer_syntax: Uid, pseudonyms: Pseudonyms, site: str, limits: ConvertLimits
) -> Iterator[bytes]:
    """The data set in the same transfer syntax, without identity, in pieces.

    ``site`` stands in for a missing issuer of the patient's number. What lies behind the pixels is left out:
    signatures, padding and private attributes, since tags ascend (PS3.5 §7.1). No piece comes before the
    whole header was judged.

    Raises:
        NotDeidentifiable: it cannot be made safe, or cannot be understood.
    """
    try:
        if transfer_syntax == DEFLATED_EXPLICIT_LITTLE:
            inflated = inflate_chunks(chunks, limits.inflate)
            yield from _deflated(_deidentified(inflated, EXPLICIT_LITTLE, pseudonyms, site, limits))
        elif transfer_syntax in DEFLATED:
            raise NotDeidentifiable("its pixels lie with another server")
        else:
            yield from _deidentified(chunks, transfer_syntax, pseudonyms, site, limits)
    except (DatasetInvalid, LimitExceeded) as error:
        raise NotDeidentifiable(f"it cannot be understood: {error}") from error


def _deidentified(
    chunks: Iterable[bytes], transfer_syntax: Uid, pseudonyms: Pseudonyms, site: str, limits: ConvertLimits
) -> Iterator[bytes]:
    source = _Source(chunks)
    prefix = _prefix(source, transfer_syntax, limits.max_depth)
    header = prefix.header
    reason = why_not(_appearance(prefix, limits.max_depth))
    if reason:
        raise NotDeidentifiable(reason)
    pseudonym = _pseudonym(header, pseudonyms, site)
    yield clean_header(prefix.data, header.layout, pseudonym, limits.max_depth)
    if header.pixel_offset is not None:
        yield from _pixels(source, header.layout)


def _prefix(source: _Source, transfer_syntax: Uid, max_depth: int) -> _Prefix:
    limits = HeaderLimits(max_depth=max_depth, max_element_bytes=MAX_HEADER_BYTES)
    look_bytes = _FIRST_LOOK_BYTES
    while look_bytes <= MAX_HEADER_BYTES:
        data = source.peek(look_bytes)
        part = Part.PREFIX if len(data) == look_bytes else Part.WHOLE
        try:
            header = scan_header(data, transfer_syntax, limits, part)
        except NeedMoreBytes:
            header = None
        if header is not None and (header.pixel_offset is not None or part is Part.WHOLE):
            return _Prefix(header, source.take(header.pixel_offset or len(data)))
        look_bytes *= _LOOK_GROWTH
    raise NotDeidentifiable(f"more than {MAX_HEADER_BYTES} bytes before the pixels")


def _appearance(prefix: _Prefix, max_depth: int) -> Appearance:
    values = dict(prefix.header.values)
    values |= {
        event.tag: prefix.data[event.start : event.stop]
        for event in _top_level(prefix, max_depth)
        if event.tag in (_CONVERSION_TYPE, _BURNED_IN_ANNOTATION)
    }

    def word(tag: Tag) -> str:
        return values.get(tag, b"").strip(_PADDING).decode("latin-1").upper()

    return Appearance(
        sop_class=Uid(word(tags.SOP_CLASS_UID)),
        modality=word(tags.MODALITY),
        image_type=word(tags.IMAGE_TYPE),
        conversion_type=word(_CONVERSION_TYPE),
        burned_in=word(_BURNED_IN_ANNOTATION),
    )


def _top_level(prefix: _Prefix, max_depth: int) -> Iterator[Event]:
    depth = 0
    for event in walk_dataset(prefix.data, prefix.header.layout, max_depth):
        if event.mark in (Mark.SEQUENCE, Mark.FRAGMENTS):
            depth += 1
        elif event.mark is Mark.SEQUENCE_END:
            depth -= 1
        elif event.mark is Mark.ELEMENT and depth == 0:
            yield event


def _pseudonym(header: Header, pseudonyms: Pseudonyms, site: str) -> str:
    """Of a patient as the index knows them: by number and issuer, or site; without a number, by study."""

    def value(tag: Tag) -> bytes:
        return header.values.get(tag, b"").strip(_PADDING)

    patient_id, issuer = value(tags.PATIENT_ID), value(tags.ISSUER_OF_PATIENT_ID)
    if not patient_id:
        return pseudonyms.of(b"", b"study:" + value(tags.STUDY_INSTANCE_UID))
    return pseudonyms.of(patient_id, b"issuer:" + issuer if issuer else b"site:" + site.encode())


def _pixels(source: _Source, layout: Layout) -> Iterator[bytes]:
    """The element that holds the pixels, which is the last that goes out."""
    head = source.take(12 if layout.explicit else 8)
    (length,) = struct.unpack(f"{layout.order}L", head[-4:])
    if layout.explicit and head[4:6] not in _PIXEL_VRS:
        raise NotDeidentifiable("its pixels have an odd value representation")
    yield head
    if length != UNDEFINED_LENGTH:
        yield from source.through(length)
        return
    if not layout.explicit or layout.order == ">":
        raise NotDeidentifiable("compressed pixels within an uncompressed data set")
    yield from _gathered(_fragments(source))


def _fragments(source: _Source) -> Iterator[bytes]:
    """PS3.5 §A.4: items, then a delimiter."""
    while True:
        head = source.take(8)
        group, element, length = struct.unpack("<HHL", head)
        match group << 16 | element:
            case tag if tag == ITEM and length != UNDEFINED_LENGTH:
                yield head
                yield from source.through(length)
            case tag if tag == SEQUENCE_DELIMITER:
                yield head
                return
            case _:
                raise NotDeidentifiable("its compressed pixels are broken")


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Small pieces together: each costs a turn of whoever sends them."""
    gathered = bytearray()
    for piece in pieces:
        gathered += piece
        if len(gathered) >= _PIECE_BYTES:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


def _deflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    out_bytes = 0
    for piece in pieces:
        out = engine.compress(piece)
        out_bytes += len(out)
        yield out
    last = engine.flush()
    yield last + bytes((out_bytes + len(last)) % 2)  # PS3.5 §A.5: an even length


class _Source:
    """The bytes of a data set in order, a few at a time."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = bytearray()

    def peek(self, count: int) -> bytes:
        """The next bytes, without taking them: fewer where the data set ends."""
        self._fill(count)
        return bytes(self._held[:count])

    def take(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            NotDeidentifiable: it ends before.
        """
        self._fill(count)
        if len(self._held) < count:
            raise NotDeidentifiable("it ends within its pixels")
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def through(self, count: int) -> Iterator[bytes]:
        """The next bytes in pieces. Raises as ``take``."""
        while count > 0:
            piece = self.take(min(count, _PIECE_BYTES))
            count -= len(piece)
            yield piece

    def _fill(self, count: int) -> None:
        while len(self._held) < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                return
            self._held += chunk
