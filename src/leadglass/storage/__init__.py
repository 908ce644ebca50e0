"""Sealed segments: append a batch, read a range. Nothing lies here in the clear."""

from leadglass.storage.directory import SegmentInfo
from leadglass.storage.filesystem import FileSystem, PosixFileSystem
from leadglass.storage.health import StoreState
from leadglass.storage.keys import FileKeyProvider, KeyProvider, MemoryKeyProvider, SiteKey
from leadglass.storage.large import LargeObject
from leadglass.storage.local import LocalLimits, LocalSegmentStore
from leadglass.storage.memory import MemorySegmentStore
from leadglass.storage.reader import ScannedRecord, SealedReader, TornTail
from leadglass.storage.seal import ObjectToSeal, Sealable, SealedObject, seal
from leadglass.storage.store import SegmentStore

__all__ = [
    "FileKeyProvider",
    "FileSystem",
    "KeyProvider",
    "LargeObject",
    "LocalLimits",
    "LocalSegmentStore",
    "MemoryKeyProvider",
    "MemorySegmentStore",
    "ObjectToSeal",
    "PosixFileSystem",
    "ScannedRecord",
    "Sealable",
    "SealedObject",
    "SealedReader",
    "SegmentInfo",
    "SegmentStore",
    "SiteKey",
    "StoreState",
    "TornTail",
    "seal",
]
