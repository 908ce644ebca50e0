"""The form in which values are compared. Applied to what is stored and to what is asked.

PN folds case (PS3.4 §C.2.2.2.1) and composes accents (NFC), so that two encodings of one name meet;
an accent still counts. TM is padded to HHMMSS.FFFFFF, DA loses ACR-NEMA's dots, IS loses leading
zeros, so that equal values are equal text and ranges compare as text.
"""

from __future__ import annotations

import unicodedata
from datetime import date
from typing import Final

NAME_GROUPS: Final = 3  # alphabetic, ideographic, phonetic. PS3.5 §6.2.1.2

FOLDED_VRS: Final = frozenset({"PN", "TM", "DA", "IS"})

_NO_TIME: Final = "000000"


def fold_name(name: str) -> tuple[str, str, str]:
    """The three component groups of one person name, folded; absent ones empty.

    Trailing empty components mean nothing (PS3.5 §6.2.1.1) and are cut.
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    groups = [group.rstrip("^ ").lstrip(" ") for group in folded.split("=", NAME_GROUPS - 1)]
    groups += [""] * (NAME_GROUPS - len(groups))
    return groups[0], groups[1], groups[2]


def fold_value(vr: str, value: str) -> str:
    """One value that is not a person name, in comparable form; unreadable ones as they are."""
    match vr:
        case "TM":
            return _fold_time(value)
        case "DA":
            return value.replace(".", "")
        case "IS":
            number = parse_integer(value)
            return value if number is None else str(number)
        case _:
            return value


def fold_all(vr: str, values: list[str]) -> list[str]:
    """Every comparable form of a multi-valued attribute: any of them may match."""
    if vr == "PN":
        return [group for value in values for group in fold_name(value) if group]
    return [fold_value(vr, value) for value in values if value]


def parse_integer(value: str) -> int | None:
    """An IS value as a number that fits a database column. PS3.5 §6.2: 12 characters at most."""
    text = value.strip()
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if not digits.isascii() or not digits.isdigit() or len(text) > 12:
        return None
    return int(text)


def parse_date(value: str) -> date | None:
    """A folded DA value as a day; ``None`` where it is none. PS3.5 §6.2: eight digits."""
    if len(value) != 8 or not value.isascii() or not value.isdigit():
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _fold_time(value: str) -> str:
    whole, _, fraction = value.replace(":", "").partition(".")
    if not whole.isdigit() or (fraction and not fraction.isdigit()):
        return value
    return f"{(whole + _NO_TIME[len(whole) :])[:6]}.{(fraction + _NO_TIME[len(fraction) :])[:6]}"


def storable(text: str) -> str:
    """The text with anything UTF-8 cannot encode (lone surrogates) replaced by a question mark."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")
