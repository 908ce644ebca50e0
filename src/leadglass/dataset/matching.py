"""What a key's value asks for. PS3.4 §C.2.2.2."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from leadglass.dataset.tags import INDEX_TAGS
from leadglass.model.errors import IdentifierMismatch, LimitExceeded, PeerError
from leadglass.model.names import parse_uid
from leadglass.model.query import DateTimeRange, Match, Range, SingleValue, Tag, UidList, Wildcard

MAX_VALUES: Final = 10_000

# PS3.4 §C.2.2.2.4
_WILDCARD_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})

# Days are not held to their month: "all of February" is often asked for as 0201-0231.
_DATE: Final = re.compile(r"[0-9]{4}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])")
_OLD_DATE: Final = re.compile(r"[0-9]{4}\.[0-9]{2}\.[0-9]{2}")  # ACR-NEMA 2.0; PS3.5 §6.2, DA note
_TIME: Final = re.compile(r"([01][0-9]|2[0-3])(?:([0-5][0-9])(?:([0-5][0-9]|60)(?:\.([0-9]{1,6}))?)?)?")

_TAG_BY_KEYWORD: Final = {entry.keyword: entry.tag for entry in INDEX_TAGS}

# A date, and the time of the same moment.
DATE_TIME_PAIRS: Final[tuple[tuple[Tag, Tag], ...]] = tuple(
    (entry.tag, _TAG_BY_KEYWORD[entry.keyword.removesuffix("Date") + "Time"])
    for entry in INDEX_TAGS
    if entry.vr == "DA"
)


def key_match(vr: str, text: str) -> Match | None:
    """What a key of this VR with this text matches; ``None`` is universal matching.

    ``text`` is decoded, its padding removed. A lone ``*`` is universal for every VR.

    Raises:
        IdentifierMismatch: not a date, a time, a range or a UID where one is needed.
        LimitExceeded: more than 10,000 values.
    """
    if not text.strip("*"):
        return None
    match vr:
        case "UI":
            return _uids(text)
        case "DA":
            return _range_or_single(text, _date_end, _date_end)
        case "TM":
            return _range_or_single(text, _time_low, _time_high)
        case _:
            return _text(vr, text)


def combine(date_tag: Tag, date: Match | None, time_tag: Tag, time: Match | None) -> DateTimeRange | None:
    """A date range and a time range taken as one; ``None`` when they are not of the same form.

    PS3.4 §C.2.2.2.5, combined date-time matching: both ends, only a low, or only a high end.
    """
    if not isinstance(date, Range) or not isinstance(time, Range):
        return None
    if (date.low is None) != (time.low is None) or (date.high is None) != (time.high is None):
        return None
    low = None if date.low is None or time.low is None else date.low + time.low
    high = None if date.high is None or time.high is None else date.high + time.high
    both = DateTimeRange(date_tag, time_tag, low, high)
    _refuse_reversed(both.low, both.high)
    return both


def check_range(match: Match) -> None:
    """Refuse a range that ends before it begins; a time range does not cross midnight.

    Raises:
        IdentifierMismatch: it does.
    """
    if isinstance(match, Range):
        _refuse_reversed(match.low, match.high)


def _refuse_reversed(low: str | None, high: str | None) -> None:
    if low is not None and high is not None and low > high:
        raise IdentifierMismatch("a range ends before it begins")


def _text(vr: str, text: str) -> Match:
    wild = vr in _WILDCARD_VRS and ("*" in text or "?" in text)
    if "\\" in text:
        if wild:
            raise IdentifierMismatch("wildcards in a key of several values")
        values = _several(text)
        return UidList(values) if len(values) > 1 else SingleValue(values[0])
    return Wildcard(text) if wild else SingleValue(text)


def _uids(text: str) -> Match:
    several = _several(text)
    try:
        values = tuple(dict.fromkeys(map(parse_uid, several)))
    except PeerError as error:
        raise IdentifierMismatch(f"a key is {error}") from error
    return UidList(values) if len(values) > 1 else SingleValue(values[0])


def _several(text: str) -> tuple[str, ...]:
    values = tuple(value for value in text.split("\\", MAX_VALUES) if value)
    if len(values) > MAX_VALUES:
        raise LimitExceeded(f"a key has more than {MAX_VALUES} values")
    if not values:
        raise IdentifierMismatch("a key of several values, all empty")
    return values


def _range_or_single(text: str, low_end: Callable[[str], str], high_end: Callable[[str], str]) -> Match:
    low, dash, high = (piece.strip(" ") for piece in text.partition("-"))
    if not dash:
        low_end(low)  # refuses what is no date or time
        return SingleValue(low.replace(".", "") if _OLD_DATE.fullmatch(low) else low.replace(":", ""))
    if not low and not high:
        raise IdentifierMismatch("a range without ends")
    return Range(low_end(low) if low else None, high_end(high) if high else None)


def _date_end(text: str) -> str:
    """A date as ``YYYYMMDD``."""
    date = text.replace(".", "") if _OLD_DATE.fullmatch(text) else text
    if not _DATE.fullmatch(date):
        raise IdentifierMismatch("a date key is no date")
    return date


def _time_low(text: str) -> str:
    return _time(text, "000000")


def _time_high(text: str) -> str:
    return _time(text, "999999")


def _time(text: str, rest: str) -> str:
    """A time at full length. ``HH:MM:SS`` is ACR-NEMA's; PS3.5 §6.2, TM note."""
    time = text.replace(":", "")
    if not _TIME.fullmatch(time):
        raise IdentifierMismatch("a time key is no time")
    whole, _, fraction = time.partition(".")
    return f"{whole}{rest[len(whole) :]}.{fraction}{rest[len(fraction) :]}"
