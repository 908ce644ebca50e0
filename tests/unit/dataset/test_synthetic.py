from __future__ import annotations

import io

import pydicom
import pytest

from leadglass.dataset.header import HeaderLimits, scan_header
from leadglass.dataset.part10 import file_meta
from leadglass.dataset.record import instance_record
from leadglass.dataset.synthetic import PATIENTS, Modality, SyntheticInstance, synthetic_study
from leadglass.model.names import Uid
from tests.unit.dataset.building import EXPLICIT, IMPLICIT


def read(instance: SyntheticInstance) -> pydicom.FileDataset:
    meta = file_meta(
        instance.sop_class,
        instance.sop_instance,
        instance.transfer_syntax,
        implementation_class=Uid("2.25.1"),
        implementation_version="TEST",
    )
    return pydicom.dcmread(io.BytesIO(meta + instance.dataset))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("modality", Modality)
def test_every_modality_is_readable_and_indexable(modality: Modality, syntax: Uid) -> None:
    made = list(
        synthetic_study(7, modality, PATIENTS[1], instances=2, rows=30, columns=41, transfer_syntax=syntax)
    )
    records = [
        instance_record(
            scan_header(each.dataset, syntax, HeaderLimits()),
            sop_class=each.sop_class,
            sop_instance=each.sop_instance,
            transfer_syntax=syntax,
        )
        for each in made
    ]
    assert len({record.study for record in records}) == len({record.series for record in records}) == 1
    assert len({record.sop_instance for record in records}) == 2
    dataset = read(made[0])
    assert dataset.Modality == modality
    assert dataset.PatientName == "Muster^Jörg"
    expected_bytes = 30 * 41 * dataset.BitsAllocated // 8
    assert len(dataset.PixelData) == expected_bytes + expected_bytes % 2
    assert min(dataset.PixelData) < max(dataset.PixelData)


def test_ultrasound_may_have_frames() -> None:
    (made,) = synthetic_study(1, Modality.US, PATIENTS[0], instances=1, rows=16, columns=16, frames=5)
    dataset = read(made)
    assert dataset.NumberOfFrames == 5
    assert len(dataset.PixelData) == 5 * 256
    assert dataset.SOPClassUID.name == "Ultrasound Multi-frame Image Storage"


def test_a_seed_makes_the_same_bytes_and_another_seed_makes_others() -> None:
    def study(seed: int) -> list[SyntheticInstance]:
        return list(synthetic_study(seed, Modality.CT, PATIENTS[0], instances=2, rows=8, columns=8))

    assert study(1) == study(1)
    assert {each.sop_instance for each in study(1)}.isdisjoint(each.sop_instance for each in study(2))


def test_every_patient_is_marked_as_invented() -> None:
    assert all(patient.patient_id.startswith("SYN-") for patient in PATIENTS)
    for patient in PATIENTS:
        (made,) = synthetic_study(3, Modality.CR, patient, instances=1, rows=4, columns=4)
        assert read(made).PatientName == patient.name
