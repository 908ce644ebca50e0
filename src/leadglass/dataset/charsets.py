"""Text by Specific Character Set (0008,0005). PS3.3 §C.12.1.1.2, PS3.5 §6.1.2.

Reading never fails: archives are full of text whose character set is undeclared or wrong, and a
name half read is better than an image refused. Writing never loses a letter: a character set is
chosen that holds every text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

from leadglass.dataset import dictionary
from leadglass.dataset.syntaxes import UNDIVIDED_VRS

MAX_TERMS: Final = 16

UTF_8: Final = "ISO_IR 192"
LATIN_1: Final = "ISO_IR 100"

# Without code extensions. PS3.3 Table C.12-5.
_STAND_ALONE: Final = frozenset({UTF_8, "GB18030", "GBK"})

_ESCAPE: Final = b"\x1b"
_FRAGMENT: Final = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
_MISSPELT: Final = re.compile(r"ISO[ _-]?(2022)?[ _-]*IR[ _-]?([0-9]+)", re.IGNORECASE)

# Python's ISO 2022 codecs read these with their escape sequences, into G0, two bytes a letter.
_ESCAPED_CODECS: Final = frozenset({"iso2022_jp", "iso2022_jp_2"})

# After these the first character set counts again. PS3.5 §6.1.2.5.3.
_TEXT_RESETS: Final = re.compile(rb"[\\\r\n\f\t]")
_NAME_RESETS: Final = re.compile(rb"[\\\r\n\f\t^=]")
_TEXT_COMPONENTS: Final = re.compile(r"([\\\r\n\f\t])")
_NAME_COMPONENTS: Final = re.compile(r"([\\\r\n\f\t^=])")

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNDIVIDED_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")

# Terms that may extend another in what we write, with the escape sequence that announces them. JIS
# X 0212 is read but not written: Python's codec for it also uses sequences DICOM does not know.
_EXTENSIONS: Final = MappingProxyType(
    {
        "ISO 2022 IR 13": b"\x1b)I",
        "ISO 2022 IR 87": b"",
        "ISO 2022 IR 100": b"\x1b-A",
        "ISO 2022 IR 101": b"\x1b-B",
        "ISO 2022 IR 109": b"\x1b-C",
        "ISO 2022 IR 110": b"\x1b-D",
        "ISO 2022 IR 126": b"\x1b-F",
        "ISO 2022 IR 127": b"\x1b-G",
        "ISO 2022 IR 138": b"\x1b-H",
        "ISO 2022 IR 144": b"\x1b-L",
        "ISO 2022 IR 148": b"\x1b-M",
        "ISO 2022 IR 149": b"\x1b$)C",
        "ISO 2022 IR 166": b"\x1b-T",
        "ISO 2022 IR 58": b"\x1b$)A",
    }
)
_MULTI_BYTE_EXTENSIONS: Final = frozenset({"ISO 2022 IR 87", "ISO 2022 IR 149", "ISO 2022 IR 58"})
_KATAKANA_TERMS: Final = frozenset({"ISO_IR 13", "ISO 2022 IR 13"})


def parse_character_sets(raw: bytes) -> tuple[str, ...]:
    """The terms of (0008,0005), in order; empty for the default repertoire.

    An empty first term stands for it, when others follow.
    """
    terms = tuple(term.strip(" \0") for term in raw.decode("latin-1").split("\\")[:MAX_TERMS])
    return terms if any(terms) else ()


def decode_text(raw: bytes, vr: str, character_sets: tuple[str, ...]) -> str:
    """The text of an element's value, normalised; multiple values stay joined by backslash.

    Composed (NFC), padding removed from every value, control characters removed. Never fails.
    """
    if raw.isascii() and _ESCAPE not in raw:
        text = raw.rstrip(b" \0").decode("ascii")
        if text.isprintable() and "\\" not in text and vr not in UNDIVIDED_VRS:
            return text.lstrip(" ")  # nearly every value there is
        return _normalise(text, vr)
    return _normalise(unicodedata.normalize("NFC", _decode(raw, vr, character_sets)), vr)


def choose_character_set(texts: Iterable[str], requested: tuple[str, ...]) -> tuple[str, ...]:
    """The terms that hold every text: those requested if they do, else the narrowest that does.

    That is none (ASCII), ISO_IR 100, or ISO_IR 192. PS3.4 §C.4.1.1.3.2.
    """
    everything = list(texts)
    if requested and all(_encode(text, "LO", requested) is not None for text in everything):
        return requested
    for terms in ((), (LATIN_1,)):
        if all(_encode(text, "LO", terms) is not None for text in everything):
            return terms
    return (UTF_8,)


def encode_text(text: str, vr: str, character_sets: tuple[str, ...]) -> bytes:
    """The text in a character set that ``choose_character_set`` chose for it, without padding.

    Letters it cannot hold become question marks.
    """
    if text.isascii():
        return text.encode("ascii")
    encoded = _encode(text, vr, character_sets)
    if encoded is not None:
        return encoded
    return text.encode(_codec(character_sets[0]) or "ascii" if character_sets else "ascii", "replace")


def _normalise(text: str, vr: str) -> str:
    if vr in UNDIVIDED_VRS:
        return _UNDIVIDED_CONTROLS.sub("", text).rstrip(" ")
    # Control characters would reach terminals and logs; no VR of the index allows them.
    clean = text if text.isprintable() else _CONTROLS.sub("", text)
    if "\\" in clean:
        return "\\".join([value.strip(" ") for value in clean.split("\\")])
    return clean.strip(" ")


def _codec(term: str) -> str | None:
    """Python's codec for a defined term, misspellings forgiven; ``None`` for an unknown one."""
    if term in {"", "ISO_IR 6", "ISO 2022 IR 6"}:
        return "ascii"
    codecs = dictionary.codecs()
    known = codecs.get(term)
    if known is None and (match := _MISSPELT.fullmatch(term)):
        known = codecs.get(f"ISO 2022 IR {match[2]}" if match[1] else f"ISO_IR {match[2]}")
    return known


