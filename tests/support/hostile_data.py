"""Small objects, and what a hostile or broken device makes of them."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path

from leadglass.dataset.header import HeaderLimits, scan_header
from leadglass.dataset.part10 import file_meta
from leadglass.dataset.synthetic import (
    PATIENTS,
    Modality,
    SyntheticInstance,
    SyntheticPatient,
    synthetic_study,
)
from leadglass.model.names import Uid
from leadglass.protocol.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
)

CT_IMAGE = Uid("1.2.840.10008.5.1.4.1.1.2")
MR_IMAGE = Uid("1.2.840.10008.5.1.4.1.1.4")

UNDEFINED = 0xFFFFFFFF
CONTENT_SEQUENCE = (0x0040, 0xA730)
ITEM, ITEM_END, SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
SIDE = 16


def small(
    number: int,
    modality: Modality = Modality.CT,
    transfer_syntax: Uid = EXPLICIT_VR_LITTLE_ENDIAN,
    patient: SyntheticPatient = PATIENTS[0],
) -> SyntheticInstance:
    """An object of 16 x 16 pixels; every ``number`` is another study."""
    (instance,) = synthetic_study(
        number, modality, patient, instances=1, rows=SIDE, columns=SIDE, transfer_syntax=transfer_syntax
    )
    return instance


def large(number: int, size_bytes: int, patient: SyntheticPatient = PATIENTS[0]) -> SyntheticInstance:
    """An explicit VR CT image whose pixels have about so many bytes."""
    rows = size_bytes // (2 * 1024)
    (instance,) = synthetic_study(number, Modality.CT, patient, instances=1, rows=rows, columns=1024)
    return instance


def write_file(instance: SyntheticInstance, folder: Path) -> Path:
    """The object as a DICOM file. PS3.10 §7.1."""
    folder.mkdir(parents=True, exist_ok=True)
    meta = file_meta(
        instance.sop_class,
        instance.sop_instance,
        instance.transfer_syntax,
        implementation_class=Uid("2.25.1"),
        implementation_version="TEST",
    )
    path = folder / f"{instance.sop_instance}.dcm"
    path.write_bytes(meta + instance.dataset)
    return path


def with_element(instance: SyntheticInstance, element: bytes) -> SyntheticInstance:
    """The object with one more element, before its pixels."""
    at = scan_header(instance.dataset, instance.transfer_syntax, HeaderLimits()).pixel_offset
    assert at is not None
    return replace(instance, dataset=instance.dataset[:at] + element + instance.dataset[at:])


def deflated(instance: SyntheticInstance) -> SyntheticInstance:
    """The object deflated. PS3.5 §A.5."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    content = engine.compress(instance.dataset) + engine.flush()
    padded = content + b"\0" * (len(content) % 2)
    return replace(instance, dataset=padded, transfer_syntax=DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)


def element_head(tag: tuple[int, int], vr: str, length: int, *, explicit: bool) -> bytes:
    """The head of an element with a long length. PS3.5 §7.1.2, §7.1.3."""
    if explicit:
        return struct.pack("<HH2s2xL", *tag, vr.encode(), length)
    return struct.pack("<HHL", *tag, length)


def item_head(tag: tuple[int, int], length: int) -> bytes:
    """An item's, or a delimiter. PS3.5 §7.5."""
    return struct.pack("<HHL", *tag, length)


def nested_open(depth: int, *, explicit: bool, vr: str = "SQ") -> bytes:
    """Sequences in sequences, of undefined length, each with its delimiters."""
    opening = element_head(CONTENT_SEQUENCE, vr, UNDEFINED, explicit=explicit) + item_head(ITEM, UNDEFINED)
    return opening * depth + (item_head(ITEM_END, 0) + item_head(SEQUENCE_END, 0)) * depth


def nested_closed(depth: int, *, explicit: bool) -> bytes:
    """Sequences in sequences, of defined length."""
    heads: list[bytes] = []
    length = 0
    for _ in range(depth):
        item = item_head(ITEM, length)
        sequence = element_head(CONTENT_SEQUENCE, "SQ", length + len(item), explicit=explicit)
        heads.append(sequence + item)
        length += len(heads[-1])
    return b"".join(reversed(heads))
