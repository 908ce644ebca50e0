"""Orthanc as a source of C-STORE, over both transports, and as a destination of C-MOVE."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.support.clinic import Clinic
from tests.support.corpus import corpus_file
from tests.support.datasets import differences, read
from tests.support.dcmtk import Argument
from tests.support.orthanc import Orthanc, RemoteModality, TlsFiles, running_orthanc
from tests.support.peers import Peer, require_peer
from tests.support.site import ARCHIVE_AE
from tests.support.studies import GERMAN, JANE_HEAD, JAPANESE, Study, single

SUCCESS = 0x0000
REAL_FILES = ("CT_small.dcm", "SC_rgb_jpeg_dcmtk.dcm", "ExplVR_BigEnd.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm")


@pytest.fixture(scope="module")
def orthanc(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Orthanc is PACS2 of the clinic's policy: a device of the plaintext zone, with an address."""
    require_peer(Peer.ORTHANC)
    nodes = {"plain": RemoteModality(ARCHIVE_AE, clinic.site.plain_port)}
    with running_orthanc(
        tmp_path_factory.mktemp("orthanc"), ae="PACS2", modalities=nodes, dicom_port=clinic.pacs2_port
    ) as running:
        yield running


@pytest.fixture(scope="module")
def secure_orthanc(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Orthanc as ``ct1``, with its certificate."""
    require_peer(Peer.ORTHANC)
    nodes = {"tls": RemoteModality(ARCHIVE_AE, clinic.site.tls_port, use_tls=True)}
    tls = TlsFiles(clinic.ct1.cert, clinic.ct1.key, clinic.ct1.ca)
    folder = tmp_path_factory.mktemp("secure-orthanc")
    with running_orthanc(folder, ae="CT1", modalities=nodes, tls=tls) as running:
        yield running


def of_study(uid: str) -> list[Argument]:
    return ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={uid}"]


def received(orthanc: Orthanc, study: str) -> dict[str, pydicom.FileDataset]:
    """What Orthanc holds of a study, by SOP Instance UID."""
    held = {}
    for instance in orthanc.instances():
        dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(orthanc.file(instance)))
        if dataset.StudyInstanceUID == study:
            held[str(dataset.SOPInstanceUID)] = dataset
    return held


def test_it_echoes(orthanc: Orthanc, secure_orthanc: Orthanc) -> None:
    orthanc.echo("plain")
    secure_orthanc.echo("tls")


@pytest.mark.parametrize(("node", "number"), [("plain", 400), ("tls", 401)])
def test_what_it_sends_is_stored(
    clinic: Clinic, request: pytest.FixtureRequest, out: Path, node: str, number: int
) -> None:
    sender: Orthanc = request.getfixturevalue("orthanc" if node == "plain" else "secure_orthanc")
    study = single(number, ("CT", 3), ("MR", 2))
    files = {path.stem: path for path in study.write(out / "sent")}
    sender.store_to(node, [sender.upload(path) for path in files.values()])
    clinic.old_workstation.get(out / "got", of_study(study.uid), "-S").require()
    got = {str(read(path).SOPInstanceUID): path for path in (out / "got").iterdir()}
    assert sorted(got) == sorted(study.instance_uids)
    for uid, path in got.items():
        assert differences(read(files[uid]), read(path)) == []


@pytest.mark.parametrize("name", REAL_FILES)
def test_real_files_it_sends_are_stored(clinic: Clinic, orthanc: Orthanc, out: Path, name: str) -> None:
    file = corpus_file(name)
    orthanc.store_to("plain", [orthanc.upload(file.path)])
    keys: list[Argument] = [
        "QueryRetrieveLevel=IMAGE",
        f"StudyInstanceUID={file.study}",
        f"SeriesInstanceUID={file.series}",
        f"SOPInstanceUID={file.sop_instance}",
    ]
    _, answers = clinic.workstation.find(out, keys, "-S")
    assert len(answers) == 1


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("study", [GERMAN, JAPANESE], ids=["latin", "japanese"])
def test_a_study_is_moved_to_it(
    clinic: Clinic, orthanc: Orthanc, files: dict[str, Path], study: Study
) -> None:
    assert clinic.old_workstation.move("PACS2", of_study(study.uid), "-S").require().statuses()[-1] == SUCCESS
    held = received(orthanc, study.uid)
    assert sorted(held) == sorted(study.instance_uids)
    for uid, dataset in held.items():
        assert differences(read(files[uid]), dataset) == []


@pytest.mark.usefixtures("files")
def test_moving_again_is_harmless(clinic: Clinic, orthanc: Orthanc) -> None:
    for _ in range(2):
        ran = clinic.old_workstation.move("PACS2", of_study(JANE_HEAD.uid), "-S").require()
        assert ran.statuses()[-1] == SUCCESS
    assert sorted(received(orthanc, JANE_HEAD.uid)) == sorted(JANE_HEAD.instance_uids)


def test_a_compressed_image_is_moved_to_it_as_it_is(clinic: Clinic, orthanc: Orthanc) -> None:
    file = corpus_file("MR2_J2KR.dcm")
    clinic.scanner.store([file.path], "-xv").require()
    clinic.old_workstation.move("PACS2", of_study(file.study), "-S").require()
    (dataset,) = received(orthanc, file.study).values()
    assert dataset.file_meta.TransferSyntaxUID == file.transfer_syntax
    assert dataset.PixelData == read(file.path).PixelData
