"""The patients, studies and series above the instances that are being stored.

Read in bulk, changed in memory, written back in bulk: sixteen instances of one series cost the same
statements as one. What was read is kept from one transaction to the next (``Known``), for as long as
``write.Writer`` can tell that nobody else wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import bindparam, select, update

from leadglass.dataset import tags
from leadglass.index.attributes import encode_attributes
from leadglass.index.driver import Driver, Statement, Values, insertion
from leadglass.index.entries import Conflict
from leadglass.index.folding import fold_name, fold_value, parse_integer
from leadglass.index.lists import json_list, one_of, read_json_list
from leadglass.index.patients import PatientKey, patient_key, same_patient
from leadglass.index.schema import patient, series, study
from leadglass.model.instance import InstanceRecord
from leadglass.model.names import Uid
from leadglass.model.query import Level, Tag


@dataclass(slots=True, eq=False)
class _Patient:
    id: int
    key: PatientKey
    study_count: int
    series_count: int
    instance_count: int


@dataclass(slots=True, eq=False)
class _Study:
    id: int
    uid: Uid
    site: str
    patient: _Patient
    modalities: set[str]
    sop_classes: set[str]
    series_count: int
    instance_count: int


@dataclass(slots=True, eq=False)
class _Series:
    id: int
    study: _Study
    sop_classes: set[str]
    instance_count: int


@dataclass(slots=True, eq=False)
class Known:
    """What is known of the database as its last transaction left it. Everything else must be asked."""

    patients: dict[PatientKey, _Patient] = field(default_factory=dict)
    studies: dict[str, _Study] = field(default_factory=dict)
    series: dict[str, _Series] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How much that is."""
        return len(self.patients) + len(self.studies) + len(self.series)

    def forget(self) -> None:
        """Know nothing any more."""
        self.patients.clear()
        self.studies.clear()
        self.series.clear()


_PATIENT_COLUMNS: Final = (
    patient.c.id,
    patient.c.patient_id,
    patient.c.authority,
    patient.c.study_count,
    patient.c.series_count,
    patient.c.instance_count,
)
_STUDY_COLUMNS: Final = (
    study.c.id,
    study.c.study_uid,
    study.c.site,
    study.c.modalities,
    study.c.sop_classes,
    study.c.series_count,
    study.c.instance_count,
)
_SERIES_COLUMNS: Final = (
    series.c.id,
    series.c.series_uid,
    series.c.sop_classes,
    series.c.instance_count,
)
# A row begins with its patient, then its study, then its series.
_STUDY_AT: Final = len(_PATIENT_COLUMNS)
_SERIES_AT: Final = _STUDY_AT + len(_STUDY_COLUMNS)

_FIND_SERIES: Final = Statement(
    select(*_PATIENT_COLUMNS, *_STUDY_COLUMNS, *_SERIES_COLUMNS)
    .select_from(series.join(study).join(patient))
    .where(series.c.series_uid.in_(one_of("uids")))
)
_FIND_STUDIES: Final = Statement(
    select(*_PATIENT_COLUMNS, *_STUDY_COLUMNS)
    .select_from(study.join(patient))
    .where(study.c.study_uid.in_(one_of("uids")))
)
_FIND_PATIENT: Final = Statement(
    select(*_PATIENT_COLUMNS).where(
        patient.c.patient_id == bindparam("number"), patient.c.authority == bindparam("issuer")
    )
)
_COUNT_PATIENT: Final = Statement(
    update(patient).where(patient.c.id == bindparam("row")), ("study_count", "series_count", "instance_count")
)
_COUNT_STUDY: Final = Statement(
    update(study).where(study.c.id == bindparam("row")),
    ("modalities", "sop_classes", "series_count", "instance_count"),
)
_COUNT_SERIES: Final = Statement(
    update(series).where(series.c.id == bindparam("row")), ("sop_classes", "instance_count")
)
_INSERT_PATIENT: Final = insertion(patient, patient.c.id)
_INSERT_STUDY: Final = insertion(study, study.c.id)
_INSERT_SERIES: Final = insertion(series, series.c.id)


