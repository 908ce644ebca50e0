"""A bounded memory of pure answers. Losing an entry costs time, never changes an answer."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MAX_REMEMBERED = 4096


class Memo(Generic[K, V]):
    """Remembers at most MAX_REMEMBERED answers, and starts afresh when full. Safe among threads."""

    def __init__(self) -> None:
        self._answers: dict[K, V] = {}

    def recall(self, key: K) -> V | None:
        """The answer, if it is remembered."""
        return self._answers.get(key)

    def remember(self, key: K, answer: V) -> V:
        """Keep the answer, and hand it back."""
        if len(self._answers) >= MAX_REMEMBERED:
            self._answers = {}
        self._answers[key] = answer
        return answer
