"""DCMTK as a scanner: C-ECHO and C-STORE, over mutual TLS and in the plaintext zone."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from tests.support.clinic import Clinic
from tests.support.corpus import corpus_file
from tests.support.datasets import differences, read
from tests.support.dcmtk import Argument, Dcmtk
from tests.support.studies import single

SUCCESS = 0x0000
SUBOPERATIONS_REFUSED = 0xA702


@pytest.fixture(params=["mtls", "plaintext"])
def sender(request: pytest.FixtureRequest, clinic: Clinic) -> Dcmtk:
    """A device that stores. One over each transport."""
    return clinic.scanner if request.param == "mtls" else clinic.old_ultrasound


def of_study(uid: str) -> list[Argument]:
    return ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={uid}"]


def stored_syntaxes(clinic: Clinic, out: Path, file: Path) -> list[str]:
    """What the archive says it keeps the file's instance as: (0008,3002)."""
    dataset = read(file)
    keys: list[Argument] = [
        "QueryRetrieveLevel=IMAGE",
        f"StudyInstanceUID={dataset.StudyInstanceUID}",
        f"SeriesInstanceUID={dataset.SeriesInstanceUID}",
        f"SOPInstanceUID={dataset.SOPInstanceUID}",
        "0008,3002",
    ]
    _, answers = clinic.workstation.find(out, keys, "-S")
    return [str(answer[0x0008, 0x3002].value) for answer in answers]


def test_echo(sender: Dcmtk) -> None:
    sender.echo().require()


def test_128_contexts_at_once(sender: Dcmtk) -> None:
    sender.echo("-ppc", "128", "-pts", "15").require()


def test_an_association_request_of_more_than_64_kib_is_cut_off(clinic: Clinic, sender: Dcmtk) -> None:
    """128 contexts of 38 transfer syntaxes are 130 KiB; nobody needs that, and a stranger may not."""
    ran = sender.echo("-ppc", "128", "-pts", "38")
    assert ran.exit_code != 0
    assert "Association Request Failed" in ran.text
    sender.echo().require()
    assert "65536" in clinic.site.audit("connection.refused")[-1].event.reason


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_every_current_tls_profile_of_the_standard_is_spoken(clinic: Clinic, profile: str) -> None:
    clinic.scanner.echo(profile).require()


def test_a_hundred_echoes_on_one_association(sender: Dcmtk) -> None:
    answers = sender.echo("--repeat", "100").require().text.count("Received Echo Response (Success)")
    assert answers == 100


def test_an_abort_of_the_peer_is_survived(sender: Dcmtk) -> None:
    sender.echo("--abort")
    sender.echo().require()


@pytest.mark.parametrize(
    ("number", "option", "syntax"), [(0, "-xe", ExplicitVRLittleEndian), (1, "-xi", ImplicitVRLittleEndian)]
)
def test_a_file_is_kept_in_the_syntax_it_is_sent_in(
    clinic: Clinic, sender: Dcmtk, out: Path, number: int, option: str, syntax: str
) -> None:
    study = single(100 + 10 * (sender.credentials is None) + number)
    (sent,) = study.write(out / "sent")
    assert sender.store([sent], option).require().statuses() == [SUCCESS]
    assert stored_syntaxes(clinic, out / "found", sent) == [syntax]
    clinic.old_workstation.get(out / "got", of_study(study.uid), "-S").require()
    (got,) = (out / "got").iterdir()
    assert differences(read(sent), read(got)) == []


KEPT_AS_THEY_ARE = [
    ("ExplVR_BigEnd.dcm", "-xb", ExplicitVRBigEndian, "+xb"),
    ("image_dfl.dcm", "-xd", DeflatedExplicitVRLittleEndian, "+xd"),
    ("SC_rgb_jpeg_dcmtk.dcm", "-xy", JPEGBaseline8Bit, "+xy"),
    ("JPGLosslessP14SV1_1s_1f_8b.dcm", "-xs", JPEGLosslessSV1, "+xs"),
    ("J2K_pixelrep_mismatch.dcm", "-xv", JPEG2000Lossless, "+xv"),
    ("MR_small_RLE.dcm", "-xr", RLELossless, "+xr"),
]


