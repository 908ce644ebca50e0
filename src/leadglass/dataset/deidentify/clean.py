"""The attributes before the pixels, without identity: element by element, without recursion, in one pass."""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import Final, assert_never

from leadglass.dataset import tags
from leadglass.dataset.deidentify.judge import Action, is_pixels, judge
from leadglass.dataset.deidentify.profile import EDITION
from leadglass.dataset.syntaxes import (
    ITEM,
    ITEM_DELIMITER,
    LENGTH_FIELDS,
    SEQUENCE_DELIMITER,
    UNDEFINED_LENGTH,
    Layout,
    LengthField,
    dictionary_vr,
)
from leadglass.dataset.walk import Event, Mark, walk_dataset
from leadglass.model.errors import NotDeidentifiable
from leadglass.model.query import Tag

_PATIENT_IDENTITY_REMOVED: Final[Tag] = 0x00120062
_METHOD: Final[Tag] = 0x00120063
_METHOD_CODES: Final[Tag] = 0x00120064
_LONGITUDINAL_TEMPORAL: Final[Tag] = 0x00280303
_MARKS: Final = (_PATIENT_IDENTITY_REMOVED, _METHOD, _METHOD_CODES, _LONGITUDINAL_TEMPORAL)
_BURNED_IN_ANNOTATION: Final[Tag] = 0x00280301
_OVERLAY_BIT_POSITION: Final = 0x0102  # of group 60xx
_CODE_VALUE: Final[Tag] = 0x00080100
_CODING_SCHEME: Final[Tag] = 0x00080102
_CODE_MEANING: Final[Tag] = 0x00080104
# PS3.16 CID 7050, with the meanings as they stand there.
_METHODS: Final = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113110", "Retain UIDs Option"),
)
_METHOD_TEXT: Final = f"Leadglass: PS3.15 {EDITION} Basic Profile, UIDs retained"

_OF_UIDS: Final = b"0123456789.\\ \0"

# Values that are nobody's, by VR; numbers are zero.
_WORD: Final = b"ANONYMIZED"
_DUMMIES: Final = MappingProxyType(
    {
        **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), _WORD),
        **dict.fromkeys(("FL", "SL", "UL", "OF", "OL"), bytes(4)),
        **dict.fromkeys(("FD", "SV", "UV", "OD", "OV"), bytes(8)),
        **dict.fromkeys(("SS", "US", "OB", "OW", "UN"), bytes(2)),
        **dict.fromkeys(("DS", "IS"), b"0 "),
        "AS": b"000D",
        "AT": bytes(4),
        "DA": b"19000101",
        "DT": b"19000101000000",
        "TM": b"000000",
        "UR": b"http://anonymized.invalid ",
    }
)


def clean_header(data: bytes, layout: Layout, pseudonym: str, max_depth: int) -> bytes:
    """A data set up to its pixels, without identity and with the marks that say so.

    Raises:
        NotDeidentifiable: it says that its pixels bear text, or hides an overlay in them.
        DatasetInvalid, LimitExceeded: it is broken, or nests too deep.
    """
    cleaner = _Cleaner(data, layout, pseudonym)
    for event in walk_dataset(data, layout, max_depth):
        cleaner.take(event)
    return bytes(cleaner.out)


