"""A question in words: ``us1 store archive modality=US transport=plain at=2026-12-24T23:00``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from leadglass.model.action import ARCHIVE, Verb
from leadglass.model.caller import Transport
from leadglass.model.errors import LeadglassError
from leadglass.model.usage import NO_USAGE, Usage
from leadglass.policy.network import parse_address
from leadglass.sitefile import quoted, suggest

MAX_QUESTION_CHARACTERS = 1024

_KEYS = (
    "ae",
    "at",
    "bytes",
    "from",
    "ip",
    "label",
    "modality",
    "objects",
    "patients",
    "stores",
    "transport",
)
_MFA = "mfa"
_MAX_DIGITS = 15
_CODE = re.compile(r"[A-Z0-9_]{1,16}")


class QuestionInvalid(LeadglassError):
    """The question cannot be understood; the text says which word, and what was meant."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who, what, on what; the rest overrides the best case.

    ``from_zone`` is ``from=``; ``used`` are ``objects=`` (or ``stores=``), ``bytes=`` and ``patients=``.
    """

    subject: str
    verb: Verb
    target: str
    ae: str | None = None
    at: datetime | None = None
    from_zone: str | None = None
    ip: str | None = None
    labels: frozenset[str] = frozenset()
    modality: str | None = None
    used: Usage = NO_USAGE
    transport: Transport | None = None
    mfa: bool = False


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
    if rest and "=" not in rest[0] and rest[0] != _MFA:
        target, *rest = rest
    given, labels = _pairs([word for word in rest if word != _MFA])
    return Question(
        subject=subject,
        verb=Verb(verb),
        target=target,
        ae=given.get("ae"),
        at=_moment(given["at"]) if "at" in given else None,
        from_zone=given.get("from"),
        ip=_ip(given["ip"]) if "ip" in given else None,
        labels=labels,
        modality=_modality(given["modality"]) if "modality" in given else None,
        used=_used(given),
        transport=_transport(given["transport"]) if "transport" in given else None,
        mfa=_MFA in rest,
    )


def _pairs(words: list[str]) -> tuple[dict[str, str], frozenset[str]]:
    given: dict[str, str] = {}
    labels = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise QuestionInvalid(
                f"{quoted(word)} is not understood; write {'=..., '.join(_KEYS)}=... or mfa"
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


def _transport(text: str) -> Transport:
    if text not in tuple(Transport):
        raise QuestionInvalid(f"unknown transport {quoted(text)}; {suggest(text, tuple(Transport))}")
    return Transport(text)
