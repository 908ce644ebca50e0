"""The transfer syntaxes of the standard. PS3.5 Annex A and §10; PS3.6 Table A-1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from leadglass.model.names import Uid


class Encoding(StrEnum):
    """How a data set is laid out, which decides who can read its header."""

    IMPLICIT_LITTLE = "implicit VR little endian"
    EXPLICIT_LITTLE = "explicit VR little endian"
    EXPLICIT_BIG = "explicit VR big endian"
    DEFLATED = "deflated explicit VR little endian"
    ENCAPSULATED = "explicit VR little endian, encapsulated pixel data"
    REFERENCED = "explicit VR little endian, pixel data elsewhere"
    REFERENCED_DEFLATED = "deflated explicit VR little endian, pixel data elsewhere"
    UNSUITABLE = "not a data set as C-STORE carries it"


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One transfer syntax of PS3.6 Table A-1."""

    uid: Uid
    name: str
    encoding: Encoding

    @property
    def storable(self) -> bool:
        """Whether an archive can keep it: streams, MIME bodies and XML are not data sets."""
        return self.encoding is not Encoding.UNSUITABLE


IMPLICIT_VR_LITTLE_ENDIAN = Uid("1.2.840.10008.1.2")
EXPLICIT_VR_LITTLE_ENDIAN = Uid("1.2.840.10008.1.2.1")
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = Uid("1.2.840.10008.1.2.1.99")
EXPLICIT_VR_BIG_ENDIAN = Uid("1.2.840.10008.1.2.2")

_E = Encoding
_ROWS: tuple[tuple[str, str, Encoding], ...] = (
    ("1.2.840.10008.1.2", "Implicit VR Little Endian", _E.IMPLICIT_LITTLE),
    ("1.2.840.10008.1.2.1", "Explicit VR Little Endian", _E.EXPLICIT_LITTLE),
    ("1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", _E.DEFLATED),
    ("1.2.840.10008.1.2.2", "Explicit VR Big Endian", _E.EXPLICIT_BIG),
    ("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 and 5)", _E.ENCAPSULATED),
    (
        "1.2.840.10008.1.2.4.53",
        "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)",
        _E.ENCAPSULATED,
    ),
    (
        "1.2.840.10008.1.2.4.54",
        "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)",
        _E.ENCAPSULATED,
    ),
    (
        "1.2.840.10008.1.2.4.55",
        "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)",
        _E.ENCAPSULATED,
    ),
    (
        "1.2.840.10008.1.2.4.56",
        "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)",
        _E.ENCAPSULATED,
    ),
    ("1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.58", "JPEG Lossless, Non-Hierarchical (Process 15)", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.59", "JPEG Extended, Hierarchical (Process 16 and 18)", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.60", "JPEG Extended, Hierarchical (Process 17 and 19)", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.61", "JPEG Spectral Selection, Hierarchical (Process 20 and 22)", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.62", "JPEG Spectral Selection, Hierarchical (Process 21 and 23)", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.63", "JPEG Full Progression, Hierarchical (Process 24 and 26)", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.64", "JPEG Full Progression, Hierarchical (Process 25 and 27)", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.65", "JPEG Lossless, Hierarchical (Process 28)", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.66", "JPEG Lossless, Hierarchical (Process 29)", _E.ENCAPSULATED),
    (
        "1.2.840.10008.1.2.4.70",
        "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])",
        _E.ENCAPSULATED,
    ),
    ("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless Image Compression", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless) Image Compression", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.90", "JPEG 2000 Image Compression (Lossless Only)", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.91", "JPEG 2000 Image Compression", _E.ENCAPSULATED),
    (
        "1.2.840.10008.1.2.4.92",
        "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)",
        _E.ENCAPSULATED,
    ),
    ("1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component Image Compression", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.94", "JPIP Referenced", _E.REFERENCED),
    ("1.2.840.10008.1.2.4.95", "JPIP Referenced Deflate", _E.REFERENCED_DEFLATED),
    ("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile / High Level", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", _E.ENCAPSULATED),
    (
        "1.2.840.10008.1.2.4.103.1",
        "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
        _E.ENCAPSULATED,
    ),
    ("1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", _E.ENCAPSULATED),
    (
        "1.2.840.10008.1.2.4.104.1",
        "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video",
        _E.ENCAPSULATED,
    ),
    ("1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", _E.ENCAPSULATED),
    (
        "1.2.840.10008.1.2.4.105.1",
        "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video",
        _E.ENCAPSULATED,
    ),
    ("1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", _E.ENCAPSULATED),
    (
        "1.2.840.10008.1.2.4.106.1",
        "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
        _E.ENCAPSULATED,
    ),
    ("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.112", "JPEG XL", _E.ENCAPSULATED),
    (
        "1.2.840.10008.1.2.4.201",
        "High-Throughput JPEG 2000 Image Compression (Lossless Only)",
        _E.ENCAPSULATED,
    ),
    (
        "1.2.840.10008.1.2.4.202",
        "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)",
        _E.ENCAPSULATED,
    ),
    ("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000 Image Compression", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced", _E.REFERENCED),
    ("1.2.840.10008.1.2.4.205", "JPIP HTJ2K Referenced Deflate", _E.REFERENCED_DEFLATED),
    ("1.2.840.10008.1.2.5", "RLE Lossless", _E.ENCAPSULATED),
    ("1.2.840.10008.1.2.6.1", "RFC 2557 MIME encapsulation", _E.UNSUITABLE),
    ("1.2.840.10008.1.2.6.2", "XML Encoding", _E.UNSUITABLE),
    ("1.2.840.10008.1.2.7.1", "SMPTE ST 2110-20 Uncompressed Progressive Active Video", _E.UNSUITABLE),
    ("1.2.840.10008.1.2.7.2", "SMPTE ST 2110-20 Uncompressed Interlaced Active Video", _E.UNSUITABLE),
    ("1.2.840.10008.1.2.7.3", "SMPTE ST 2110-30 PCM Digital Audio", _E.UNSUITABLE),
    ("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", _E.ENCAPSULATED),
    ("1.2.840.10008.1.20", "Papyrus 3 Implicit VR Little Endian", _E.UNSUITABLE),
)

TRANSFER_SYNTAXES: tuple[TransferSyntax, ...] = tuple(
    TransferSyntax(Uid(uid), name, encoding) for uid, name, encoding in _ROWS
)
BY_UID: Mapping[Uid, TransferSyntax] = MappingProxyType({syntax.uid: syntax for syntax in TRANSFER_SYNTAXES})
STORABLE: frozenset[Uid] = frozenset(syntax.uid for syntax in TRANSFER_SYNTAXES if syntax.storable)