class Lineage:
    """One transaction's hand on the levels above; see the module."""

    def __init__(self, driver: Driver, known: Known) -> None:
        self._driver = driver
        self._known = known
        self._changed: dict[int, _Series] = {}

    def load(self, records: Iterable[InstanceRecord]) -> None:
        """Read whatever the records' series and studies already are."""
        known = self._known
        unread = [record for record in records if record.series not in known.series]
        if not unread:
            return
        uids = json_list(sorted({record.series for record in unread}))
        for row in self._driver.rows(_FIND_SERIES, {"uids": uids}):
            series_row, series_uid, sop_classes, instance_count = row[_SERIES_AT:]
            known.series[series_uid] = _Series(
                series_row, self._study_of(row), set(read_json_list(sop_classes)), instance_count
            )
        study_uids = sorted({record.study for record in unread if record.study not in known.studies})
        if study_uids:
            for row in self._driver.rows(_FIND_STUDIES, {"uids": json_list(study_uids)}):
                self._study_of(row)

    def place(self, record: InstanceRecord, site: str) -> int | Conflict:
        """The series row the instance belongs under, made if need be, its counters raised.

        ``load`` has seen the record. A conflict changes nothing.
        """
        known_series = self._known.series.get(record.series)
        if known_series is not None and known_series.study.uid != record.study:
            return Conflict.SERIES_OF_ANOTHER_STUDY
        key = patient_key(record, site)
        known_study = self._known.studies.get(record.study)
        if known_study is None:
            known_study = self._new_study(record, site, key)
        elif not same_patient(known_study.patient.key, known_study.site, key, site):
            return Conflict.STUDY_OF_ANOTHER_PATIENT
        if known_series is None:
            known_series = self._new_series(record, known_study)
        self._count(known_series, record.sop_class)
        return known_series.id

    def flush(self) -> None:
        """Write the counters of all that changed since the last flush."""
        changed = list(self._changed.values())
        self._changed.clear()
        studies = {each.study.id: each.study for each in changed}
        patients = {each.patient.id: each.patient for each in studies.values()}
        if not changed:
            return
        self._driver.run(_COUNT_SERIES, [_series_values(each) for each in changed])
        self._driver.run(_COUNT_STUDY, [_study_values(each) for each in studies.values()])
        self._driver.run(_COUNT_PATIENT, [_patient_values(each) for each in patients.values()])

    def _count(self, placed: _Series, sop_class: Uid) -> None:
        placed.instance_count += 1
        placed.sop_classes.add(sop_class)
        placed.study.instance_count += 1
        placed.study.sop_classes.add(sop_class)
        placed.study.patient.instance_count += 1
        self._changed[placed.id] = placed

    def _study_of(self, row: Sequence[Any]) -> _Study:
        study_row, uid, site, modalities, sop_classes, series_count, instance_count = row[
            _STUDY_AT:_SERIES_AT
        ]
        known = self._known.studies.get(uid)
        if known is None:
            known = self._known.studies[uid] = _Study(
                study_row,
                Uid(uid),
                site,
                self._patient_of(row),
                set(read_json_list(modalities)),
                set(read_json_list(sop_classes)),
                series_count,
                instance_count,
            )
        return known

    def _patient_of(self, row: Sequence[Any]) -> _Patient:
        patient_row, patient_id, authority, study_count, series_count, instance_count = row[:_STUDY_AT]
        key = PatientKey(patient_id, authority)
        known = self._known.patients.get(key)
        if known is None:
            known = _Patient(patient_row, key, study_count, series_count, instance_count)
            self._known.patients[key] = known
        return known

    def _find_patient(self, key: PatientKey, record: InstanceRecord) -> _Patient:
        if key in self._known.patients:
            return self._known.patients[key]
        found = self._driver.rows(_FIND_PATIENT, {"number": key.patient_id, "issuer": key.authority})
        if found:
            return self._patient_of(found[0])
        alphabetic, ideographic, phonetic = fold_name(record.attributes.get(tags.PATIENT_NAME, ""))
        new = _Patient(0, key, 0, 0, 0)
        new.id = self._insert(
            _INSERT_PATIENT,
            {
                "patient_id": key.patient_id,
                "authority": key.authority,
                "name_alphabetic": alphabetic,
                "name_ideographic": ideographic or None,
                "name_phonetic": phonetic or None,
                "birth_date": _folded(record, tags.PATIENT_BIRTH_DATE, "DA"),
                "study_count": 0,
                "series_count": 0,
                "instance_count": 0,
                "attributes": encode_attributes(Level.PATIENT, record.attributes),
            },
        )
        self._known.patients[key] = new
        return new

    def _new_study(self, record: InstanceRecord, site: str, key: PatientKey) -> _Study:
        new = _Study(0, record.study, site, self._find_patient(key, record), set(), set(), 0, 0)
        new.id = self._insert(
            _INSERT_STUDY,
            {
                "patient": new.patient.id,
                "study_uid": record.study,
                "site": site,
                "study_date": _folded(record, tags.STUDY_DATE, "DA"),
                "study_time": _folded(record, tags.STUDY_TIME, "TM"),
                "accession_number": _folded(record, tags.ACCESSION_NUMBER, "SH"),
                "modalities": "[]",
                "sop_classes": "[]",
                "series_count": 0,
                "instance_count": 0,
                "attributes": encode_attributes(Level.STUDY, record.attributes),
            },
        )
        new.patient.study_count += 1
        self._known.studies[new.uid] = new
        return new

    def _new_series(self, record: InstanceRecord, parent: _Study) -> _Series:
        new = _Series(0, parent, set(), 0)
        new.id = self._insert(
            _INSERT_SERIES,
            {
                "study": parent.id,
                "series_uid": record.series,
                "modality": record.modality,
                "number": parse_integer(record.attributes.get(tags.SERIES_NUMBER, "")),
                "sop_classes": "[]",
                "instance_count": 0,
                "attributes": encode_attributes(Level.SERIES, record.attributes),
            },
        )
        if record.modality:
            parent.modalities.add(record.modality)
        parent.series_count += 1
        parent.patient.series_count += 1
        self._known.series[record.series] = new
        return new

    def _insert(self, insertion: Statement, values: Values) -> int:
        [(row,)] = self._driver.rows(insertion, values)
        return int(row)


def _folded(record: InstanceRecord, tag: Tag, vr: str) -> str:
    return fold_value(vr, record.attributes.get(tag, ""))


def _series_values(each: _Series) -> dict[str, str | int]:
    return {
        "row": each.id,
        "sop_classes": json_list(sorted(each.sop_classes)),
        "instance_count": each.instance_count,
    }


def _study_values(each: _Study) -> dict[str, str | int]:
    return {
        "row": each.id,
        "modalities": json_list(sorted(each.modalities)),
        "sop_classes": json_list(sorted(each.sop_classes)),
        "series_count": each.series_count,
        "instance_count": each.instance_count,
    }


def _patient_values(each: _Patient) -> dict[str, int]:
    return {
        "row": each.id,
        "study_count": each.study_count,
        "series_count": each.series_count,
        "instance_count": each.instance_count,
    }
