"""C-GET's and C-MOVE's side of the index: keys to instances and where their bytes lie."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, select, true

from leadglass.index.engine import reading
from leadglass.index.failures import database_failures
from leadglass.index.folding import storable
from leadglass.index.lists import json_list, one_of
from leadglass.index.patients import PatientKey, issued_by, same_patient
from leadglass.index.schema import instance, patient, series, study, study_label
from leadglass.index.scope import within_scope
from leadglass.index.stored_row import INSTANCE_COLUMNS, stored_instance
from leadglass.index.verbs import MAY_LOCATE, require
from leadglass.model.errors import IdentifierMismatch, PatientAmbiguous
from leadglass.model.instance import StoredInstance
from leadglass.model.permit import Permit
from leadglass.model.query import Level, RetrieveKeys

_LABELS: Final = (
    select(study.c.study_uid, study_label.c.label)
    .join(study_label, study_label.c.study == study.c.id)
    .where(study.c.study_uid.in_(one_of("uids")))
)


def locate(engine: Engine, permit: Permit, keys: RetrieveKeys) -> list[StoredInstance]:
    """Every instance that the keys name and the permit reaches, by study, series number, instance number.

    Each key given narrows the result. The key of the keys' own level must be given: a retrieval
    names what it wants, and an empty one never means everything. A PatientID is one person's: what it
    names without its issuer is of one person or it is nothing, for two hospitals' patient 123 are two.

    Raises:
        NotPermitted: the permit is not for a retrieval.
        IdentifierMismatch: the key of the level is missing.
        PatientAmbiguous: the PatientID, without its issuer, reached several people.
    """
    require(permit, MAY_LOCATE)
    given = _given(keys)
    if keys.level not in given:
        raise IdentifierMismatch(f"a retrieval at {keys.level.name} level without its unique key")
    statement: Select[Any] = (
        select(
            *INSTANCE_COLUMNS,
            patient.c.id.label("patient"),
            patient.c.patient_id,
            patient.c.authority,
            study.c.site,
        )
        .select_from(instance.join(series).join(study).join(patient))
        .where(
            within_scope(permit.scope, Level.IMAGE),
            *(_KEY_COLUMNS[level].in_(one_of(level.name)) for level in given),
            _issued(keys),
        )
        .order_by(
            study.c.study_uid,
            series.c.number,
            series.c.series_uid,
            instance.c.number,
            instance.c.sop_instance,
        )
    )
    parameters = {level.name: json_list(values) for level, values in given.items()}
    with database_failures(), reading(engine).connect() as connection:
        rows = connection.execute(statement, parameters).all()
        if keys.patient_id and keys.issuer is None and _of_several_people(rows):
            raise PatientAmbiguous("a PatientID without its issuer, which several people bear")
        labels = _labels(connection, sorted({row.study_uid for row in rows}))
    return [
        stored_instance(row, labels.get(row.study_uid, frozenset()), row.patient, row.site) for row in rows
    ]


_KEY_COLUMNS: Final[dict[Level, ColumnElement[Any]]] = {
    Level.PATIENT: patient.c.patient_id,
    Level.STUDY: study.c.study_uid,
    Level.SERIES: series.c.series_uid,
    Level.IMAGE: instance.c.sop_instance,
}


def _of_several_people(rows: Sequence[Row[Any]]) -> bool:
    """Whether some of them cannot be of one patient, as far as their issuers and sites tell."""
    bearers = {(PatientKey(row.patient_id, row.authority), row.site) for row in rows}
    return not all(same_patient(*one, *other) for one, other in combinations(bearers, 2))


def _issued(keys: RetrieveKeys) -> ColumnElement[bool]:
    """True for patients whose number the issuer gave; an issuer without a number says nothing."""
    if not keys.patient_id or keys.issuer is None:
        return true()
    return patient.c.authority == issued_by(storable(keys.issuer))


def _given(keys: RetrieveKeys) -> dict[Level, list[str]]:
    every: dict[Level, list[str]] = {
        Level.PATIENT: [storable(keys.patient_id)] if keys.patient_id else [],
        Level.STUDY: list(keys.studies),
        Level.SERIES: list(keys.series),
        Level.IMAGE: list(keys.instances),
    }
    return {level: values for level, values in every.items() if values}


def _labels(connection: Connection, studies: list[str]) -> dict[str, frozenset[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for uid, label in connection.execute(_LABELS, {"uids": json_list(studies)}):
        found[uid].add(label)
    return {uid: frozenset(labels) for uid, labels in found.items()}