def _decode(raw: bytes, vr: str, character_sets: tuple[str, ...]) -> str:
    first = _codec(character_sets[0]) if character_sets else "ascii"
    stand_alone = bool(character_sets) and character_sets[0] in _STAND_ALONE
    if _ESCAPE not in raw or stand_alone:
        return _decode_plain(raw, first)
    resets = _NAME_RESETS if vr == "PN" else _TEXT_RESETS
    return "".join(_decode_fragment(piece, first, resets) for piece in _FRAGMENT.findall(raw))


def _decode_plain(raw: bytes, codec: str | None) -> str:
    """By the declared codec, else as what undeclared text mostly is."""
    for name in (codec, "utf-8"):
        if name is not None:
            try:
                return raw.decode(name)
            except UnicodeDecodeError:
                continue
    return raw.decode("latin-1")


def _decode_fragment(piece: bytes, first: str | None, resets: re.Pattern[bytes]) -> str:
    """A piece that starts with an escape sequence, or has none. PS3.5 §6.1.2.4, §6.1.2.5."""
    if not piece.startswith(_ESCAPE):
        return _decode_plain(piece, first)
    width = 4 if piece.startswith((b"\x1b$(", b"\x1b$)")) else 3
    codec = dictionary.codecs_by_escape().get(piece[:width])
    if codec is None:
        return _decode_plain(piece, first)
    if codec in _ESCAPED_CODECS:
        return piece.decode(codec, "replace")
    body = piece[width:]
    reset = resets.search(body)
    if reset is None:
        return _decode_plain(body, codec)
    rest = body[reset.start() :]
    if rest.isascii():
        return _decode_plain(body[: reset.start()], codec) + rest.decode("ascii")
    # Some writers forget to announce the character set again after a delimiter.
    return _decode_plain(body[: reset.start()], codec) + _decode_plain(
        rest, codec if first == "ascii" else first
    )


def _encode(text: str, vr: str, character_sets: tuple[str, ...]) -> bytes | None:
    """The text in these character sets; ``None`` if they do not hold all of it."""
    first = character_sets[0] if character_sets else ""
    whole = _encode_component(text, first)
    if whole is not None or len(character_sets) < 2 or first in _STAND_ALONE:
        return whole
    components = (_NAME_COMPONENTS if vr == "PN" else _TEXT_COMPONENTS).split(text)
    encoded = [_encode_extended(component, character_sets) for component in components]
    return None if None in encoded else b"".join(part for part in encoded if part is not None)


def _encode_component(text: str, term: str) -> bytes | None:
    codec = _codec(term)
    if codec is None or term in _MULTI_BYTE_EXTENSIONS or term == "ISO 2022 IR 159":
        return None
    try:
        encoded = text.encode(codec)
    except UnicodeEncodeError:
        return None
    # Shift JIS holds more than JIS X 0201, but not in one byte a letter.
    return None if term in _KATAKANA_TERMS and len(encoded) != len(text) else encoded


def _encode_extended(component: str, terms: tuple[str, ...]) -> bytes | None:
    """One name component or text line in the first of the terms that holds it."""
    plain = _encode_component(component, terms[0])
    if plain is not None:
        return plain
    for term in terms[1:]:
        escape = _EXTENSIONS.get(term)
        if escape is None:
            continue
        try:
            encoded = component.encode(_codec(term) or "ascii")
        except UnicodeEncodeError:
            continue
        if term in _KATAKANA_TERMS and len(encoded) != len(component):
            continue
        if term == "ISO 2022 IR 87" and terms[0] in _KATAKANA_TERMS:
            # G0 goes back to where the first term has it, ISO-IR 14. PS3.5 §6.1.2.5.3.
            encoded = encoded.replace(b"\x1b(B", b"\x1b(J")
        return escape + encoded
    return None
