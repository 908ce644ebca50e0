"""The known word that a mistyped one was meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from leadglass.sitefile.finding import quoted

_SIMILARITY = 0.6
_MAX_WORD_CHARACTERS = 64
_MAX_LISTED_WORDS = 20


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one word of ``known`` most like ``word``, case aside; ``None`` when nothing is near."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    folded = word[:_MAX_WORD_CHARACTERS].casefold()
    matches = get_close_matches(folded, by_folded, n=1, cutoff=_SIMILARITY)
    return by_folded[matches[0]] if matches else None


def suggest(word: str, known: Iterable[str]) -> str:
    """Advice for an unknown ``word``: the nearest known one, or else the known ones."""
    words = sorted(known)
    near = nearest(word, words)
    if near is not None:
        return f"did you mean {quoted(near)}?"
    if not words:
        return "none is defined"
    listed = ", ".join(words[:_MAX_LISTED_WORDS])
    return f"known: {listed}" if len(words) <= _MAX_LISTED_WORDS else f"known: {listed}, ..."
