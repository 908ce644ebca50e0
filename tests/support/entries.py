"""Synthetic instances for the index, and permits for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from leadglass.dataset import tags
from leadglass.index.entries import NewInstance
from leadglass.model.action import Action, Verb
from leadglass.model.caller import LocalAdministrator
from leadglass.model.instance import InstanceRecord, Location
from leadglass.model.names import Uid
from leadglass.model.permit import EVERYTHING, Permit, Scope, issue_permit
from leadglass.model.query import Tag

CT = Uid("1.2.840.10008.5.1.4.1.1.2")
EXPLICIT = Uid("1.2.840.10008.1.2.1")
RECEIVED_AT = datetime(2026, 2, 3, 4, 5, 6, 789_012, tzinfo=UTC)


def permit(verb: Verb, scope: Scope = EVERYTHING, site: str = "") -> Permit:
    return issue_permit(
        LocalAdministrator("tester"), Action(verb), scope, who="tester", rule="test", site=site
    )


def study_uid(number: int) -> Uid:
    return Uid(f"1.2.3.1.{number}")


def series_uid(study: int, series: int) -> Uid:
    return Uid(f"1.2.3.2.{study}.{series}")


def instance_uid(study: int, series: int, instance: int) -> Uid:
    return Uid(f"1.2.3.3.{study}.{series}.{instance}")


def record(
    study: int = 1,
    series: int = 1,
    instance: int = 1,
    *,
    attributes: Mapping[Tag, str] | None = None,
    modality: str = "CT",
    sop_class: Uid = CT,
    transfer_syntax: Uid = EXPLICIT,
) -> InstanceRecord:
    """Instance 1.1.1 by default; ``attributes`` replace the usual ones."""
    usual: dict[Tag, str] = {
        tags.PATIENT_ID: "P1",
        tags.PATIENT_NAME: "Doe^Jane",
        tags.PATIENT_BIRTH_DATE: "19700102",
        tags.STUDY_DATE: "20240115",
        tags.STUDY_TIME: "101530",
        tags.ACCESSION_NUMBER: f"A{study}",
        tags.STUDY_DESCRIPTION: "HEAD",
        tags.SERIES_NUMBER: str(series),
        tags.INSTANCE_NUMBER: str(instance),
    }
    return InstanceRecord(
        sop_class=sop_class,
        sop_instance=instance_uid(study, series, instance),
        study=study_uid(study),
        series=series_uid(study, series),
        transfer_syntax=transfer_syntax,
        modality=modality,
        attributes={**usual, **(attributes or {})},
    )


def new_instance(of: InstanceRecord, content: bytes = b"pixels", offset: int = 0) -> NewInstance:
    return NewInstance(
        record=of,
        object_id=hashlib.sha256(of.sop_instance.encode() + content).digest()[:16],
        location=Location("01ARZ3NDEKTSV4RRFFQ69G5FAV", offset, 100),
        size_bytes=90,
        sha256=hashlib.sha256(content).digest(),
        received_at=RECEIVED_AT,
        received_from="ct1",
    )
