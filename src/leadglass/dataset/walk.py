"""Walk nested sequences without recursion, so that no depth of nesting can hurt. PS3.5 §7.5."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, NoReturn

from leadglass.dataset.syntaxes import (
    IMPLICIT_LITTLE_LAYOUT,
    ITEM,
    ITEM_DELIMITER,
    LENGTH_FIELDS,
    LONG_LENGTH,
    SEQUENCE_DELIMITER,
    SHORT_LENGTH,
    TAG_AND_LONG,
    UNDEFINED_LENGTH,
    Layout,
    LengthField,
    dictionary_vr,
    name_of_tag,
)
from leadglass.model.errors import DatasetInvalid, LimitExceeded
from leadglass.model.query import Tag

_ITEM_GROUP: Final = 0xFFFE


class DatasetTruncated(DatasetInvalid):
    """The bytes end inside an element."""


class Mark(Enum):
    """What the walk came to."""

    ELEMENT = "element"
    SEQUENCE = "sequence"
    SEQUENCE_END = "sequence end"
    ITEM = "item"
    ITEM_END = "item end"
    FRAGMENTS = "fragments"  # encapsulated pixels; ends with SEQUENCE_END
    FRAGMENT = "fragment"


class Event(NamedTuple):
    """One step of a walk. The value lies at ``start:stop``; a container's is empty.

    ``vr`` is the element's own, or in implicit VR the dictionary's (``US or SS`` too). ``layout`` is
    the one the element itself is written in.
    """

    mark: Mark
    tag: Tag
    vr: str
    layout: Layout
    start: int
    stop: int


@dataclass(slots=True)
class _Frame:
    """An open container. ``end`` bounds it; ``delimited`` ones end earlier, at their delimiter."""

    mark: Mark  # ITEM (a data set), SEQUENCE or FRAGMENTS
    layout: Layout
    end: int
    delimited: bool


class _Head(NamedTuple):
    """An element's head. ``vr`` is ``""`` for items and delimiters."""

    tag: Tag
    vr: str
    length: int
    start: int


