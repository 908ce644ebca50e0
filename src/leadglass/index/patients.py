"""Who counts as one patient."""

from __future__ import annotations

from dataclasses import dataclass

from leadglass.dataset import tags
from leadglass.model.instance import InstanceRecord


@dataclass(frozen=True, slots=True)
class PatientKey:
    """A patient's number and who gave it. PS3.3 §C.7.1.1: a Patient ID means nothing without its issuer.

    ``authority`` is ``issuer:<IssuerOfPatientID>``, or ``site:<sending site>`` where the data set
    names none, or ``study:<uid>`` where there is no number either, so that unknown people never merge.
    The prefix keeps a peer from claiming another kind of authority.
    """

    patient_id: str
    authority: str


_SITE = "site:"
_ISSUER = "issuer:"


def patient_key(record: InstanceRecord, site: str) -> PatientKey:
    """The patient an instance from ``site`` belongs to."""
    patient_id = record.attributes.get(tags.PATIENT_ID, "").strip(" ")
    if not patient_id:
        return PatientKey("", f"study:{record.study}")
    issuer = record.attributes.get(tags.ISSUER_OF_PATIENT_ID, "").strip(" ")
    return PatientKey(patient_id, issued_by(issuer) if issuer else f"{_SITE}{site}")


def issued_by(issuer: str) -> str:
    """The authority of patients whose number this issuer gave."""
    return f"{_ISSUER}{issuer}"


def same_patient(known: PatientKey, known_site: str, arriving: PatientKey, site: str) -> bool:
    """Whether an instance may join a study of the ``known`` patient, first sent from ``known_site``.

    Devices of one site disagree on naming the issuer, so there a missing issuer contradicts nothing.
    Across sites it does.
    """
    if known == arriving:
        return True
    one_names_no_issuer = known.authority.startswith(_SITE) or arriving.authority.startswith(_SITE)
    return known.patient_id == arriving.patient_id != "" and known_site == site and one_names_no_issuer
