"""A question in words: ``us1 store archive modality=US transport=plain at=2026-12-24T23:00``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from leadglass.model.action import ARCHIVE, Verb
from leadglass.model.caller import Transport
from leadglass.model.errors import LeadglassError, PeerError
from leadglass.model.names import Uid, parse_uid
from leadglass.model.storage_classes import BY_KEYWORD
from leadglass.model.usage import NO_USAGE, Usage
from leadglass.policy.attributes import ATTRIBUTES
from leadglass.policy.network import parse_address
from leadglass.sitefile import quoted, suggest

MAX_QUESTION_CHARACTERS = 1024
FIRST_YEAR, LAST_YEAR = 1970, 9000
"""The years that a question may be about: far enough from the calendar's ends to reckon with."""

MFA, REASON, APPROVED = "mfa", "reason", "approved"
FLAGS = (MFA, REASON, APPROVED)
"""Words that stand alone."""

_KEYS = (
    "ae",
    "age",
    "at",
    "bytes",
    "from",
    "identity",
    "ip",
    "label",
    "modality",
    "objects",
    "patients",
    "sender",
    "show",
    "sop_class",
    "stores",
    "study",
    "transport",
)
_MAX_DIGITS = 15
_CODE = re.compile(r"[A-Z0-9_]{1,16}")


class Identity(StrEnum):
    """Whether what goes out is asked for with whose it is: what ``deid`` decides."""

    KEPT = "kept"
    REMOVED = "removed"


class QuestionInvalid(LeadglassError):
    """The question cannot be understood; the text says which word, and what was meant."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who, what, on what; the rest overrides the best case. ``from_zone`` is ``from=``.

    ``age_days`` is the study's. ``show`` is an attribute, by keyword, that a query wants to know. ``used``
    are ``objects=`` (or ``stores=``), ``bytes=`` and ``patients=``.
    """

    subject: str
    verb: Verb
    target: str
    ae: str | None = None
    age_days: int | None = None
    at: datetime | None = None
    from_zone: str | None = None
    identity: Identity | None = None
    ip: str | None = None
    labels: frozenset[str] = frozenset()
    modality: str | None = None
    sender: str | None = None
    show: str | None = None
    sop_class: Uid | None = None
    study: Uid | None = None
    transport: Transport | None = None
    used: Usage = NO_USAGE
    mfa: bool = False
    reason: bool = False
    approved: bool = False

    @property
    def is_about_objects(self) -> bool:
        """Whether it says anything of the object or the attribute that is wanted."""
        told = (
            self.age_days,
            self.identity,
            self.modality,
            self.sender,
            self.show,
            self.sop_class,
            self.study,
        )
        return bool(self.labels) or any(each is not None for each in told)


def parse_question(text: str) -> Question:
    """Read ``SUBJECT VERB [TARGET] [KEY=VALUE ...] [mfa]``; without a target, the archive.

    A time without zone is the policy's own. ``label=`` may stand more than once.

    Raises:
        QuestionInvalid: not understood.
    """
    if len(text) > MAX_QUESTION_CHARACTERS:
        raise QuestionInvalid(f"a question has at most {MAX_QUESTION_CHARACTERS} characters")
    words = text.split()
    if len(words) < 2:
        raise QuestionInvalid(f"{quoted(text)} is no question; ask like: us1 store archive modality=US")
    subject, verb, *rest = words
    if verb not in tuple(Verb):
        raise QuestionInvalid(f"unknown verb {quoted(verb)}; {suggest(verb, tuple(Verb))}")
    target = ARCHIVE
    if rest and "=" not in rest[0] and rest[0] not in FLAGS:
        target, *rest = rest
    given, labels = _pairs([word for word in rest if word not in FLAGS])
    return Question(
        subject=subject,
        verb=Verb(verb),
        target=target,
        ae=given.get("ae"),
        age_days=_age(given["age"]) if "age" in given else None,
        at=_moment(given["at"]) if "at" in given else None,
        from_zone=given.get("from"),
        identity=_identity(given["identity"]) if "identity" in given else None,
        ip=_ip(given["ip"]) if "ip" in given else None,
        labels=labels,
        modality=_modality(given["modality"]) if "modality" in given else None,
        sender=given.get("sender"),
        show=_attribute(given["show"]) if "show" in given else None,
        sop_class=_sop_class(given["sop_class"]) if "sop_class" in given else None,
        study=_uid("study", given["study"]) if "study" in given else None,
        transport=_transport(given["transport"]) if "transport" in given else None,
        used=_used(given),
        mfa=MFA in rest,
        reason=REASON in rest,
        approved=APPROVED in rest,
    )


