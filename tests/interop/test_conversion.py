"""A peer that takes the other uncompressed syntax is served by conversion; every value stays what it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from leadglass.model.query import Level
from tests.support.client import Client, Got, SentObject
from tests.support.clinic import Clinic, open_clinic
from tests.support.corpus import CorpusFile, corpus_file, storable
from tests.support.datasets import dataset_of, differences, read
from tests.support.dcmtk import Argument, storescp
from tests.support.pynetdicom_peer import identifier
from tests.support.site import ARCHIVE_AE

SUCCESS, INCOMPLETE, SUBOPERATIONS_REFUSED = 0x0000, 0xB000, 0xA702
RAREST_FIRST = (
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
)
TRUNCATED = "pydicom/test_files/rtplan_truncated.dcm"


def one_of_each() -> list[CorpusFile]:
    """The uncompressed files, of those that share a UID the one in the rarest syntax."""
    chosen: dict[str, CorpusFile] = {}
    for syntax in RAREST_FIRST:
        for file in storable():
            if file.transfer_syntax == syntax and file.name != TRUNCATED:
                chosen.setdefault(file.sop_instance, file)
    return list(chosen.values())


FILES = one_of_each()
JPEG = corpus_file("SC_rgb_jpeg_dcmtk.dcm")  # its study has uncompressed images as well
LONELY_JPEG = corpus_file("SC_jpeg_no_color_transform.dcm")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic that holds every uncompressed file of the corpus, and two JPEG ones."""
    with open_clinic(tmp_path_factory.mktemp("conversion")) as clinic:
        sender = Client(clinic.site.tls_port, "CT1", ARCHIVE_AE, clinic.ct1)
        files = [*FILES, JPEG, LONELY_JPEG]
        assert sender.send([sent(file) for file in files]) == [SUCCESS] * len(files)
        yield clinic


@pytest.fixture(scope="module", params=[ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def got(request: pytest.FixtureRequest, archive: Clinic) -> tuple[str, Got]:
    """All of it, by a workstation that takes one syntax only: which one, and what came."""
    workstation = Client(archive.site.tls_port, "WS1", ARCHIVE_AE, archive.ws1)
    studies = "\\".join({file.study for file in FILES})
    kinds = {(file.sop_class, str(request.param)) for file in FILES}
    return str(request.param), workstation.get(Level.STUDY, [("StudyInstanceUID", studies)], sorted(kinds))


def sent(file: CorpusFile) -> SentObject:
    return SentObject(file.sop_class, file.sop_instance, file.transfer_syntax, file.dataset_bytes())


def of_images(file: CorpusFile) -> list[Argument]:
    return [
        "QueryRetrieveLevel=IMAGE",
        f"StudyInstanceUID={file.study}",
        f"SeriesInstanceUID={file.series}",
        f"SOPInstanceUID={file.sop_instance}",
    ]


def test_the_corpus_has_all_four_uncompressed_syntaxes() -> None:
    counts = Counter(file.transfer_syntax for file in FILES)
    assert set(counts) == set(RAREST_FIRST)
    assert counts[ExplicitVRBigEndian] > 5
    assert len(FILES) > 100


def test_nothing_fails_but_the_jpeg_and_that_is_named(got: tuple[str, Got]) -> None:
    _, all_of_it = got
    assert (all_of_it.end.status, all_of_it.end.failed) == (INCOMPLETE, 1)
    failed = dataset_of(all_of_it.identifier, ExplicitVRLittleEndian)
    assert failed.FailedSOPInstanceUIDList == JPEG.sop_instance
    assert set(all_of_it.objects) == {file.sop_instance for file in FILES}


def test_everything_comes_in_the_one_syntax_that_is_taken(got: tuple[str, Got]) -> None:
    syntax, all_of_it = got
    assert {each.transfer_syntax for each in all_of_it.objects.values()} == {syntax}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_value_is_what_it_was(got: tuple[str, Got], file: CorpusFile) -> None:
    syntax, all_of_it = got
    came = all_of_it.objects[file.sop_instance].dataset
    if file.transfer_syntax == syntax:
        assert came == file.dataset_bytes()
    assert differences(read(file.path), dataset_of(came, syntax)) == []


def test_a_jpeg_alone_is_a_failure_with_a_clear_status(archive: Clinic) -> None:
    workstation = Client(archive.site.tls_port, "WS1", ARCHIVE_AE, archive.ws1)
    kinds = [
        (LONELY_JPEG.sop_class, ExplicitVRLittleEndian),
        (LONELY_JPEG.sop_class, ImplicitVRLittleEndian),
    ]
    refused = workstation.get(Level.STUDY, [("StudyInstanceUID", LONELY_JPEG.study)], kinds)
    assert (refused.end.status, refused.end.completed, refused.end.failed) == (SUBOPERATIONS_REFUSED, 0, 1)
    failed = dataset_of(refused.identifier, ExplicitVRLittleEndian)
    assert failed.FailedSOPInstanceUIDList == LONELY_JPEG.sop_instance
    assert refused.objects == {}


def test_the_same_jpeg_goes_to_a_peer_that_takes_it_as_well(archive: Clinic) -> None:
    workstation = Client(archive.site.tls_port, "WS1", ARCHIVE_AE, archive.ws1)
    kinds = [(LONELY_JPEG.sop_class, ExplicitVRLittleEndian), (LONELY_JPEG.sop_class, JPEGBaseline8Bit)]
    served = workstation.get(Level.STUDY, [("StudyInstanceUID", LONELY_JPEG.study)], kinds)
    assert served.end.status == SUCCESS
    (came,) = served.objects.values()
    assert (came.transfer_syntax, came.dataset) == (JPEGBaseline8Bit, LONELY_JPEG.dataset_bytes())


STORED_AS = {
    "CT_small.dcm": "explicit",
    "ExplVR_BigEnd.dcm": "big endian",
    "image_dfl.dcm": "deflated",
}


@pytest.mark.parametrize("name", STORED_AS, ids=STORED_AS.get)
@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=["to implicit", "to explicit"]
)
def test_pynetdicom_gets_it_converted(archive: Clinic, name: str, syntax: str) -> None:
    file = corpus_file(name)
    query = identifier("SERIES", StudyInstanceUID=file.study, SeriesInstanceUID=file.series)
    workstation = archive.pynetdicom("oldws")
    got = workstation.get(query, classes=[file.sop_class], transfer_syntax=syntax)
    assert got.end.Status == SUCCESS
    (dataset,) = (one for one in got.came if one.SOPInstanceUID == file.sop_instance)
    assert differences(read(file.path), dataset) == []


@pytest.mark.parametrize("name", STORED_AS, ids=STORED_AS.get)
@pytest.mark.parametrize(
    ("option", "syntax"),
    [("+xi", ImplicitVRLittleEndian), ("+xe", ExplicitVRLittleEndian)],
    ids=["to implicit", "to explicit"],
)
def test_a_move_converts_for_a_destination_that_prefers_it(
    archive: Clinic, tmp_path: Path, name: str, option: str, syntax: str
) -> None:
    file = corpus_file(name)
    with storescp(tmp_path / "pacs2", "PACS2", option, port=archive.pacs2_port) as destination:
        archive.old_workstation.move("PACS2", of_images(file), "-S").require()
        came = destination.received()[file.sop_instance]
    # storescp accepts what it prefers of each context; ours hold one syntax each, so +xe takes all of
    # them and the object goes as it is stored.
    expected = {syntax} if option == "+xi" else {syntax, file.transfer_syntax}
    assert read(came).file_meta.TransferSyntaxUID in expected
    assert differences(read(file.path), read(came)) == []
