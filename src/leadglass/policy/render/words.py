"""What the dialects have in common: who the archive is, and comments that fit."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 _.,:;/()-]")


@dataclass(frozen=True, slots=True)
class Archive:
    """The host that the rules are for.

    ``user`` is the account that the server runs as: with it, what it may send to is bound as well, where a
    firewall of the host can tell. ``source`` says of what policy this is a print, in one line.
    """

    source: str
    user: str = ""

    def head(self, mark: str) -> list[str]:
        """The first lines, as comments."""
        return [
            f"{mark} Leadglass: {plain(self.source)}",
            f"{mark} Made from the policy: change the policy, and render it again.",
        ]


def plain(text: str) -> str:
    """The text, with ``_`` for all that could mean something to a firewall: quotes, line ends, brackets."""
    return _NOT_PLAIN.sub("_", text)


def short(text: str, most: int) -> str:
    """The text, plain, or as much of it as fits and three dots."""
    text = plain(text)
    return text if len(text) <= most else f"{text[: most - 3]}..."
