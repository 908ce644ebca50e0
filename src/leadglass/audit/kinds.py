"""Every kind of audit line, with its event in PS3.15 §A.5.3 and what it may say of a patient.

Event identifiers are of PS3.16 CID 400, types of CID 401, coding scheme DCM. Patient ID, study and
instance UIDs stand only in kinds whose A.5 message has the patient and the study as participant
objects (Begin Transferring §A.5.3.3, Instances Accessed §A.5.3.6, Instances Transferred §A.5.3.7, Study
Deleted §A.5.3.8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from leadglass.model.action import MACHINE_VERBS, PERSON_VERBS, SITE_VERBS, Verb
from leadglass.model.event import Outcome


@dataclass(frozen=True, slots=True)
class Code:
    """A code of the DICOM Controlled Terminology (DCM)."""

    value: str
    meaning: str


class EventId(Enum):
    """PS3.16 CID 400."""

    APPLICATION_ACTIVITY = Code("110100", "Application Activity")
    AUDIT_LOG_USED = Code("110101", "Audit Log Used")
    STUDY_DELETED = Code("110105", "DICOM Study Deleted")
    BEGIN_TRANSFERRING = Code("110102", "Begin Transferring DICOM Instances")
    INSTANCES_ACCESSED = Code("110103", "DICOM Instances Accessed")
    INSTANCES_TRANSFERRED = Code("110104", "DICOM Instances Transferred")
    PROCEDURE_RECORD = Code("110111", "Procedure Record")
    QUERY = Code("110112", "Query")
    SECURITY_ALERT = Code("110113", "Security Alert")


class EventType(Enum):
    """PS3.16 CID 401."""

    APPLICATION_START = Code("110120", "Application Start")
    APPLICATION_STOP = Code("110121", "Application Stop")
    NODE_AUTHENTICATION = Code("110126", "Node Authentication")
    SECURITY_CONFIGURATION = Code("110129", "Security Configuration")
    SOFTWARE_CONFIGURATION = Code("110131", "Software Configuration")
    RESTRICTED_FUNCTION = Code("110132", "Use of Restricted Function")


@dataclass(frozen=True, slots=True)
class AuditKind:
    """One kind. ``type`` only where A.5 lists types; ``may_name`` are the fields of a patient it may fill."""

    kind: str
    event: EventId
    type: EventType | None
    meaning: str
    may_name: frozenset[str] = frozenset()


PATIENT_FIELDS: Final = frozenset({"study", "instance", "patient_id"})
_STUDY: Final = frozenset({"study"})
_OBJECT: Final = frozenset({"study", "instance"})

_OPERATIONS: Final[Mapping[Verb, EventId]] = MappingProxyType(
    {
        Verb.STORE: EventId.INSTANCES_TRANSFERRED,
        Verb.FIND: EventId.QUERY,
        Verb.LIST: EventId.QUERY,
        Verb.WORKLIST: EventId.QUERY,
        Verb.GET: EventId.BEGIN_TRANSFERRING,
        Verb.MOVE: EventId.BEGIN_TRANSFERRING,
        Verb.VIEW: EventId.INSTANCES_ACCESSED,
        Verb.COMMIT: EventId.INSTANCES_ACCESSED,
        Verb.MPPS: EventId.PROCEDURE_RECORD,
        Verb.ECHO: EventId.APPLICATION_ACTIVITY,
    }
)


def _node(kind: str, meaning: str) -> AuditKind:
    return AuditKind(kind, EventId.SECURITY_ALERT, EventType.NODE_AUTHENTICATION, meaning)


def _moved(kind: str, meaning: str, may_name: frozenset[str] = PATIENT_FIELDS) -> AuditKind:
    return AuditKind(kind, EventId.INSTANCES_TRANSFERRED, None, meaning, may_name)


def _deleted(kind: str, meaning: str, may_name: frozenset[str]) -> AuditKind:
    return AuditKind(kind, EventId.STUDY_DELETED, None, meaning, may_name)


def _changed(kind: str, meaning: str) -> AuditKind:
    return AuditKind(kind, EventId.INSTANCES_ACCESSED, None, meaning, _STUDY)


def _configured(kind: str, meaning: str) -> AuditKind:
    return AuditKind(kind, EventId.SECURITY_ALERT, EventType.SECURITY_CONFIGURATION, meaning)


def _ran(kind: str, event_type: EventType, meaning: str) -> AuditKind:
    return AuditKind(kind, EventId.APPLICATION_ACTIVITY, event_type, meaning)


def _site_operation(verb: Verb) -> AuditKind:
    meaning = f"the gate was asked to let somebody {verb} the site"
    if verb is Verb.AUDIT:
        return AuditKind(f"site.{verb}", EventId.AUDIT_LOG_USED, None, meaning)
    return AuditKind(f"site.{verb}", EventId.SECURITY_ALERT, EventType.RESTRICTED_FUNCTION, meaning)


_ALL: Final = (
    _node("connection.refused", "a caller came no further than the door"),
    _node("association.admitted", "an association began"),
    _node("association.refused", "an association was rejected"),
    _node("association.ended", "an association was released or its connection closed"),
    _node("association.aborted", "an association was aborted"),
    _node("association.cut", "a live association was ended: its permission is gone"),
    *(
        AuditKind(f"operation.{verb}", _OPERATIONS[verb], None, f"the gate was asked for {verb}")
        for verb in sorted(MACHINE_VERBS | PERSON_VERBS)
    ),
    *(_site_operation(verb) for verb in sorted(SITE_VERBS)),
    AuditKind(
        "budget.exceeded",
        EventId.SECURITY_ALERT,
        EventType.RESTRICTED_FUNCTION,
        "somebody used more than the budget of an hour: told once an hour, beside each refusal",
    ),
    AuditKind(
        "review.overdue",
        EventId.SECURITY_ALERT,
        EventType.RESTRICTED_FUNCTION,
        "a review was not made by its date, and what hangs on it is refused: told once for each date",
    ),
    _moved("instance.stored", "an instance was received and is durable"),
    _moved("instance.repeated", "an instance was received that is already stored, identical"),
    _moved("instance.quarantined", "an instance contradicts what is stored and is kept apart"),
    _moved("instance.learned", "an instance came from what is being learned, and is kept apart"),
    _moved("instance.adopted", "an instance that was kept apart is served: its sender was accepted"),
    _moved("instance.refused", "an instance could not be stored"),
    AuditKind("query.answered", EventId.QUERY, None, "a query was answered"),
    _moved("retrieval.sent", "instances of a study left the archive", _STUDY),
    _deleted("study.deleted", "a study, or a part of it, was moved to the bin", _STUDY),
    _changed("study.restored", "what was deleted of a study is served again"),
    _deleted("instance.erased", "an instance's key was destroyed: nobody will read it again", _OBJECT),
    _changed("study.held", "a study was put under a legal hold"),
    _changed("study.released", "a legal hold was lifted"),
    _changed("study.labelled", "a label was put on a study"),
    _changed("study.unlabelled", "a label was taken off a study"),
    _moved("instance.damaged", "an instance does not read back as it was received", _OBJECT),
    _moved("instance.aside", "a damaged instance was set aside, so that it can be sent again", _OBJECT),
    _moved("instance.mended", "an instance that was damaged reads well again", _OBJECT),
    _ran("server.started", EventType.APPLICATION_START, "the server accepts connections"),
    _ran("server.stopped", EventType.APPLICATION_STOP, "the server has drained and ends"),
    _ran("server.recovered", EventType.APPLICATION_START, "what a crash left unfinished was put right"),
    _configured("site.created", "a site was made"),
    _configured("policy.applied", "an administrator put another policy in place"),
    _configured("policy.reloaded", "another policy is in force"),
    _configured("policy.rejected", "a changed policy is wrong; the old one stays in force"),
    _configured("device.added", "a device was added"),
    _configured("device.renewed", "a device got another certificate"),
    _configured("device.watched", "an address is being learned"),
    _configured("device.unwatched", "an address is learned no more"),
    _configured("device.learned", "a rule was made of what was seen at an address"),
    _configured("device.revoked", "a device's certificate was revoked"),
    _configured("keys.renewed", "a site key was made current, or is again being put in place"),
    _configured("keys.adopted", "the server seals with another site key"),
    _configured("keys.rotated", "objects were put under the current site key"),
    _configured("keys.exported", "the keys of the site were sealed into a recovery bundle"),
    _configured("keys.drilled", "a recovery bundle was tried on the archive"),
    _ran(
        "segment.compacted",
        EventType.SOFTWARE_CONFIGURATION,
        "a segment gave back the room of what was erased",
    ),
    _configured("backup.made", "a snapshot of the site was added to a backup"),
    _configured("backup.verified", "everything in a backup was read and compared"),
    _configured("site.restored", "the site was restored from a backup"),
    _ran("index.recounted", EventType.SOFTWARE_CONFIGURATION, "counters in the index were off, and mended"),
    _ran("check.finished", EventType.SOFTWARE_CONFIGURATION, "segments, index and audit were compared"),
)

KINDS: Final[Mapping[str, AuditKind]] = MappingProxyType({each.kind: each for each in _ALL})


def codes(kind: AuditKind, outcome: Outcome) -> tuple[EventId, EventType | None]:
    """The A.5 event of one line. A refusal is a Security Alert (§A.5.3.11), whatever was asked for."""
    if outcome is Outcome.DENIED and kind.event is not EventId.SECURITY_ALERT:
        return EventId.SECURITY_ALERT, EventType.RESTRICTED_FUNCTION
    return kind.event, kind.type
