"""Whose a study is, for the administrator who must do something about it. PHI: never for a log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, func, select

from leadglass.dataset import tags
from leadglass.index.attributes import decode_attributes, json_name
from leadglass.index.engine import reading
from leadglass.index.failures import database_failures
from leadglass.index.lists import json_list, one_of
from leadglass.index.returning import kept_attributes
from leadglass.index.schema import binned, patient, study
from leadglass.index.verbs import MAY_NAME, require
from leadglass.model.errors import IntegrityBroken
from leadglass.model.permit import Permit
from leadglass.model.query import Tag

STUDIES_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, repr=False)
class StudyNames:
    """What people call a study, as it was received; empty where it was not said. It has no repr: PHI."""

    patient_id: str
    patient_name: str
    study_date: str
    study_description: str
    accession_number: str


def study_names(engine: Engine, permit: Permit, study_uids: Iterable[str]) -> dict[str, StudyNames]:
    """The names of these studies, served ones and those in the bin; what is neither is left out.

    Raises:
        NotPermitted: the permit is not for a check.
        IntegrityBroken: a row cannot be read.
    """
    require(permit, MAY_NAME)
    wanted = sorted(set(study_uids))
    found: dict[str, StudyNames] = {}
    with database_failures(), reading(engine).connect() as connection:
        for start in range(0, len(wanted), STUDIES_AT_ONCE):
            some = wanted[start : start + STUDIES_AT_ONCE]
            found |= _binned(connection, some) | _served(connection, some)
    return found


def _served(connection: Connection, uids: list[str]) -> dict[str, StudyNames]:
    rows = connection.execute(_SERVED, {"uids": json_list(uids)})
    return {
        uid: _names(number, _plain(of_patient) | _plain(of_study))
        for uid, number, of_patient, of_study in rows
    }


def _binned(connection: Connection, uids: list[str]) -> dict[str, StudyNames]:
    found = {}
    for uid, text in connection.execute(_BINNED, {"uids": json_list(uids)}):
        try:
            attributes = kept_attributes(text)
        except msgspec.MsgspecError as error:
            raise IntegrityBroken("index: attributes in the bin cannot be read") from error
        found[uid] = _names(attributes.get(tags.PATIENT_ID, ""), attributes)
    return found


def _plain(text: str) -> dict[Tag, str]:
    """The wanted attributes in the JSON text of a row."""
    kept = decode_attributes(text)
    values = {tag: kept[json_name(tag)] for tag in _NAMING if json_name(tag) in kept}
    return {tag: value if isinstance(value, str) else "\\".join(value) for tag, value in values.items()}


def _names(patient_id: str, attributes: dict[Tag, str]) -> StudyNames:
    return StudyNames(patient_id, *(attributes.get(tag, "") for tag in _NAMING))


_NAMING: Final = (tags.PATIENT_NAME, tags.STUDY_DATE, tags.STUDY_DESCRIPTION, tags.ACCESSION_NUMBER)
_SERVED: Final = (
    select(study.c.study_uid, patient.c.patient_id, patient.c.attributes, study.c.attributes)
    .select_from(study.join(patient))
    .where(study.c.study_uid.in_(one_of("uids")))
)
_FIRST: Final = (
    select(func.min(binned.c.id)).where(binned.c.study_uid.in_(one_of("uids"))).group_by(binned.c.study_uid)
)
_BINNED: Final = select(binned.c.study_uid, binned.c.attributes).where(binned.c.id.in_(_FIRST))
