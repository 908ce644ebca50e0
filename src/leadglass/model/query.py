"""A hierarchical query, decoded: what PS3.4 Annex C asks, without its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum

from leadglass.model.names import Uid

Tag = int  # group << 16 | element


class Level(IntEnum):
    """Query/retrieve levels, top down. PS3.4 §C.6."""

    PATIENT = 0
    STUDY = 1
    SERIES = 2
    IMAGE = 3


class Root(StrEnum):
    """Information models. PS3.4 §C.6.1, §C.6.2."""

    PATIENT = "patient"
    STUDY = "study"


@dataclass(frozen=True, slots=True)
class SingleValue:
    """PS3.4 §C.2.2.2.1. Person names compare without case."""

    value: str


@dataclass(frozen=True, slots=True)
class UidList:
    """PS3.4 §C.2.2.2.2. Also used for a multi-valued key that means "any of"."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wildcard:
    """PS3.4 §C.2.2.2.4: ``*`` any run, ``?`` any one character."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Range:
    """PS3.4 §C.2.2.2.5, inclusive; ``None`` is an open end.

    Dates as ``YYYYMMDD``; times as ``HHMMSS.FFFFFF`` padded to full length (the low end with
    zeros, the high end with nines), so that they compare as text.
    """

    low: str | None
    high: str | None


Match = SingleValue | UidList | Wildcard | Range


class DateTimeMatching(Enum):
    """How a date range and a time range in one query are meant.

    PS3.4 §C.2.2.2.5: each for itself, unless combined matching was negotiated (§C.5.1.1.1).
    """

    SEPARATE = "separate"
    COMBINED = "combined"


@dataclass(frozen=True, slots=True)
class DateTimeRange:
    """A date key and a time key meant together. PS3.4 §C.2.2.2.5.2 combined matching.

    ``low`` and ``high`` are ``YYYYMMDDHHMMSS.FFFFFF``, inclusive; ``None`` is open.
    """

    date_tag: Tag
    time_tag: Tag
    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class Query:
    """Keys to match and attributes to return.

    ``matches`` holds only keys with a value (an empty one is universal matching); ``returns``
    every tag the peer named, matched or not, in its order. ``character_sets`` are the terms of
    Specific Character Set (0008,0005) in the request, empty for the default repertoire.
    """

    root: Root
    level: Level
    matches: tuple[tuple[Tag, Match], ...]
    returns: tuple[Tag, ...]
    combined: tuple[DateTimeRange, ...] = ()
    character_sets: tuple[str, ...] = ()
    unsupported: tuple[Tag, ...] = ()  # keys this archive cannot match: pending 0xFF01


@dataclass(frozen=True, slots=True)
class RetrieveKeys:
    """The unique keys of a C-GET or C-MOVE identifier. PS3.4 §C.4.2.2.1, §C.4.3.2.1.

    ``issuer`` says whose number ``patient_id`` is; ``None`` where the identifier does not.
    """

    level: Level
    patient_id: str | None
    studies: tuple[Uid, ...]
    series: tuple[Uid, ...]
    instances: tuple[Uid, ...]
    issuer: str | None = None
