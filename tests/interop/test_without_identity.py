"""``deid = "basic"`` seen by DCMTK: what goes out has no identity, and what cannot be made safe stays in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, SecondaryCaptureImageStorage, UltrasoundImageStorage

from tests.support.dcmtk import Argument, Dcmtk, storescp
from tests.support.ports import LOOPBACK, free_port
from tests.support.site import ARCHIVE_AE, LiveSite, make_site
from tests.support.studies import Study

SUCCESS, NOT_AUTHORIZED, SOME_FAILED, ALL_FAILED = 0x0000, 0x0124, 0xB000, 0xA702
ONE = Study(
    81, "DEID1", "Smith^Ann", "ISO_IR 100", "20240102", "080000", (("CT", 2), ("MR", 1)), "Head of Ann Smith"
)
AGAIN = Study(82, "DEID1", "Smith^Ann", "ISO_IR 100", "20240103", "090000", (("CT", 1),))
OTHER = Study(83, "DEID2", "Jones^Bea", "ISO_IR 100", "20240104", "100000", (("CT", 1),))
TOLD = (b"Smith", b"Ann", b"DEID1", b"20240102", b"080000", b"ACC81", b"19700102", b"PRIVATE OF ANN")
KEYS: list[Argument] = [
    "QueryRetrieveLevel=STUDY",
    "StudyInstanceUID",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "StudyDate",
    "AccessionNumber",
    "StudyDescription",
    "ModalitiesInStudy",
    "NumberOfStudyRelatedInstances",
]

FLOWS = """
research = { from = ["lab"], to = "archive", can = ["echo", "find", "get", "move"], deid = "basic" }
ct-whole = { from = ["mixed"], to = "archive", can = ["find", "get"], only = "modality:CT" }
mr-bare  = { from = ["mixed"], to = "archive", can = ["find", "get"], deid = "basic" }
mover    = { from = ["mover"], to = "archive", can = ["move"] }
night    = { from = ["archive"], to = "night", can = ["store"], deid = "basic" }
pacs2    = { from = ["archive"], to = "pacs2", can = ["store"] }
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A site and the ports where its destinations listen."""

    site: LiveSite
    night_port: int
    pacs2_port: int

    def as_device(self, ae: str) -> Dcmtk:
        return Dcmtk(self.site.plain_port, ae, ARCHIVE_AE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("without-identity")
    site = make_site(folder)
    night, pacs2 = free_port(), free_port()
    for name in ("ct1", "lab", "mixed", "mover"):
        site.add_device(name, "legacy", name.upper())
    site.add_device("night", "legacy", "NIGHT", address=f"{LOOPBACK}:{night}")
    site.add_device("pacs2", "legacy", "PACS2", address=f"{LOOPBACK}:{pacs2}")
    site.edit_policy("\n[grants]", f"{FLOWS}\n[grants]")
    with site.served() as server:
        here = Running(site, night, pacs2)
        for study in (ONE, AGAIN, OTHER):
            here.as_device("CT1").store(with_private(study.write(folder / "in" / study.patient_id)), "-xe")
        yield here
        assert server.stop() == 0, server.text()


def with_private(paths: list[Path]) -> list[Path]:
    for path in paths:
        dataset = pydicom.dcmread(path)
        block = dataset.private_block(0x0019, "SOMEBODY", create=True)
        block.add_new(1, "LO", "PRIVATE OF ANN")
        item = Dataset()
        item.PatientName, item.PatientID = "Smith^Ann", "DEID1"
        dataset.ReferencedImageSequence = [item]
        dataset.add_new(0x7FE10010, "LO", "SOMEBODY")
        dataset.add_new(0x7FE11001, "LO", "PRIVATE OF ANN")
        dataset.save_as(path)
    return paths


def of_study(study: Study) -> list[Argument]:
    return ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study.uid}"]


def require_without_identity(path: Path) -> Dataset:
    data = path.read_bytes()
    for told in TOLD:
        assert told not in data, told
    dataset = pydicom.dcmread(path)
    assert dataset.PatientIdentityRemoved == "YES"
    assert str(dataset.PatientName) == dataset.PatientID
    assert dataset.PatientID.startswith("ANON-")
    return dataset


def test_find_hides_who_it_is(running: Running, out: Path) -> None:
    ran, answers = running.as_device("LAB").find(out, KEYS, "-S")
    assert ran.statuses()[-1] == SUCCESS
    (answer,) = (each for each in answers if each.StudyInstanceUID == ONE.uid)
    for key in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "AccessionNumber"):
        assert str(answer.get(key, "")) == ""
    assert str(answer.get("StudyDescription", "")) == ""
    assert (sorted(answer.ModalitiesInStudy), answer.NumberOfStudyRelatedInstances) == (["CT", "MR"], 3)


@pytest.mark.parametrize("key", ["PatientName=Smith*", "PatientID=DEID1", "StudyDate=20240102"])
def test_find_and_get_do_not_match_on_it(running: Running, out: Path, key: str) -> None:
    lab = running.as_device("LAB")
    ran, answers = lab.find(out, [*KEYS[:2], key], "-S")
    assert (ran.statuses()[-1], answers) == (NOT_AUTHORIZED, [])
    if key.startswith("PatientID"):
        lab.get(out / "got", ["QueryRetrieveLevel=PATIENT", key], "-P")
        lab.get(out / "got", [*of_study(ONE), key], "-P")
        assert list((out / "got").iterdir()) == []
        assert "flows.research.deid does not tell PatientID" in audit(running)


def test_get_gives_images_without_identity(running: Running, out: Path) -> None:
    lab = running.as_device("LAB")
    lab.get(out / "one", of_study(ONE), "-S").require()
    lab.get(out / "again", of_study(AGAIN), "-S").require()
    lab.get(out / "other", of_study(OTHER), "-S").require()
    one = [require_without_identity(path) for path in sorted((out / "one").iterdir())]
    assert [each.StudyInstanceUID for each in one] == [ONE.uid] * 3
    assert {each.SOPInstanceUID for each in one} == set(ONE.instance_uids)
    (again,) = (require_without_identity(path) for path in (out / "again").iterdir())
    (other,) = (require_without_identity(path) for path in (out / "other").iterdir())
    assert {each.PatientID for each in one} == {again.PatientID}
    assert other.PatientID != again.PatientID
    assert len(one[0].PixelData) == 128
    assert "de-identified, by flow research" in audit(running)


def test_what_another_rule_gives_goes_out_whole(running: Running, out: Path) -> None:
    running.as_device("MIXED").get(out, of_study(ONE), "-S").require()
    got = {pydicom.dcmread(path).Modality: pydicom.dcmread(path).PatientID for path in out.iterdir()}
    assert got["CT"] == "DEID1"
    assert got["MR"].startswith("ANON-")


def test_everything_to_a_destination_goes_without_identity(running: Running, tmp_path: Path) -> None:
    mover = running.as_device("MOVER")
    with storescp(tmp_path / "night", "NIGHT", "+xa", port=running.night_port) as night:
        mover.move("NIGHT", ["QueryRetrieveLevel=PATIENT", "PatientID=DEID1"], "-P").require()
        assert len(night.received()) == 4
        for path in night.received().values():
            require_without_identity(path)
    assert "de-identified, by flow night" in audit(running)
    with storescp(tmp_path / "pacs2", "PACS2", "+xa", port=running.pacs2_port) as pacs2:
        mover.move("PACS2", of_study(ONE), "-S").require()
        assert {pydicom.dcmread(path).PatientID for path in pacs2.received().values()} == {"DEID1"}
    with storescp(tmp_path / "lab", "PACS2", "+xa", port=running.pacs2_port) as pacs2:
        running.as_device("LAB").move("PACS2", of_study(ONE), "-S").require()
        assert len([require_without_identity(path) for path in pacs2.received().values()]) == 3


@pytest.mark.parametrize(
    ("number", "sop_class", "burned_in", "why"),
    [
        (84, None, "YES", "text is burned into the pixels"),
        (85, SecondaryCaptureImageStorage, None, "it does not say that it has none"),
        (86, UltrasoundImageStorage, None, "it does not say that it has none"),
        (87, "1.2.840.10008.5.1.4.1.1.88.11", None, "are no images"),
        (88, "1.2.840.10008.5.1.4.1.1.104.1", None, "are no images"),
    ],
)
def test_what_cannot_be_made_safe_stays_in(
    running: Running, out: Path, number: int, sop_class: str | None, burned_in: str | None, why: str
) -> None:
    study = Study(number, "DEID9", "Doe^Cat", "ISO_IR 100", "20240102", "080000", (("CT", 2),))
    unsafe, safe = study.write(out / "in")
    dataset = pydicom.dcmread(unsafe)
    if sop_class:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    if burned_in:
        dataset.BurnedInAnnotation = burned_in
    dataset.save_as(unsafe)
    running.as_device("CT1").store([unsafe, safe], "-xe").require()
    ran = running.as_device("LAB").get(out / "got", of_study(study), "-S")
    assert ran.statuses()[-1] == SOME_FAILED
    (got,) = (out / "got").iterdir()
    assert pydicom.dcmread(got).SOPInstanceUID == study.instance_uid(1, 2)
    assert why in audit(running)


def test_stranger_is_refused_as_ever(running: Running, out: Path) -> None:
    ran = running.as_device("STRANGER").get(out, of_study(ONE), "-S")
    assert ran.exit_code != 0
    assert list(out.iterdir()) == []


def audit(running: Running) -> str:
    """What the trail says of reasons, once its last lines are durable."""
    return "\n".join(line.event.reason for line in running.site.audit())
