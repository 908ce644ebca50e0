"""The proof that the gate said yes. Only ``gate.py`` makes one; ruff bans it elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from leadglass.model.action import Action
from leadglass.model.caller import Caller
from leadglass.model.names import Uid


class Release(StrEnum):
    """How an object that leaves the archive goes out."""

    WHOLE = "whole"
    DEIDENTIFIED = "de-identified"  # PS3.15 Annex E


@dataclass(frozen=True, slots=True)
class Scope:
    """Which objects a permit reaches: the union of its alternatives. Empty means nothing."""

    alternatives: tuple[ScopeFilter, ...]


@dataclass(frozen=True, slots=True)
class ScopeFilter:
    """Objects that meet every named filter; ``None`` does not filter.

    ``labels``: the study bears one of them. ``modalities``: the series has one of them. ``sop_classes``: the
    instance is of one. ``senders``: the instance came from one of these devices. ``studied_from`` and
    ``studied_to``: first and last day of the study's date. ``studies``: it is one of them.

    ``shows`` filters no objects: of those that are reached, an answer to a query holds only these
    attributes, by keyword. ``release`` filters none either: it is how they go out.
    """

    labels: frozenset[str] | None = None
    modalities: frozenset[str] | None = None
    sop_classes: frozenset[Uid] | None = None
    senders: frozenset[str] | None = None
    studied_from: date | None = None
    studied_to: date | None = None
    studies: frozenset[Uid] | None = None
    shows: frozenset[str] | None = None
    release: Release = Release.WHOLE


EVERYTHING = Scope((ScopeFilter(),))
NOTHING = Scope(())


class Keeping(StrEnum):
    """What becomes of an object that is stored under a permit."""

    SERVED = "served"
    APART = "kept apart"  # in quarantine: durable, and neither found nor sent


_SEAL = object()


@dataclass(frozen=True, slots=True)
class Permit:
    """This caller may do this action within this scope. Made by ``issue_permit`` alone.

    ``who`` is the proven name (device, user, ``archive``), ``zone`` where it came from, ``rule``
    what allowed it, ``site`` the sending site that stands in for a missing issuer of patient id.
    ``keeping`` is what becomes of what is stored under it; ``release`` how an object goes out that the
    archive stores elsewhere. Of a retrieval its ``scope`` says that, for each object.
    """

    caller: Caller
    action: Action
    scope: Scope
    who: str
    rule: str
    zone: str
    site: str
    keeping: Keeping
    release: Release
    _seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self._seal is not _SEAL:
            raise TypeError("a Permit comes from the gate")


def issue_permit(
    caller: Caller,
    action: Action,
    scope: Scope,
    *,
    who: str,
    rule: str,
    zone: str = "",
    site: str = "",
    keeping: Keeping = Keeping.SERVED,
    release: Release = Release.WHOLE,
) -> Permit:
    """Make a permit. For ``gate.py`` alone; ruff (TID251) holds everybody else to it."""
    return Permit(caller, action, scope, who, rule, zone, site, keeping, release, _SEAL)
