from __future__ import annotations

import pytest

from leadglass.dataset import tags
from leadglass.dataset.header import HeaderLimits, scan_header
from leadglass.dataset.record import instance_record
from leadglass.model.errors import DatasetInvalid, DatasetMismatch, InstanceInvalid
from leadglass.model.instance import InstanceRecord
from leadglass.model.names import Uid
from tests.unit.dataset.building import BIG, CT_IMAGE, EXPLICIT, explicit, study_uids, uids


def record(data: bytes, syntax: Uid = EXPLICIT, instance: str = "1.2.3.4") -> InstanceRecord:
    header = scan_header(data, syntax, HeaderLimits())
    return instance_record(header, sop_class=CT_IMAGE, sop_instance=Uid(instance), transfer_syntax=syntax)


def test_a_record_holds_decoded_text_and_its_uids() -> None:
    found = record(
        explicit(0x00080005, "CS", b"ISO_IR 100")
        + explicit(tags.IMAGE_TYPE, "CS", b"ORIGINAL\\PRIMARY ")
        + uids()
        + explicit(tags.MODALITY, "CS", b"CT")
        + explicit(tags.PATIENT_NAME, "PN", b"Muster^J\xf6rg")
        + explicit(tags.PATIENT_ID, "LO", b"")
        + study_uids()
        + explicit(tags.ROWS, "US", b"\x00\x02")
    )
    assert found.sop_class == CT_IMAGE
    assert found.study == "1.2.3"
    assert found.series == "1.2.3.1"
    assert found.modality == "CT"
    assert found.attributes == {
        tags.IMAGE_TYPE: "ORIGINAL\\PRIMARY",
        tags.SOP_CLASS_UID: CT_IMAGE,
        tags.SOP_INSTANCE_UID: "1.2.3.4",
        tags.MODALITY: "CT",
        tags.PATIENT_NAME: "Muster^Jörg",
        tags.PATIENT_ID: "",
        tags.STUDY_INSTANCE_UID: "1.2.3",
        tags.SERIES_INSTANCE_UID: "1.2.3.1",
        tags.ROWS: "512",
        tags.AVAILABLE_TRANSFER_SYNTAX_UID: EXPLICIT,
    }


def test_big_endian_numbers_are_read_as_such() -> None:
    data = uids(">") + study_uids(">") + explicit(tags.ROWS, "US", b"\x02\x00", ">")
    assert record(data, BIG).attributes[tags.ROWS] == "512"


def test_a_missing_modality_is_empty() -> None:
    assert record(uids() + study_uids()).modality == ""


def test_the_available_transfer_syntax_is_never_taken_from_the_object() -> None:
    claim = explicit(tags.AVAILABLE_TRANSFER_SYNTAX_UID, "UI", b"1.2.840.10008.1.2.4.50\0\0")
    assert record(uids() + claim + study_uids()).attributes[tags.AVAILABLE_TRANSFER_SYNTAX_UID] == EXPLICIT


def test_another_sop_instance_or_class_than_announced_is_a_mismatch() -> None:
    with pytest.raises(DatasetMismatch, match="0008,0018"):
        record(uids() + study_uids(), instance="1.2.3.5")
    other = explicit(tags.SOP_CLASS_UID, "UI", b"1.2\0") + explicit(tags.SOP_INSTANCE_UID, "UI", b"1.2.3.4\0")
    with pytest.raises(DatasetMismatch, match="0008,0016"):
        record(other + study_uids())


@pytest.mark.parametrize("data", [uids() + study_uids(), study_uids()])
def test_a_command_that_announced_no_uid_is_refused_whatever_the_data_set_says(data: bytes) -> None:
    with pytest.raises(InstanceInvalid) as refused:
        record(data, instance="")
    assert refused.value.dimse_status == 0x0117


@pytest.mark.parametrize(
    "data",
    [
        study_uids(),
        uids(),
        uids() + study_uids()[: len(study_uids()) // 2 - 1],
        uids() + explicit(tags.STUDY_INSTANCE_UID, "UI", b"x" * 64) + study_uids()[14:],
        uids() + explicit(tags.STUDY_INSTANCE_UID, "UI", b"1.2\0003.4\0") + study_uids()[14:],
    ],
)
def test_a_uid_that_is_missing_or_none_makes_the_data_set_invalid(data: bytes) -> None:
    with pytest.raises(DatasetInvalid):
        record(data)
