"""What is asked for, and the facts the policy may weigh. No patient names here, ever."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from leadglass.model.names import Uid
from leadglass.model.usage import NO_USAGE, Usage

ARCHIVE = "archive"
SITE = "site"


class Verb(StrEnum):
    """Everything that can be permitted; the words of ``policy.toml``'s ``can``."""

    ECHO = "echo"
    STORE = "store"
    FIND = "find"
    GET = "get"
    MOVE = "move"
    WORKLIST = "worklist"
    MPPS = "mpps"
    COMMIT = "commit"
    LIST = "list"
    VIEW = "view"
    # Of the site itself; only the local administrator has these.
    STATUS = "status"
    MANAGE = "manage"
    AUDIT = "audit"
    CHECK = "check"
    DELETE = "delete"  # to the bin, out of it, holds
    KEYS = "keys"  # the site key: rotate, export
    BACKUP = "backup"
    OPERATE = "operate"  # the server's own housekeeping: start, stop, reload, recover


MACHINE_VERBS = frozenset(
    {Verb.ECHO, Verb.STORE, Verb.FIND, Verb.GET, Verb.MOVE, Verb.WORKLIST, Verb.MPPS, Verb.COMMIT}
)
PERSON_VERBS = frozenset({Verb.LIST, Verb.VIEW})
SITE_VERBS = frozenset(
    {
        Verb.STATUS,
        Verb.MANAGE,
        Verb.AUDIT,
        Verb.CHECK,
        Verb.DELETE,
        Verb.KEYS,
        Verb.BACKUP,
        Verb.OPERATE,
    }
)


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about the object at hand; ``None`` is unknown and satisfies no condition.

    ``sender`` is the device that it came from. ``attributes`` are of a query: those it matches on, by
    keyword. ``identity``, which only questions ask: it is wanted together with whose it is. ``this_hour`` is
    what the caller used of its hour before, where the action is one more.
    """

    modality: str | None = None
    sop_class: Uid | None = None
    labels: frozenset[str] = frozenset()
    study: Uid | None = None
    study_date: date | None = None
    sender: str | None = None
    attributes: frozenset[str] = frozenset()
    identity: bool = False
    this_hour: Usage = NO_USAGE


NO_FACTS = Facts()


@dataclass(frozen=True, slots=True)
class Action:
    """One verb on one target: ``archive``, ``site``, or a device's name (an outgoing store)."""

    verb: Verb
    target: str = ARCHIVE
    facts: Facts = NO_FACTS
