"""``[retention]`` of ``leadglass.toml``: the bin, and what goes there by itself. No rule, nothing goes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from leadglass.sitefile.finding import quoted
from leadglass.sitefile.table import Table

ACTIONS = ("bin",)
MAX_DAYS = 36_500

_WORD = {"modality": re.compile(r"[A-Z0-9_]{1,16}"), "label": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")}


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """Studies of which nothing was received for ``older_than_days`` go to the bin.

    Each other condition that is given narrows it: every series is of one of ``modalities``; the study bears
    one of ``labels``, and none of ``not_labels``.
    """

    name: str
    older_than_days: int
    modalities: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    not_labels: tuple[str, ...] = ()

    @property
    def takes_every_study(self) -> bool:
        """Whether nothing but age decides."""
        return not (self.modalities or self.labels or self.not_labels)


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """``bin_days``: how long what was deleted can be taken back, before it is erased."""

    bin_days: int = 30
    rules: tuple[RetentionRule, ...] = ()


NO_RULES = RetentionSettings()


def read_retention(table: Table) -> RetentionSettings:
    """Read the table; what is wrong is noted."""
    bin_days = table.whole("bin_days", 0, 3650)
    rules = []
    for name, inner in table.table("rules").tables():
        rule = _rule(name, inner)
        inner.refuse_others()
        if rule is not None:
            rules.append(rule)
    table.refuse_others()
    return RetentionSettings(RetentionSettings().bin_days if bin_days is None else bin_days, tuple(rules))


def _rule(name: str, table: Table) -> RetentionRule | None:
    table.require("older_than_days", "say how long after the last image was received")
    table.require("action", 'say what happens: action = "bin"')
    days = table.whole("older_than_days", 1, MAX_DAYS)
    action = table.text("action")
    known = action is not None and table.one_of("action", action, ACTIONS)
    modalities = _words(table, "modality", "modality")
    labels = _words(table, "label", "label")
    not_labels = _words(table, "not_label", "label")
    if days is None or not known:
        return None
    return RetentionRule(name, days, modalities, labels, not_labels)


def _words(table: Table, key: str, kind: str) -> tuple[str, ...]:
    """An empty list is refused: left out, a condition narrows nothing; empty, it would mean the opposite."""
    words = table.words(key)
    if words == ():
        table.notes.error(table.place_of(key), f"{quoted(key)} is empty", "name one, or leave it out")
    for number, word in enumerate(words or ()):
        if not _WORD[kind].fullmatch(word):
            table.notes.error(table.place_of(key, number), f"{quoted(word)} is no {kind}")
    return words or ()
