"""The files that every server gets: CT images of invented patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pydicom

from leadglass.dataset.part10 import file_meta
from leadglass.dataset.synthetic import Modality, SyntheticPatient, synthetic_study
from leadglass.protocol.negotiation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION

LARGE, SMALL = 512, 16


def ct_study(folder: Path, *, patient: int, images: int, size: int = LARGE) -> Sequence[Path]:
    """Write one study of CT images, ``size`` pixels square and 2 bytes a pixel. The same every time."""
    folder.mkdir(parents=True, exist_ok=True)
    person = SyntheticPatient(f"Bench^Patient {patient:05}", patient_id(patient), "19700101", "O")
    made = synthetic_study(patient, Modality.CT, person, instances=images, rows=size, columns=size)
    paths = []
    for number, instance in enumerate(made, 1):
        path = folder / f"{patient:05}-{number:04}.dcm"
        meta = file_meta(
            instance.sop_class,
            instance.sop_instance,
            instance.transfer_syntax,
            implementation_class=IMPLEMENTATION_CLASS_UID,
            implementation_version=IMPLEMENTATION_VERSION,
        )
        path.write_bytes(meta + instance.dataset)
        paths.append(path)
    return paths


def small_studies(folder: Path, count: int) -> Sequence[Path]:
    """Write so many studies of one tiny image each, a patient each."""
    patients = range(1, count + 1)
    return [path for patient in patients for path in ct_study(folder, patient=patient, images=1, size=SMALL)]


def patient_id(patient: int) -> str:
    """The Patient ID of that patient."""
    return f"BENCH{patient:05}"


def study_date(path: Path) -> str:
    """The Study Date of a file."""
    return str(pydicom.dcmread(path, stop_before_pixels=True).StudyDate)


def study_uid(path: Path) -> str:
    """The Study Instance UID of a file."""
    return str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID)
