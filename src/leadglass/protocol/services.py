"""What the archive serves: one table that feeds negotiation and the conformance statement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from leadglass.model.action import Verb
from leadglass.model.names import Uid
from leadglass.model.storage_classes import STORAGE_CLASSES

VERIFICATION = Uid("1.2.840.10008.1.1")
PATIENT_ROOT_FIND = Uid("1.2.840.10008.5.1.4.1.2.1.1")
PATIENT_ROOT_MOVE = Uid("1.2.840.10008.5.1.4.1.2.1.2")
PATIENT_ROOT_GET = Uid("1.2.840.10008.5.1.4.1.2.1.3")
STUDY_ROOT_FIND = Uid("1.2.840.10008.5.1.4.1.2.2.1")
STUDY_ROOT_MOVE = Uid("1.2.840.10008.5.1.4.1.2.2.2")
STUDY_ROOT_GET = Uid("1.2.840.10008.5.1.4.1.2.2.3")


class ServiceRole(StrEnum):
    """The roles Leadglass takes: the archive provides, the command line and C-MOVE use."""

    SCP = "SCP"
    BOTH = "SCU and SCP"


@dataclass(frozen=True, slots=True)
class Service:
    """One row: its SOP classes as (UID, name), the verb the policy must permit, our roles."""

    name: str
    sop_classes: tuple[tuple[Uid, str], ...] = field(repr=False)
    verb: Verb
    role: ServiceRole


SERVICES: tuple[Service, ...] = (
    Service("Verification", ((VERIFICATION, "Verification"),), Verb.ECHO, ServiceRole.BOTH),
    Service("Storage", STORAGE_CLASSES, Verb.STORE, ServiceRole.BOTH),
    Service(
        "Query",
        (
            (PATIENT_ROOT_FIND, "Patient Root Query/Retrieve Information Model - FIND"),
            (STUDY_ROOT_FIND, "Study Root Query/Retrieve Information Model - FIND"),
        ),
        Verb.FIND,
        ServiceRole.BOTH,
    ),
    Service(
        "Retrieve (C-GET)",
        (
            (PATIENT_ROOT_GET, "Patient Root Query/Retrieve Information Model - GET"),
            (STUDY_ROOT_GET, "Study Root Query/Retrieve Information Model - GET"),
        ),
        Verb.GET,
        ServiceRole.BOTH,
    ),
    Service(
        "Retrieve (C-MOVE)",
        (
            (PATIENT_ROOT_MOVE, "Patient Root Query/Retrieve Information Model - MOVE"),
            (STUDY_ROOT_MOVE, "Study Root Query/Retrieve Information Model - MOVE"),
        ),
        Verb.MOVE,
        ServiceRole.SCP,
    ),
)

_BY_SOP_CLASS: Mapping[Uid, Service] = MappingProxyType(
    {uid: service for service in SERVICES for uid, _ in service.sop_classes}
)


def service_of(abstract_syntax: Uid) -> Service | None:
    """The service a presentation context is for; ``None``: not one of ours."""
    return _BY_SOP_CLASS.get(abstract_syntax)
