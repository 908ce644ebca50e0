"""Synthetic patients as DICOM files, written by pydicom: names in many scripts, in known places."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

ROOT = "1.2.826.0.1.3680043.10.1469"
SOP_CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage}
PIXELS = 8


@dataclass(frozen=True, slots=True)
class Study:
    """One study of one patient. ``series`` says how many instances of which modality."""

    number: int
    patient_id: str
    patient_name: str
    character_set: str | tuple[str, ...]
    date: str
    time: str
    series: tuple[tuple[str, int], ...]
    description: str = ""

    @property
    def uid(self) -> str:
        return f"{ROOT}.{self.number}"

    def series_uid(self, series: int) -> str:
        """Of its series number ``series``, from 1."""
        return f"{self.uid}.{series}"

    def instance_uid(self, series: int, instance: int) -> str:
        """Of an instance, both numbers from 1."""
        return f"{self.uid}.{series}.{instance}"

    @property
    def instance_uids(self) -> list[str]:
        """Of all its instances."""
        return [
            self.instance_uid(series, instance)
            for series, (_, count) in enumerate(self.series, start=1)
            for instance in range(1, count + 1)
        ]

    def write(self, folder: Path) -> list[Path]:
        """Its files, in Explicit VR Little Endian."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for series, (modality, count) in enumerate(self.series, start=1):
            for instance in range(1, count + 1):
                path = folder / f"{self.instance_uid(series, instance)}.dcm"
                self._dataset(series, modality, instance).save_as(path, enforce_file_format=True)
                paths.append(path)
        return paths

    def _dataset(self, series: int, modality: str, instance: int) -> Dataset:
        dataset = Dataset()
        character_set = self.character_set
        dataset.SpecificCharacterSet = character_set if isinstance(character_set, str) else [*character_set]
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.SOPClassUID = SOP_CLASSES[modality]
        dataset.SOPInstanceUID = self.instance_uid(series, instance)
        dataset.StudyDate, dataset.StudyTime = self.date, self.time
        dataset.AccessionNumber = f"ACC{self.number}"
        dataset.Modality = modality
        dataset.StudyDescription = self.description
        dataset.PatientName, dataset.PatientID = self.patient_name, self.patient_id
        dataset.PatientBirthDate, dataset.PatientSex = "19700102", "O"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self.uid, self.series_uid(series)
        dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = str(self.number), series, instance
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows = dataset.Columns = PIXELS
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 0
        dataset.PixelData = bytes((series * instance + position) % 256 for position in range(2 * PIXELS**2))
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        return dataset


GERMAN = Study(
    1, "LAT1", "Müller^Jörg", "ISO_IR 100", "20230110", "081500", (("CT", 3), ("MR", 2)), "Schädel"
)
JAPANESE = Study(
    2,
    "JPN1",
    "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ("", "ISO 2022 IR 87"),
    "20230615",
    "120000",
    (("MR", 2),),
)
RUSSIAN = Study(3, "UTF1", "Иванова^Анна", "ISO_IR 192", "20240301", "173059", (("CT", 1),))
JANE_HEAD = Study(4, "ASC1", "Doe^Jane", "ISO_IR 100", "20240115", "101530", (("CT", 2),), "HEAD")
JANE_KNEE = Study(5, "ASC1", "Doe^Jane", "ISO_IR 100", "20240220", "090000", (("MR", 1),), "KNEE")

ALL = (GERMAN, JAPANESE, RUSSIAN, JANE_HEAD, JANE_KNEE)


def write_all(folder: Path) -> list[Path]:
    """Every study's files."""
    return [path for study in ALL for path in study.write(folder)]


def single(number: int, *series: tuple[str, int]) -> Study:
    """A study of a patient of its own; one CT image unless told. Numbers from 100 on."""
    name = f"Single^{number}"
    return Study(number, f"ONE{number}", name, "ISO_IR 100", "20200101", "060000", series or (("CT", 1),))