class _Walker:
    """The state of one walk. ``frames`` stands in for the call stack."""

    def __init__(self, data: bytes, position: int, frame: _Frame, max_depth: int) -> None:
        self.data = data
        self.position = position
        self.frames = [frame]
        self.depth = 0 if frame.mark is Mark.ITEM else 1
        self.max_depth = max_depth

    def run(self) -> Iterator[Event]:
        """Every event until the first frame is closed."""
        while self.frames:
            frame = self.frames[-1]
            if self.position >= frame.end:
                yield self._close_at_end(frame)
            elif frame.mark is Mark.ITEM:
                yield self._next_element(frame)
            else:
                yield from self._next_item(frame)

    def _close_at_end(self, frame: _Frame) -> Event:
        if frame.delimited:
            self._refuse_overrun(frame.end + 1, ITEM_DELIMITER, self.position)
        return self._close(frame)

    def _close(self, frame: _Frame) -> Event:
        self.frames.pop()
        here = self.position
        if frame.mark is Mark.ITEM:
            return Event(Mark.ITEM_END, ITEM_DELIMITER, "", frame.layout, here, here)
        self.depth -= 1
        return Event(Mark.SEQUENCE_END, SEQUENCE_DELIMITER, "", frame.layout, here, here)

    def _next_element(self, frame: _Frame) -> Event:
        at = self.position
        if len(self.frames) == 1 and frame.end - at < 8 and not self.data[at:].strip(b"\0"):
            # Fewer zeros than an element's head are padding, seen in the field.
            self.position = frame.end
            return self._close(frame)
        head = self._read_head(frame)
        if head.tag == ITEM_DELIMITER and (frame.delimited or len(self.frames) > 1):
            # One that closes an item of defined length is superfluous, and seen in the field.
            self.position = head.start if frame.delimited else frame.end
            return self._close(frame)
        if not head.vr:
            raise DatasetInvalid(f"{name_of_tag(head.tag)} at offset {at}: not expected here")
        if head.length == UNDEFINED_LENGTH:
            return self._open_undefined(frame, head)
        stop = head.start + head.length
        if stop > frame.end:
            self._refuse_overrun(stop, head.tag, at)
        if head.vr == "SQ":
            return self._open(Mark.SEQUENCE, head, _Frame(Mark.SEQUENCE, frame.layout, stop, delimited=False))
        self.position = stop
        return Event(Mark.ELEMENT, head.tag, head.vr, frame.layout, head.start, stop)

    def _open_undefined(self, frame: _Frame, head: _Head) -> Event:
        if head.vr == "SQ" or not frame.layout.explicit:
            return self._open(
                Mark.SEQUENCE, head, _Frame(Mark.SEQUENCE, frame.layout, frame.end, delimited=True)
            )
        if head.vr == "UN":
            # PS3.5 §6.2.2 (CP-246): a sequence whose writer did not know it, implicit VR inside.
            inner = _Frame(Mark.SEQUENCE, IMPLICIT_LITTLE_LAYOUT, frame.end, delimited=True)
            return self._open(Mark.SEQUENCE, head, inner)
        return self._open(
            Mark.FRAGMENTS, head, _Frame(Mark.FRAGMENTS, frame.layout, frame.end, delimited=True)
        )

    def _open(self, mark: Mark, head: _Head, inner: _Frame) -> Event:
        self.depth += 1
        if self.depth > self.max_depth:
            raise LimitExceeded(f"{name_of_tag(head.tag)}: nested deeper than {self.max_depth}")
        outer = self.frames[-1].layout
        self.frames.append(inner)
        self.position = head.start
        return Event(mark, head.tag, head.vr, outer, head.start, head.start)

    def _next_item(self, frame: _Frame) -> Iterator[Event]:
        at = self.position
        head = self._read_head(frame)
        if head.tag == SEQUENCE_DELIMITER:
            self.position = head.start if frame.delimited else frame.end
            yield self._close(frame)
            return
        if head.tag != ITEM:
            raise DatasetInvalid(f"{name_of_tag(head.tag)} at offset {at}: an item is expected here")
        delimited = head.length == UNDEFINED_LENGTH
        stop = frame.end if delimited else head.start + head.length
        if stop > frame.end:
            self._refuse_overrun(stop, head.tag, at)
        if frame.mark is Mark.SEQUENCE:
            self.position = head.start
            self.frames.append(_Frame(Mark.ITEM, frame.layout, stop, delimited))
            yield Event(Mark.ITEM, ITEM, "", frame.layout, head.start, head.start)
            return
        if delimited:
            raise DatasetInvalid(f"{name_of_tag(ITEM)} at offset {at}: a fragment needs a length")
        self.position = stop
        yield Event(Mark.FRAGMENT, ITEM, "", frame.layout, head.start, stop)

    def _read_head(self, frame: _Frame) -> _Head:
        at, layout = self.position, frame.layout
        if at + 8 > frame.end:
            self._refuse_overrun(at + 8, 0, at)
        group, element, length = TAG_AND_LONG[layout.order].unpack_from(self.data, at)
        tag = group << 16 | element
        if group == _ITEM_GROUP:
            return _Head(tag, "", length, at + 8)
        if not layout.explicit:
            return _Head(tag, dictionary_vr(tag), length, at + 8)
        vr = self.data[at + 4 : at + 6]
        field = LENGTH_FIELDS.get(vr)
        if field is None:
            raise DatasetInvalid(f"{name_of_tag(tag)} at offset {at}: no value representation")
        if field is LengthField.SHORT:
            (length,) = SHORT_LENGTH[layout.order].unpack_from(self.data, at + 6)
            return _Head(tag, vr.decode(), length, at + 8)
        if at + 12 > frame.end:
            self._refuse_overrun(at + 12, tag, at)
        (length,) = LONG_LENGTH[layout.order].unpack_from(self.data, at + 8)
        return _Head(tag, vr.decode(), length, at + 12)

    def _refuse_overrun(self, stop: int, tag: Tag, at: int) -> NoReturn:
        if stop > len(self.data):
            raise DatasetTruncated(f"{name_of_tag(tag)} at offset {at}: the data set ends inside it")
        raise DatasetInvalid(f"{name_of_tag(tag)} at offset {at}: it overruns its sequence or item")


def walk_dataset(data: bytes, layout: Layout, max_depth: int) -> Iterator[Event]:
    """Every element of a whole data set, depth first; the last event is an ITEM_END.

    Raises:
        DatasetInvalid: the structure is broken; the message tells offset and tag.
        LimitExceeded: sequences nest deeper than ``max_depth``.
    """
    return _Walker(data, 0, _Frame(Mark.ITEM, layout, len(data), delimited=False), max_depth).run()


def skip_undefined_length(data: bytes, start: int, vr: str, layout: Layout, max_depth: int) -> int:
    """The offset behind an element of undefined length whose value starts at ``start``.

    ``vr`` is ``""`` in implicit VR. Errors as of ``walk_dataset``; ``DatasetTruncated`` when the
    bytes end first.
    """
    mark, inner = Mark.SEQUENCE, layout
    if vr == "UN":
        inner = IMPLICIT_LITTLE_LAYOUT
    elif vr not in {"", "SQ"}:
        mark = Mark.FRAGMENTS
    position = start
    for event in _Walker(data, start, _Frame(mark, inner, len(data), delimited=True), max_depth).run():
        position = event.stop
    return position


def check_depth(data: bytes, start: int, stop: int, layout: Layout, max_depth: int) -> None:
    """Hold a sequence of defined length, the items at ``start:stop``, to the depth limit.

    A sequence nested n deep holds at least n item tags, so counting their bytes settles nearly
    every case without a walk.

    Raises:
        DatasetInvalid, LimitExceeded: as of ``walk_dataset``.
    """
    if data.count(layout.tag_bytes(ITEM), start, stop) < max_depth:
        return
    for _ in _Walker(data, start, _Frame(Mark.SEQUENCE, layout, stop, delimited=False), max_depth).run():
        pass
