"""What is done to one attribute. Whatever cannot be judged is removed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from leadglass.dataset import dictionary
from leadglass.dataset.deidentify import profile
from leadglass.dataset.syntaxes import dictionary_vr
from leadglass.model.query import Tag

_UNKNOWN: Final = "UN"
_SEQUENCE: Final = "SQ"
_OF_TIME_AND_PEOPLE: Final = frozenset({"DA", "DT", "PN", "TM"})
_CURVES_AND_OVERLAYS: Final = frozenset({0x5000, 0x6000})
_BEHIND_PIXELS: Final = frozenset({0xFFFA, 0xFFFC})
_PIXEL_GROUP: Final = 0x7FE0
_PIXEL_DATA_PROVIDER_URL: Final[Tag] = 0x00287FE0


class Action(Enum):
    """What becomes of an attribute."""

    KEEP = "keep"  # of a sequence: its items, each attribute of them judged in turn
    REMOVE = "remove"
    EMPTY = "empty"
    REPLACE = "replace"


# Where the table leaves a choice by the type of the attribute in its IOD, what suits each type is done. UIDs
# are kept (§E.3.9), and so are the sequences that refer to other instances by them.
_ACTIONS: Final = (
    (profile.REMOVE, Action.REMOVE),
    (profile.EMPTY, Action.EMPTY),
    (profile.REPLACE, Action.REPLACE),
    (profile.UID, Action.KEEP),
    (profile.EMPTY_OR_REPLACE, Action.REPLACE),
    (profile.REMOVE_OR_EMPTY, Action.EMPTY),
    (profile.REMOVE_OR_REPLACE, Action.REPLACE),
    (profile.REMOVE_EMPTY_OR_REPLACE, Action.REPLACE),
    (profile.REMOVE_EMPTY_OR_UIDS, Action.KEEP),
)


@lru_cache(maxsize=1)
def listed() -> Mapping[Tag, Action]:
    """Every attribute of the profile's table, with what is done to it."""
    keywords = dictionary.keywords()
    return MappingProxyType(
        {
            keywords[word] if word in keywords else int(word, 16): action
            for words, action in _ACTIONS
            for word in words.split()
        }
    )


@lru_cache(maxsize=8192)  # peers choose the tags: never unbounded
def judge(tag: Tag, vr: str) -> Action:
    """What becomes of an attribute that is written with this VR; in implicit VR, the dictionary's.

    Private, unknown and curve and overlay attributes are removed, and beyond the table every date, time and
    person's name, and what says to be a sequence or not against the dictionary.
    """
    group, known = tag >> 16, dictionary_vr(tag)
    if group % 2 or tag & 0xFFFF == 0 or group & 0xFF00 in _CURVES_AND_OVERLAYS or group in _BEHIND_PIXELS:
        return Action.REMOVE
    action = listed().get(tag, Action.KEEP)
    if action is not Action.KEEP:
        return Action.REMOVE if known == _UNKNOWN else action
    if known == _UNKNOWN or tag == _PIXEL_DATA_PROVIDER_URL or {vr, known} & _OF_TIME_AND_PEOPLE:
        return Action.REMOVE
    return Action.REMOVE if (vr == _SEQUENCE) != (known == _SEQUENCE) else Action.KEEP


def is_pixels(tag: Tag) -> bool:
    """Whether it is of the group of pixels: removed within sequences, where they are somebody's icon."""
    return tag >> 16 == _PIXEL_GROUP
