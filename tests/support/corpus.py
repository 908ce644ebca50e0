"""The real DICOM files that ship inside pydicom and pydicom-data: many makers, every transfer syntax.

Found in the installed packages' folders; pydicom's own look-up functions would download more.
Read with pydicom, not with Leadglass: the yardstick is not the thing measured.
"""

from __future__ import annotations

import functools
import struct
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

PREAMBLE_BYTES = 128
MAGIC = b"DICM"
LONG_LENGTH_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"SQ", b"UC", b"UN", b"UR", b"UT"})


class Source(StrEnum):
    """Which installed package a file came with."""

    PYDICOM = "pydicom"
    PYDICOM_DATA = "pydicom-data"


class Unstorable(StrEnum):
    """Why C-STORE of a file makes no sense, so that an archive rightly refuses it."""

    DICOMDIR = "a media directory, not an object (PS3.3 Annex F)"
    NO_TRANSFER_SYNTAX = "its file meta group does not say how it is encoded"
    NO_SOP_UIDS = "its data set lacks SOP Class UID or SOP Instance UID"
    NOT_OF_A_STUDY = "its data set lacks Study or Series Instance UID"


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """One DICOM file. UIDs are the data set's own words, without padding; empty when absent."""

    path: Path
    source: Source
    name: str
    transfer_syntax: str
    sop_class: str
    sop_instance: str
    study: str
    series: str
    modality: str
    unstorable: Unstorable | None

    def dataset_bytes(self) -> bytes:
        """The data set as it lies in the file: everything behind the file meta group."""
        content = self.path.read_bytes()
        return content[_end_of_meta(content) :]


@functools.cache
def corpus() -> tuple[CorpusFile, ...]:
    """Every file with a DICM mark, ordered by source and name. Two of them may be one SOP instance."""
    return tuple(
        _described(source, root, path)
        for source, root in (
            (Source.PYDICOM, _folder("pydicom")),
            (Source.PYDICOM_DATA, _folder("data_store")),
        )
        for path in sorted(root.rglob("*"))
        if path.is_file() and _has_mark(path)
    )


def storable() -> tuple[CorpusFile, ...]:
    """Those that an archive has to take."""
    return tuple(file for file in corpus() if file.unstorable is None)


def corpus_file(name: str) -> CorpusFile:
    """The file whose name ends so.

    Raises:
        LookupError: there is none, or there are several.
    """
    found = [file for file in corpus() if file.name.endswith(f"/{name}")]
    if len(found) != 1:
        raise LookupError(f"{name}: {len(found)} files")
    return found[0]


def waves() -> tuple[tuple[CorpusFile, ...], ...]:
    """All storable files, in groups within which no SOP Instance UID comes twice.

    pydicom ships one image in many encodings under one UID, which an archive must treat as a
    conflict: to store them all, store each wave into a site of its own.
    """
    counted: Counter[str] = Counter()
    grouped: list[list[CorpusFile]] = []
    for file in storable():
        turn = counted[file.sop_instance]
        counted[file.sop_instance] += 1
        if turn == len(grouped):
            grouped.append([])
        grouped[turn].append(file)
    return tuple(tuple(wave) for wave in grouped)


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise LookupError(f"{package} is not installed")
    return Path(spec.origin).parent / "data"


def _has_mark(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(PREAMBLE_BYTES + len(MAGIC))[PREAMBLE_BYTES:] == MAGIC


def _described(source: Source, root: Path, path: Path) -> CorpusFile:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of these files are wrong on purpose
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        values = {
            keyword: _text(dataset, keyword)
            for keyword in (
                "SOPClassUID",
                "SOPInstanceUID",
                "StudyInstanceUID",
                "SeriesInstanceUID",
                "Modality",
            )
        }
    transfer_syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
    return CorpusFile(
        path=path,
        source=source,
        name=f"{source}/{path.relative_to(root)}",
        transfer_syntax=transfer_syntax,
        sop_class=values["SOPClassUID"],
        sop_instance=values["SOPInstanceUID"],
        study=values["StudyInstanceUID"],
        series=values["SeriesInstanceUID"],
        modality=values["Modality"],
        unstorable=_reason(dataset, transfer_syntax, values),
    )


def _text(dataset: FileDataset, keyword: str) -> str:
    return str(dataset.get(keyword, None) or "")


def _reason(dataset: FileDataset, transfer_syntax: str, values: dict[str, str]) -> Unstorable | None:
    if "DirectoryRecordSequence" in dataset:
        return Unstorable.DICOMDIR
    if not transfer_syntax:
        return Unstorable.NO_TRANSFER_SYNTAX
    if not values["SOPClassUID"] or not values["SOPInstanceUID"]:
        return Unstorable.NO_SOP_UIDS
    if not values["StudyInstanceUID"] or not values["SeriesInstanceUID"]:
        return Unstorable.NOT_OF_A_STUDY
    return None


def _end_of_meta(content: bytes) -> int:
    """Where the data set begins. PS3.10 §7.1: the meta group is always Explicit VR Little Endian."""
    offset = PREAMBLE_BYTES + len(MAGIC)
    for end in _meta_element_ends(content, offset):
        offset = end
    return offset


def _meta_element_ends(content: bytes, offset: int) -> Iterator[int]:
    while content[offset : offset + 2] == b"\x02\x00":
        if content[offset + 4 : offset + 6] in LONG_LENGTH_VRS:
            (length,) = struct.unpack_from("<I", content, offset + 8)
            offset += 12 + length
        else:
            (length,) = struct.unpack_from("<H", content, offset + 6)
            offset += 8 + length
        yield offset


def is_deflated(file: CorpusFile) -> bool:
    """Whether its data set is compressed as a whole. PS3.5 §A.5."""
    return file.transfer_syntax == DeflatedExplicitVRLittleEndian
