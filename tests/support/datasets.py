"""Whether two data sets say the same, whatever transfer syntax each is written in. Asks pydicom."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import BaseTag
from pydicom.uid import UID

# Padding (PS3.10 §7.2) and group lengths (PS3.5 §7.2): not content, and writers may drop them.
TRAILING_PADDING = 0xFFFCFFFC

# VRs that pydicom keeps as bytes: what is swapped as one. PS3.5 §7.3, Table 6.2-1.
WORD_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def read(path: Path) -> FileDataset:
    """A file, without pydicom's remarks on real-world values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path)


def dataset_of(content: bytes, transfer_syntax: str) -> Dataset:
    """Bytes without a file meta group, as C-STORE carries them."""
    syntax = UID(transfer_syntax)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.filereader.read_dataset(
            io.BytesIO(content), syntax.is_implicit_VR, syntax.is_little_endian
        )


def differences(left: Dataset, right: Dataset) -> list[str]:
    """What they differ in, by tag; empty when they say the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        swapped = _is_little_endian(left) is not _is_little_endian(right)
        return list(_differences(left, right, "", swapped=swapped))


def _differences(left: Dataset, right: Dataset, where: str, *, swapped: bool) -> Iterator[str]:
    tags = sorted(tag for tag in {*left.keys(), *right.keys()} if not _is_padding(tag))
    for tag in tags:
        name = f"{where}{tag}"
        if tag not in left or tag not in right:
            yield f"{name} only on one side"
            continue
        one, other = left[tag], right[tag]
        if one.VR == "SQ" and other.VR == "SQ":
            if len(one.value) != len(other.value):
                yield f"{name} has {len(one.value)} and {len(other.value)} items"
            for number, items in enumerate(zip(one.value, other.value, strict=False)):
                yield from _differences(*items, where=f"{name}[{number}]", swapped=swapped)
        elif one.VR == other.VR:
            if one.value != (_swapped(other) if swapped else other.value):
                yield f"{name} {one.VR} {one.value!r} is not {other.value!r}"
        elif _bytes(left, tag) != _bytes(right, tag):
            yield f"{name} {one.VR} and {other.VR} of different bytes"


def _is_little_endian(dataset: Dataset) -> bool:
    return dataset.original_encoding[1] is not False


def _swapped(element: DataElement) -> Any:
    """The value as it would be in the other byte order, where pydicom does not see to that."""
    width = WORD_BYTES.get(element.VR)
    if width is None or not element.value:
        return element.value
    words = (element.value[begin : begin + width] for begin in range(0, len(element.value), width))
    return b"".join(word[::-1] for word in words)


def _is_padding(tag: BaseTag) -> bool:
    return tag == TRAILING_PADDING or tag.element == 0


def _bytes(dataset: Dataset, tag: BaseTag) -> bytes:
    """A value as it is in little endian; where one side could not know the VR, bytes must do."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, True
    write_data_element(buffer, dataset[tag])
    return bytes(buffer.getvalue()[8:])
