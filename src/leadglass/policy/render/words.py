"""What the dialects have in common: who the archive is, its ports, and comments that fit."""

from __future__ import annotations

from dataclasses import dataclass

from leadglass.policy.render.passages import Passages


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
            f"{mark} Leadglass: {self.source}",
            f"{mark} Made from the policy: change the policy, and render it again.",
        ]


def ports_of(passages: Passages) -> list[int]:
    """The ports that the archive listens on, each once."""
    return sorted({listener.address.port for listener in passages.listeners})


def short(text: str, most: int) -> str:
    """The text, or as much of it as fits and three dots."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