@pytest.mark.parametrize(
    ("name", "offer", "syntax", "prefer"),
    KEPT_AS_THEY_ARE,
    ids=["big endian", "deflated", "jpeg", "lossless", "j2k", "rle"],
)
def test_a_real_file_is_kept_as_it_is_and_comes_back(
    clinic: Clinic, sender: Dcmtk, out: Path, name: str, offer: str, syntax: str, prefer: str
) -> None:
    """Once over each transport: the second time the same bytes are an idempotent success."""
    file = corpus_file(name)
    assert file.transfer_syntax == syntax
    assert sender.store([file.path], offer).require().statuses() == [SUCCESS]
    assert stored_syntaxes(clinic, out / "found", file.path) == [syntax]
    clinic.old_workstation.get(out / "got", of_study(file.study), "-S", prefer).require()
    (got,) = (out / "got").iterdir()
    assert differences(read(file.path), read(got)) == []
    if read(got).file_meta.TransferSyntaxUID.is_compressed:
        assert read(got).file_meta.TransferSyntaxUID == syntax


@pytest.mark.parametrize("prefer", ["+x=", "+xe", "+xb", "+xi", "+xd"])
def test_whichever_uncompressed_syntax_a_peer_prefers_it_gets_what_is_stored(
    clinic: Clinic, out: Path, prefer: str
) -> None:
    """Big endian and deflated come first in what it proposes; neither is ever made here."""
    study = single(125)
    (sent,) = study.write(out / "sent")
    clinic.scanner.store([sent], "-xe").require()
    assert (
        clinic.old_workstation.get(out / "got", of_study(study.uid), "-S", prefer).statuses()[-1] == SUCCESS
    )
    (got,) = (out / "got").iterdir()
    assert differences(read(sent), read(got)) == []


def test_a_compressed_file_is_a_failed_suboperation_for_a_peer_that_takes_none(
    clinic: Clinic, out: Path
) -> None:
    file = corpus_file("SC_rgb_jpeg_dcmtk.dcm")
    clinic.scanner.store([file.path], "-xy").require()
    ran = clinic.old_workstation.get(out, of_study(file.study), "-S", "+xe")
    assert ran.statuses()[-1] == SUBOPERATIONS_REFUSED
    assert list(out.iterdir()) == []


def test_a_user_identity_is_passed_over(clinic: Clinic, out: Path) -> None:
    (sent,) = single(120).write(out)
    ran = clinic.scanner.store([sent], "-xe", "-usr", "alice", "-pwd", "open sesame").require()
    assert ran.statuses() == [SUCCESS]
    assert "open sesame" not in str(clinic.site.audit()) + clinic.server.text()


def test_all_the_contexts_that_dcmtk_proposes_by_default(clinic: Clinic, out: Path) -> None:
    (sent,) = single(121, ("MR", 1)).write(out)
    assert clinic.scanner.store([sent]).require().statuses() == [SUCCESS]


def test_one_context_with_all_the_uncompressed_syntaxes(clinic: Clinic, out: Path) -> None:
    (sent,) = single(122, ("MR", 1)).write(out)
    assert clinic.scanner.store([sent], "+C", "-R").require().statuses() == [SUCCESS]


def test_small_pdus_both_ways(clinic: Clinic, out: Path) -> None:
    study = single(123)
    (sent,) = study.write(out / "sent")
    options = ("-pdu", "4096", "--max-send-pdu", "4096")
    assert clinic.scanner.store([sent], "-xe", *options).require().statuses() == [SUCCESS]
    clinic.old_workstation.get(out / "got", of_study(study.uid), "-S", "-pdu", "4096").require()
    (got,) = (out / "got").iterdir()
    assert differences(read(sent), read(got)) == []


def test_what_was_acknowledged_before_an_abort_is_kept(clinic: Clinic, out: Path) -> None:
    study = single(124)
    clinic.scanner.store(study.write(out / "sent"), "-xe", "--abort")
    _, answers = clinic.workstation.find(out / "found", of_study(study.uid), "-S")
    assert len(answers) == 1
