"""The data dictionary of PS3.6 and the names of character sets, from pydicom.

pydicom takes longer to import than most commands take in all, and most never ask for it; so it is
imported at the first question. A server asks at its start: ``load``.
"""

from __future__ import annotations

from collections.abc import Mapping

from leadglass.model.query import Tag


def load() -> None:
    """Import what the questions need, so that none of them waits for it."""
    keywords()
    codecs()


def vr_of(tag: Tag) -> str:
    """The VR of a tag, as PS3.6 names it: ``US or SS`` too.

    Raises:
        KeyError: PS3.6 does not know it.
    """
    from pydicom.datadict import dictionary_VR

    return str(dictionary_VR(tag))


def keyword_of(tag: Tag) -> str:
    """The keyword of a tag; empty if PS3.6 does not know it."""
    from pydicom.datadict import keyword_for_tag

    return str(keyword_for_tag(tag))


def keywords() -> Mapping[str, Tag]:
    """Every keyword with its tag."""
    from pydicom.datadict import keyword_dict

    return keyword_dict


def codecs() -> Mapping[str, str]:
    """Python's codecs by the defined terms of Specific Character Set. PS3.3 §C.12.1.1.2."""
    from pydicom.charset import python_encoding

    return python_encoding


def codecs_by_escape() -> Mapping[bytes, str]:
    """Python's codecs by the escape sequences that announce them. PS3.3 Table C.12-3, C.12-4."""
    from pydicom.charset import CODES_TO_ENCODINGS

    return CODES_TO_ENCODINGS
