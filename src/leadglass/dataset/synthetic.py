"""Invented patients and images of them, for the demo, the benchmarks and the tests.

Everything follows from the seed, so two runs make the same bytes. Nobody here has ever lived.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from math import sqrt
from types import MappingProxyType
from typing import Final

from leadglass.dataset.charsets import choose_character_set
from leadglass.dataset.dictionary import keywords
from leadglass.dataset.elements import Element, encode_elements
from leadglass.dataset.syntaxes import EXPLICIT_LITTLE, dictionary_vr
from leadglass.dataset.values import value_bytes
from leadglass.model.names import Uid

_FIRST_DAY: Final = date(2024, 1, 2)
_DAYS: Final = 700


class Modality(StrEnum):
    """What can be made; the values of Modality (0008,0060)."""

    CT = "CT"
    MR = "MR"
    CR = "CR"
    US = "US"


@dataclass(frozen=True, slots=True)
class SyntheticPatient:
    """An invented person. ``birth_date`` as ``YYYYMMDD``; ``sex`` is F, M or O."""

    name: str
    patient_id: str
    birth_date: str
    sex: str


PATIENTS: Final = (
    SyntheticPatient("Testa^Anna", "SYN-0001", "19610412", "F"),
    SyntheticPatient("Muster^Jörg", "SYN-0002", "19550923", "M"),
    SyntheticPatient("Sample^Olivia^Q", "SYN-0003", "19880130", "F"),
    SyntheticPatient("Ejemplo^Íñigo", "SYN-0004", "19730707", "M"),
    SyntheticPatient("Mihon^Hanako=見本^花子", "SYN-0005", "20010516", "F"),
    SyntheticPatient("Placeholder^Kim", "SYN-0006", "19491111", "O"),
)


@dataclass(frozen=True, slots=True)
class SyntheticInstance:
    """One object as a modality would send it. ``dataset`` has no file meta group."""

    sop_class: Uid
    sop_instance: Uid
    transfer_syntax: Uid
    dataset: bytes


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is particular to a modality."""

    sop_class: Uid
    bits: int
    description: str
    series: str
    body_part: str
    image_type: str
    texts: tuple[tuple[str, str], ...]


_KINDS: Final = MappingProxyType(
    {
        Modality.CT: _Kind(
            Uid("1.2.840.10008.5.1.4.1.1.2"),
            16,
            "CT Thorax native",
            "Thorax 1.0 B31f",
            "CHEST",
            "ORIGINAL\\PRIMARY\\AXIAL",
            (
                ("ScanOptions", "HELICAL MODE"),
                ("KVP", "120"),
                ("DataCollectionDiameter", "500"),
                ("ReconstructionDiameter", "360"),
                ("DistanceSourceToDetector", "1085.6"),
                ("DistanceSourceToPatient", "595"),
                ("GantryDetectorTilt", "0"),
                ("TableHeight", "151"),
                ("RotationDirection", "CW"),
                ("ExposureTime", "500"),
                ("XRayTubeCurrent", "180"),
                ("Exposure", "90"),
                ("FilterType", "BODY FILTER"),
                ("GeneratorPower", "21600"),
                ("FocalSpots", "1.2"),
                ("ConvolutionKernel", "B31f"),
                ("RescaleIntercept", "-1024"),
                ("RescaleSlope", "1"),
                ("RescaleType", "HU"),
            ),
        ),
        Modality.MR: _Kind(
            Uid("1.2.840.10008.5.1.4.1.1.4"),
            16,
            "MR Schaedel",
            "t1_se_tra",
            "HEAD",
            "ORIGINAL\\PRIMARY\\M\\ND",
            (
                ("ScanningSequence", "SE"),
                ("SequenceVariant", "SK\\SP"),
                ("ScanOptions", "PFP"),
                ("MRAcquisitionType", "2D"),
                ("RepetitionTime", "550"),
                ("EchoTime", "12"),
                ("NumberOfAverages", "2"),
                ("ImagingFrequency", "63.676"),
                ("ImagedNucleus", "1H"),
                ("EchoNumbers", "1"),
                ("MagneticFieldStrength", "1.5"),
                ("SpacingBetweenSlices", "6"),
                ("EchoTrainLength", "1"),
                ("PercentSampling", "100"),
                ("PercentPhaseFieldOfView", "81.25"),
                ("PixelBandwidth", "130"),
                ("FlipAngle", "90"),
                ("SAR", "0.1"),
            ),
        ),
        Modality.CR: _Kind(
            Uid("1.2.840.10008.5.1.4.1.1.1"),
            16,
            "Thorax p.a.",
            "Thorax",
            "CHEST",
            "ORIGINAL\\PRIMARY",
            (("KVP", "125"), ("Exposure", "3"), ("ViewPosition", "PA"), ("PlateType", "SYNTHETIC")),
        ),
        Modality.US: _Kind(
            Uid("1.2.840.10008.5.1.4.1.1.6.1"),
            8,
            "Sonographie Abdomen",
            "Abdomen",
            "ABDOMEN",
            "ORIGINAL\\PRIMARY\\ABDOMINAL\\0001",
            (("TransducerType", "CURVED LINEAR"), ("LossyImageCompression", "00")),
        ),
    }
)
_MULTI_FRAME_ULTRASOUND: Final = Uid("1.2.840.10008.5.1.4.1.1.3.1")


