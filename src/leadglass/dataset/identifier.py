"""Identifiers of C-FIND, C-GET and C-MOVE, both sides. PS3.4 Annex C."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from leadglass.dataset import dictionary, tags
from leadglass.dataset.charsets import choose_character_set, parse_character_sets
from leadglass.dataset.elements import Element, Elements, decode_elements, encode_elements
from leadglass.dataset.matching import DATE_TIME_PAIRS, check_range, combine, key_match
from leadglass.dataset.syntaxes import CHARACTER_SET_VRS, dictionary_vr, name_of_tag
from leadglass.dataset.values import value_bytes, value_text
from leadglass.model.errors import IdentifierMismatch, LocalError
from leadglass.model.names import Uid
from leadglass.model.query import (
    DateTimeMatching,
    DateTimeRange,
    Level,
    Match,
    Query,
    RetrieveKeys,
    Root,
    SingleValue,
    Tag,
    UidList,
)

_FAILED_SOP_INSTANCE_UID_LIST: Final[Tag] = 0x00080058

# Not keys: they say how to read the identifier, or the archive alone answers them.
_NOT_KEYS: Final = frozenset(
    {
        tags.SPECIFIC_CHARACTER_SET,
        tags.QUERY_RETRIEVE_LEVEL,
        tags.RETRIEVE_AE_TITLE,
        tags.INSTANCE_AVAILABILITY,
    }
)
# Of what the index computes, only these can be matched (PS3.4 §C.3.4); counts are returned.
_UNMATCHED: Final = frozenset(
    {entry.tag for entry in tags.COMPUTED_TAGS} - {tags.MODALITIES_IN_STUDY, tags.SOP_CLASSES_IN_STUDY}
)
_RETRIEVE_KEYS: Final = frozenset({*tags.UNIQUE_KEYS.values(), tags.ISSUER_OF_PATIENT_ID})
_TOP: Final = MappingProxyType({Root.PATIENT: Level.PATIENT, Root.STUDY: Level.STUDY})


class UnusableKey(LocalError):
    """As a client: a key that is no attribute, or a value that cannot be written."""


class AnswerElement(NamedTuple):
    """One element of an answer. ``keyword`` is empty for tags PS3.6 does not know. PHI."""

    tag: Tag
    keyword: str
    vr: str
    text: str


def decode_identifier(
    data: bytes,
    transfer_syntax: Uid,
    root: Root,
    date_times: DateTimeMatching = DateTimeMatching.SEPARATE,
) -> Query:
    """The query of a C-FIND request. PS3.4 §C.4.1.1.3.1, hierarchical search §C.4.1.2.1.

    A key this archive does not know, or one of a level below the query's, is ``unsupported``: it
    matches everything and is returned empty. Keys of upper levels are matched, since that can only
    narrow the search. Sequences are unsupported.

    Raises:
        IdentifierMismatch: the level is missing or not of the root; an upper level's unique key is not
            a single value; a value is not of its VR, or a range ends before it begins.
        DatasetInvalid, LimitExceeded: it cannot be read.
    """
    decoded = decode_elements(data, transfer_syntax)
    character_sets = _character_sets(decoded)
    level = _level(decoded, root)
    matches: dict[Tag, Match] = {}
    returns: dict[Tag, None] = {}
    unsupported: list[Tag] = []
    for tag, _, raw in decoded.elements:
        if tag in _NOT_KEYS or tag & 0xFFFF == 0:
            continue
        if tag in returns:
            raise IdentifierMismatch(f"{name_of_tag(tag)} stands twice")
        returns[tag] = None
        entry = tags.BY_TAG.get(tag)
        if entry is None or entry.level > level or (raw and tag in _UNMATCHED):
            unsupported.append(tag)
        elif raw:
            text = value_text(raw, entry.vr, decoded.order, character_sets)
            match = _key(tag, entry.vr, text)
            if match is not None:
                matches[tag] = match
    _require_upper_keys(matches, root, level)
    combined = _combine(matches) if date_times is DateTimeMatching.COMBINED else ()
    for match in matches.values():
        check_range(match)
    return Query(
        root=root,
        level=level,
        matches=tuple(matches.items()),
        returns=tuple(returns),
        combined=combined,
        character_sets=character_sets,
        unsupported=tuple(unsupported),
    )


def decode_retrieve(data: bytes, transfer_syntax: Uid, root: Root) -> RetrieveKeys:
    """The unique keys of a C-GET or C-MOVE request. PS3.4 §C.4.2.1.4.1, §C.4.2.2.1.

    Lists of UIDs at the level of the retrieval, single values above it, nothing below it. Under the
    study root a Patient ID may be given, and narrows. Issuer of Patient ID (0010,0021) goes with it: a
    number alone may be two people's. Other keys are passed over.

    Raises:
        IdentifierMismatch: anything else.
        DatasetInvalid, LimitExceeded: it cannot be read.
    """
    decoded = decode_elements(data, transfer_syntax)
    character_sets = _character_sets(decoded)
    level = _level(decoded, root)
    matches: dict[Tag, Match] = {}
    for tag, _, raw in decoded.elements:
        if tag not in _RETRIEVE_KEYS:
            continue
        entry = tags.BY_TAG[tag]
        match = _key(tag, entry.vr, value_text(raw, entry.vr, decoded.order, character_sets))
        if match is None:
            continue
        if tag in matches:
            raise IdentifierMismatch(f"{name_of_tag(tag)} stands twice")
        if entry.level > level:
            raise IdentifierMismatch(f"{entry.keyword} lies below the level of the retrieval")
        matches[tag] = match
    _require_upper_keys(matches, root, level)
    if tags.UNIQUE_KEYS[level] not in matches:
        raise IdentifierMismatch(f"retrieval at {level.name} without its unique key")
    return RetrieveKeys(
        level=level,
        patient_id=_single(matches, tags.PATIENT_ID),
        issuer=_single(matches, tags.ISSUER_OF_PATIENT_ID),
        studies=_uids(matches, tags.STUDY_INSTANCE_UID),
        series=_uids(matches, tags.SERIES_INSTANCE_UID),
        instances=_uids(matches, tags.SOP_INSTANCE_UID),
    )


def encode_answer(
    attributes: Mapping[Tag, str], query: Query, *, retrieve_ae: str, transfer_syntax: Uid
) -> bytes:
    """The identifier of a pending C-FIND response. PS3.4 §C.4.1.1.3.2.

    Every tag the query named, ascending, empty where unknown; and the level, the character set if one
    is needed, where to retrieve from, and that it is online.
    """
    texts = {tag: attributes.get(tag, "") for tag in query.returns}
    texts[tags.QUERY_RETRIEVE_LEVEL] = query.level.name
    texts[tags.RETRIEVE_AE_TITLE] = retrieve_ae
    texts[tags.INSTANCE_AVAILABILITY] = "ONLINE"
    return _encode(_layout_of_answer(query.returns), texts, query.character_sets, transfer_syntax)


def encode_failed_list(instances: Iterable[Uid], transfer_syntax: Uid) -> bytes:
    """Failed SOP Instance UID List, of a last C-GET or C-MOVE response. PS3.4 §C.4.2.1.4.2."""
    value = value_bytes("\\".join(instances), "UI", ())
    return encode_elements([Element(_FAILED_SOP_INSTANCE_UID_LIST, "UI", value)], transfer_syntax)


def encode_identifier(level: Level, keys: Sequence[tuple[Tag | str, str]], transfer_syntax: Uid) -> bytes:
    """As a client: an identifier of keys, given by tag or by keyword, with their values as text.

    Raises:
        UnusableKey: not a keyword of PS3.6, or a number that is none.
    """
    texts = {_tag_of(key): text for key, text in keys}
    texts[tags.QUERY_RETRIEVE_LEVEL] = level.name
    for tag, text in texts.items():
        try:
            value_bytes(text, dictionary_vr(tag), ())
        except ValueError as error:
            raise UnusableKey(f"{name_of_tag(tag)} takes numbers") from error
    return _encode(_with_vrs(texts), texts, (), transfer_syntax)


def decode_answer(data: bytes, transfer_syntax: Uid) -> list[AnswerElement]:
    """As a client: the elements of an answer as text. Sequences and bulk data have none.

    Raises:
        DatasetInvalid, LimitExceeded: it cannot be read.
    """
    decoded = decode_elements(data, transfer_syntax)
    character_sets = _character_sets(decoded)
    return [
        AnswerElement(tag, dictionary.keyword_of(tag), vr, value_text(raw, vr, decoded.order, character_sets))
        for tag, vr, raw in decoded.elements
    ]


def _character_sets(decoded: Elements) -> tuple[str, ...]:
    return parse_character_sets(_raw(decoded, tags.SPECIFIC_CHARACTER_SET))


def _raw(decoded: Elements, wanted: Tag) -> bytes:
    return next((raw for tag, _, raw in decoded.elements if tag == wanted), b"")


def _level(decoded: Elements, root: Root) -> Level:
    name = value_text(_raw(decoded, tags.QUERY_RETRIEVE_LEVEL), "CS", decoded.order, ())
    level = Level.__members__.get(name)
    if level is None or level < _TOP[root]:
        raise IdentifierMismatch(f"Query/Retrieve Level is missing or not of the {root} root")
    return level


def _key(tag: Tag, vr: str, text: str) -> Match | None:
    try:
        return key_match(vr, text)
    except IdentifierMismatch as error:
        raise IdentifierMismatch(f"{name_of_tag(tag)}: {error}") from error


def _require_upper_keys(matches: Mapping[Tag, Match], root: Root, level: Level) -> None:
    for upper in Level:
        if _TOP[root] <= upper < level:
            tag = tags.UNIQUE_KEYS[upper]
            if not isinstance(matches.get(tag), SingleValue):
                raise IdentifierMismatch(f"{name_of_tag(tag)} must have one value at level {level.name}")


def _combine(matches: dict[Tag, Match]) -> tuple[DateTimeRange, ...]:
    """Take pairs of ranges out of the matches, as one each."""
    combined: list[DateTimeRange] = []
    for date_tag, time_tag in DATE_TIME_PAIRS:
        both = combine(date_tag, matches.get(date_tag), time_tag, matches.get(time_tag))
        if both is not None:
            del matches[date_tag], matches[time_tag]
            combined.append(both)
    return tuple(combined)


def _single(matches: Mapping[Tag, Match], tag: Tag) -> str | None:
    match matches.get(tag):
        case None:
            return None
        case SingleValue(value):
            return value
        case _:
            raise IdentifierMismatch(f"{name_of_tag(tag)} must have one value in a retrieval")


def _uids(matches: Mapping[Tag, Match], tag: Tag) -> tuple[Uid, ...]:
    match matches.get(tag):
        case SingleValue(value):
            return (Uid(value),)
        case UidList(values):
            return tuple(Uid(value) for value in values)
        case _:
            return ()


def _with_vrs(wanted: Iterable[Tag]) -> tuple[tuple[Tag, str], ...]:
    return tuple((tag, dictionary_vr(tag)) for tag in sorted({tags.SPECIFIC_CHARACTER_SET, *wanted}))


@lru_cache(maxsize=256)  # one query has many answers; peers choose the tags, so it is bounded
def _layout_of_answer(returns: tuple[Tag, ...]) -> tuple[tuple[Tag, str], ...]:
    return _with_vrs(
        {*returns, tags.QUERY_RETRIEVE_LEVEL, tags.RETRIEVE_AE_TITLE, tags.INSTANCE_AVAILABILITY}
    )


def _encode(
    layout: tuple[tuple[Tag, str], ...],
    texts: dict[Tag, str],
    requested: tuple[str, ...],
    transfer_syntax: Uid,
) -> bytes:
    """Elements of text in a character set that holds them all."""
    character_sets = choose_character_set(
        [texts[tag] for tag, vr in layout if vr in CHARACTER_SET_VRS and tag in texts], requested
    )
    texts[tags.SPECIFIC_CHARACTER_SET] = "\\".join(character_sets)
    elements = [
        Element(tag, vr, _value(texts[tag], vr, character_sets))
        for tag, vr in layout
        if tag != tags.SPECIFIC_CHARACTER_SET or character_sets
    ]
    return encode_elements(elements, transfer_syntax)


def _value(text: str, vr: str, character_sets: tuple[str, ...]) -> bytes:
    try:
        return value_bytes(text, vr, character_sets)
    except ValueError:
        return b""  # a number that came in unreadable goes out as unknown


def _tag_of(key: Tag | str) -> Tag:
    if isinstance(key, int):
        return key
    keywords = dictionary.keywords()
    tag = keywords.get(key)
    if tag is None:
        near = get_close_matches(key, keywords, n=1)
        raise UnusableKey(f"{key} is no DICOM keyword" + (f"; did you mean {near[0]}?" if near else ""))
    return tag