def _pairs(words: list[str]) -> tuple[dict[str, str], frozenset[str]]:
    given: dict[str, str] = {}
    labels = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise QuestionInvalid(
                f"{quoted(word)} is not understood; write {'=..., '.join(_KEYS)}=..., {', '.join(FLAGS)}"
            )
        if key not in _KEYS:
            raise QuestionInvalid(f"unknown key {quoted(key)}; {suggest(key, _KEYS)}")
        if key == "label":
            labels.append(value)
        elif key in given:
            raise QuestionInvalid(f"{quoted(key)} stands twice")
        else:
            given[key] = value
    return given, frozenset(labels)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise QuestionInvalid(f"at={quoted(text)} is no time; write at=2026-12-24T23:00") from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise QuestionInvalid(f"at={quoted(text)} is in no year from {FIRST_YEAR} to {LAST_YEAR}")
    return moment


def _ip(text: str) -> str:
    try:
        return str(parse_address(text))
    except ValueError:
        raise QuestionInvalid(f"ip={quoted(text)} is no IP address") from None


def _modality(text: str) -> str:
    if not _CODE.fullmatch(text):
        raise QuestionInvalid(f"modality={quoted(text)} is no modality; write it like US")
    return text


def _age(text: str) -> int:
    days = text.removesuffix("d")
    if not days.isascii() or not days.isdigit() or len(days) > 5:
        raise QuestionInvalid(f"age={quoted(text)} is no age; write age=90d")
    return int(days)


def _attribute(text: str) -> str:
    if text not in ATTRIBUTES:
        raise QuestionInvalid(f"unknown attribute {quoted(text)}; {suggest(text, ATTRIBUTES)}")
    return text


def _sop_class(text: str) -> Uid:
    if text in BY_KEYWORD:
        return BY_KEYWORD[text]
    if text[:1].isdigit():
        return _uid("sop_class", text)
    raise QuestionInvalid(f"unknown SOP class {quoted(text)}; {suggest(text, BY_KEYWORD)}")


def _uid(key: str, text: str) -> Uid:
    try:
        return parse_uid(text)
    except PeerError:
        raise QuestionInvalid(f"{key}={quoted(text)} is no UID") from None


def _used(given: dict[str, str]) -> Usage:
    """What was used of the hour; stores are objects."""
    if "stores" in given and "objects" in given:
        raise QuestionInvalid('"stores" and "objects" are the same; write one of them')
    objects = "stores" if "stores" in given else "objects"
    return Usage(_count(given, objects), _count(given, "bytes"), _count(given, "patients"))


def _count(given: dict[str, str], key: str) -> int:
    text = given.get(key, "0")
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        raise QuestionInvalid(f"{key}={quoted(text)} is no number")
    return int(text)


def _identity(text: str) -> Identity:
    if text not in tuple(Identity):
        raise QuestionInvalid(
            f"identity={quoted(text)} is not understood; write identity=kept or identity=removed"
        )
    return Identity(text)


def _transport(text: str) -> Transport:
    if text not in tuple(Transport):
        raise QuestionInvalid(f"unknown transport {quoted(text)}; {suggest(text, tuple(Transport))}")
    return Transport(text)