class _Cleaner:
    """One walk. ``_dropped_at`` is the depth of the sequence that is left out with all within it, or 0."""

    def __init__(self, data: bytes, layout: Layout, pseudonym: str) -> None:
        self._data = memoryview(data)
        self._layout = layout
        self._pseudonym = _even(pseudonym.encode("ascii"))
        self._depth = 0
        self._dropped_at = 0
        self._marks = list(_MARKS)
        self.out = bytearray()

    def take(self, event: Event) -> None:
        if event.mark in (Mark.SEQUENCE, Mark.FRAGMENTS):
            self._depth += 1
        if self._dropped_at:
            if event.mark is Mark.ELEMENT:
                self._refuse(event)
        else:
            self._write_event(event)
        if event.mark is Mark.SEQUENCE_END:
            if self._dropped_at == self._depth:
                self._dropped_at = 0
            self._depth -= 1

    def _write_event(self, event: Event) -> None:
        match event.mark:
            case Mark.ELEMENT:
                self._element(event)
            case Mark.SEQUENCE | Mark.FRAGMENTS:
                self._sequence(event)
            case Mark.SEQUENCE_END:
                self._write_bare(SEQUENCE_DELIMITER, 0)
            case Mark.ITEM:
                self._write_bare(ITEM, UNDEFINED_LENGTH)
            case Mark.ITEM_END if self._depth == 0:
                self._mark_up_to(None)
            case Mark.ITEM_END:
                self._write_bare(ITEM_DELIMITER, 0)
            case Mark.FRAGMENT:
                pass  # of a compressed icon, which is dropped: it never comes here
            case _:
                assert_never(event.mark)

    def _sequence(self, event: Event) -> None:
        if self._depth == 1:
            self._mark_up_to(event.tag)
        # One whose writer did not know it (UN) is laid out otherwise inside, and not worth the risk.
        action = judge(event.tag, event.vr) if event.mark is Mark.SEQUENCE else Action.REMOVE
        if event.tag in _MARKS:
            action = Action.REMOVE
        if action is Action.KEEP:
            self._write(event.tag, "SQ", UNDEFINED_LENGTH)
            return
        self._dropped_at = self._depth
        if action is not Action.REMOVE and dictionary_vr(event.tag) == "SQ":
            self._write(event.tag, "SQ", 0)

    def _element(self, event: Event) -> None:
        tag = event.tag
        is_top = self._depth == 0
        if is_top:
            self._mark_up_to(tag)
        self._refuse(event)
        if tag in _MARKS or (is_pixels(tag) and not is_top):
            return
        if tag in (tags.PATIENT_NAME, tags.PATIENT_ID):
            value = self._pseudonym if is_top else b""
            self._write(tag, dictionary_vr(tag), len(value), value)
            return
        match judge(tag, event.vr):
            case Action.KEEP:
                self._keep(event)
            case Action.EMPTY:
                self._write(tag, dictionary_vr(tag)[:2], 0)
            case Action.REPLACE:
                vr = dictionary_vr(tag)[:2]
                value = _DUMMIES.get(vr, b"")  # of a sequence: no item
                self._write(tag, vr, len(value), value)
            case Action.REMOVE:
                pass

    def _keep(self, event: Event) -> None:
        value = self._data[event.start : event.stop]
        if dictionary_vr(event.tag) == "UI" and bytes(value).translate(None, _OF_UIDS):
            return  # a UID is kept for what it is; this is something else
        self._write(event.tag, event.vr, len(value), value)

    def _refuse(self, event: Event) -> None:
        value = bytes(self._data[event.start : event.stop])
        if event.tag == _BURNED_IN_ANNOTATION and value.strip(b" \0") not in (b"", b"NO"):
            raise NotDeidentifiable("text is burned into the pixels (0028,0301)")
        if event.tag >> 24 == 0x60 and event.tag & 0xFFFF == _OVERLAY_BIT_POSITION and value.strip(b"\0"):
            raise NotDeidentifiable("an overlay lies in unused bits of the pixels (60xx,0102)")

    def _mark_up_to(self, tag: Tag | None) -> None:
        """Write the marks that stand before ``tag`` in order; all that are left at the end."""
        while self._marks and (tag is None or self._marks[0] <= tag):
            self._write_mark(self._marks.pop(0))

    def _write_mark(self, tag: Tag) -> None:
        if tag == _METHOD_CODES:
            self._write(tag, "SQ", UNDEFINED_LENGTH)
            for code, meaning in _METHODS:
                self._write_bare(ITEM, UNDEFINED_LENGTH)
                self._write_text(_CODE_VALUE, "SH", code)
                self._write_text(_CODING_SCHEME, "SH", "DCM")
                self._write_text(_CODE_MEANING, "LO", meaning)
                self._write_bare(ITEM_DELIMITER, 0)
            self._write_bare(SEQUENCE_DELIMITER, 0)
        elif tag == _METHOD:
            self._write_text(tag, "LO", _METHOD_TEXT)
        else:
            self._write_text(tag, "CS", "YES" if tag == _PATIENT_IDENTITY_REMOVED else "REMOVED")

    def _write_text(self, tag: Tag, vr: str, text: str) -> None:
        value = _even(text.encode("ascii"))
        self._write(tag, vr, len(value), value)

    def _write(self, tag: Tag, vr: str, length: int, value: bytes | memoryview = b"") -> None:
        order = self._layout.order
        head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
        code = vr.encode()
        if not self._layout.explicit:
            head += struct.pack(f"{order}L", length)
        elif LENGTH_FIELDS[code] is LengthField.SHORT:
            head += struct.pack(f"{order}2sH", code, length)
        else:
            head += struct.pack(f"{order}2sHL", code, 0, length)
        self.out += head
        self.out += value

    def _write_bare(self, tag: Tag, length: int) -> None:
        """An item or a delimiter, which have no VR."""
        self.out += struct.pack(f"{self._layout.order}HHL", tag >> 16, tag & 0xFFFF, length)


def _even(value: bytes) -> bytes:
    return value + b" " * (len(value) % 2)
