from __future__ import annotations

import io

import pydicom
import pytest

from leadglass.dataset.part10 import FileMeta, file_meta, read_part10
from leadglass.model.errors import DatasetInvalid
from leadglass.model.names import Uid
from tests.support.corpus import storable
from tests.unit.dataset.building import (
    BIG,
    CT_IMAGE,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    explicit,
    implicit,
    padded,
    study_uids,
    uids,
)

MAGIC = bytes(128) + b"DICM"
META = FileMeta(CT_IMAGE, Uid("1.2.3.4"), EXPLICIT)


def meta(transfer_syntax: Uid = EXPLICIT) -> bytes:
    return file_meta(
        CT_IMAGE,
        Uid("1.2.3.4"),
        transfer_syntax,
        implementation_class=Uid("2.25.1"),
        implementation_version="TEST_1",
    )


def test_what_is_written_pydicom_reads() -> None:
    content = meta() + uids() + study_uids()
    assert content[:128] == bytes(128)
    dataset = pydicom.dcmread(io.BytesIO(content))
    assert str(dataset.file_meta.TransferSyntaxUID) == EXPLICIT
    assert str(dataset.file_meta.MediaStorageSOPClassUID) == CT_IMAGE
    assert dataset.file_meta.MediaStorageSOPInstanceUID == "1.2.3.4"
    assert dataset.file_meta.ImplementationClassUID == "2.25.1"
    assert dataset.file_meta.ImplementationVersionName == "TEST_1"
    assert dataset.file_meta.FileMetaInformationGroupLength == len(meta()) - 144
    assert dataset.SOPInstanceUID == "1.2.3.4"


def test_what_is_written_is_read_again() -> None:
    part10 = read_part10(meta() + uids() + study_uids())
    assert part10.meta == META
    assert bytes(part10.dataset) == uids() + study_uids()


def test_the_preamble_may_be_missing() -> None:
    assert read_part10((meta() + uids() + study_uids())[132:]).meta == META


def test_a_missing_transfer_syntax_is_told_from_the_data_set() -> None:
    group = explicit(0x00020012, "UI", b"2.25")
    assert read_part10(MAGIC + group + uids() + study_uids()).meta == META


@pytest.mark.parametrize(
    ("dataset", "syntax"),
    [
        (uids(), EXPLICIT),
        (uids(">"), BIG),
        (implicit(0x00080016, padded(CT_IMAGE)) + implicit(0x00080018, b"1.2.3.4\0"), IMPLICIT),
    ],
)
def test_a_bare_data_set_is_read_by_its_first_element(dataset: bytes, syntax: Uid) -> None:
    part10 = read_part10(dataset + tail(syntax))
    assert part10.meta == FileMeta(CT_IMAGE, Uid("1.2.3.4"), syntax)


def tail(syntax: Uid) -> bytes:
    if syntax == IMPLICIT:
        return implicit(0x7FE00010, b"\0\0")
    return explicit(0x7FE00010, "OW", b"\0\0", ">" if syntax == BIG else "<")


def test_the_meta_group_stands_in_for_a_data_set_without_sop_uids() -> None:
    assert read_part10(meta() + study_uids()).meta == META
    assert read_part10(meta(JPEG) + b"\xff" * 20).meta.sop_instance == "1.2.3.4"


def test_a_file_cut_behind_its_last_index_tag_still_tells_its_own_uids() -> None:
    other = file_meta(
        CT_IMAGE, Uid("9.9"), EXPLICIT, implementation_class=Uid("2.25.1"), implementation_version=""
    )
    document = explicit(0x00420011, "OB", b"", length=1000)
    assert read_part10(other + uids() + study_uids() + document).meta == META


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello, world",
        bytes(200),
        MAGIC,
        MAGIC + explicit(0x00020010, "UI", b"", length=40),
        MAGIC + explicit(0x00020010, "??", b""),
        MAGIC + explicit(0x00020001, "OB", b"")[:10],
        MAGIC + explicit(0x00020010, "UI", b"nonsense"),
        MAGIC + explicit(0x00020010, "UI", padded(EXPLICIT)) + study_uids(),
    ],
)
def test_what_is_no_dicom_file_is_refused(content: bytes) -> None:
    with pytest.raises(DatasetInvalid):
        read_part10(content)


def test_real_files_are_taken_apart_without_a_byte_lost() -> None:
    for file in storable():
        if file.name.endswith("/bad_sequence.dcm"):
            continue  # its UIDs are no UIDs
        part10 = read_part10(file.path.read_bytes())
        assert bytes(part10.dataset) == file.dataset_bytes(), file.name
        assert part10.meta == FileMeta(Uid(file.sop_class), Uid(file.sop_instance), Uid(file.transfer_syntax))