def synthetic_study(
    seed: int,
    modality: Modality,
    patient: SyntheticPatient,
    *,
    instances: int,
    rows: int = 512,
    columns: int = 512,
    frames: int = 1,
    transfer_syntax: Uid = EXPLICIT_LITTLE,
) -> Iterator[SyntheticInstance]:
    """One study of one series. ``frames`` above 1 make multi-frame ultrasound; others ignore it.

    ``transfer_syntax``: explicit or implicit VR little endian.
    """
    for number in range(1, instances + 1):
        texts = _texts(seed, modality, patient, number)
        sop_class = _KINDS[modality].sop_class
        if modality is Modality.US and frames > 1:
            sop_class = _MULTI_FRAME_ULTRASOUND
            texts |= {"NumberOfFrames": str(frames), "FrameTime": "40", "FrameIncrementPointer": "00181063"}
        texts |= {"SOPClassUID": sop_class, "Rows": str(rows), "Columns": str(columns)}
        shown = frames if sop_class == _MULTI_FRAME_ULTRASOUND else 1
        pixels = b"".join(
            _pixels(f"{seed}/{modality}/{number}/{frame}", rows, columns, _KINDS[modality].bits)
            for frame in range(shown)
        )
        dataset = _encode(texts, pixels + bytes(len(pixels) % 2), _KINDS[modality].bits, transfer_syntax)
        yield SyntheticInstance(sop_class, Uid(texts["SOPInstanceUID"]), transfer_syntax, dataset)


def synthetic_uid(name: str) -> Uid:
    """A UID that follows from a name. PS3.5 §B.2: 2.25 and 128 bits."""
    return Uid(f"2.25.{int.from_bytes(hashlib.sha256(name.encode()).digest()[:16])}")


def _texts(seed: int, modality: Modality, patient: SyntheticPatient, number: int) -> dict[str, str]:
    kind = _KINDS[modality]
    day = (_FIRST_DAY + timedelta(days=seed % _DAYS)).strftime("%Y%m%d")
    time = f"{8 + seed % 10:02}{seed % 60:02}{number % 60:02}"
    place = f"{seed}/{modality}/{patient.patient_id}"
    common = {
        "ImageType": kind.image_type,
        "InstanceCreationDate": day,
        "InstanceCreationTime": time,
        "SOPInstanceUID": synthetic_uid(f"{place}/{number}"),
        "StudyDate": day,
        "SeriesDate": day,
        "AcquisitionDate": day,
        "ContentDate": day,
        "StudyTime": time[:4] + "00",
        "SeriesTime": time[:4] + "10",
        "AcquisitionTime": time,
        "ContentTime": time,
        "AccessionNumber": f"A{seed:07}",
        "Modality": modality.value,
        "Manufacturer": "Leadglass Synthetic",
        "InstitutionName": "Invented Clinic",
        "ReferringPhysicianName": "Referrer^Rita",
        "StationName": f"SYN{modality}1",
        "StudyDescription": kind.description,
        "SeriesDescription": kind.series,
        "OperatorsName": "Operator^Otto",
        "ManufacturerModelName": "Phantom",
        "PatientName": patient.name,
        "PatientID": patient.patient_id,
        "PatientBirthDate": patient.birth_date,
        "PatientSex": patient.sex,
        "BodyPartExamined": kind.body_part,
        "SliceThickness": "1",
        "DeviceSerialNumber": "0",
        "SoftwareVersions": "1.0",
        "ProtocolName": kind.series,
        "PatientPosition": "HFS",
        "StudyInstanceUID": synthetic_uid(f"{place}/study"),
        "SeriesInstanceUID": synthetic_uid(f"{place}/series"),
        "StudyID": str(seed),
        "SeriesNumber": "1",
        "AcquisitionNumber": "1",
        "InstanceNumber": str(number),
        "ImagePositionPatient": f"-180\\-180\\{-number}",
        "ImageOrientationPatient": "1\\0\\0\\0\\1\\0",
        "FrameOfReferenceUID": synthetic_uid(f"{place}/frame of reference"),
        "PositionReferenceIndicator": "",
        "SliceLocation": str(-number),
        "SamplesPerPixel": "1",
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelSpacing": "0.703125\\0.703125",
        "BitsAllocated": str(kind.bits),
        "BitsStored": "12" if kind.bits == 16 else "8",
        "HighBit": "11" if kind.bits == 16 else "7",
        "PixelRepresentation": "0",
        "WindowCenter": "1064" if kind.bits == 16 else "128",
        "WindowWidth": "400" if kind.bits == 16 else "256",
    }
    return common | dict(kind.texts)


def _encode(texts: dict[str, str], pixels: bytes, bits: int, transfer_syntax: Uid) -> bytes:
    character_sets = choose_character_set([texts["PatientName"]], ())
    if character_sets:
        texts["SpecificCharacterSet"] = "\\".join(character_sets)
    tags = keywords()
    elements: list[Element] = []
    for keyword, text in texts.items():
        tag = tags[keyword]
        vr = dictionary_vr(tag)
        elements.append(Element(tag, vr, value_bytes(text, vr, character_sets)))
    elements.append(Element(0x7FE00010, "OW" if bits == 16 else "OB", pixels))
    return encode_elements(sorted(elements), transfer_syntax)


def _pixels(name: str, rows: int, columns: int, bits: int) -> bytes:
    """A round phantom with noise, row by row: brighter inside, dark outside."""
    width = bits // 8
    noise = hashlib.shake_128(name.encode()).digest(columns * 8)
    grain = noise if width == 1 else b"".join(struct.pack("<H", 1000 + value // 2) for value in noise)
    dark = (b"\x08" if width == 1 else struct.pack("<H", 24)) * columns
    lines: list[bytes] = []
    for row in range(rows):
        height = (2 * row + 1) / rows - 1
        inside = min(columns, int(columns * 0.9 * sqrt(1 - height * height)))
        left = (columns - inside) // 2
        start = (row * 37) % (columns * 7) * width
        lines.append(
            dark[: left * width]
            + grain[start : start + inside * width]
            + dark[: (columns - inside - left) * width]
        )
    return b"".join(lines)
