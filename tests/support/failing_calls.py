"""A library, loaded before libc, that makes the Nth write, sync, rename or truncate of a server fail."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.support.compiling import compile_native


class Call(StrEnum):
    """What can fail; each begins with a letter of its own."""

    WRITE = "write"
    SYNC = "sync"
    TRUNCATE = "truncate"
    RENAME = "rename"


class How(StrEnum):
    """What happens at the call."""

    KILL = "kill"
    EIO = "eio"
    ENOSPC = "enospc"
    SHORT = "short"


@dataclass(frozen=True, slots=True)
class Fault:
    """The ``number``-th ``call`` does ``how``."""

    call: Call
    how: How
    number: int

    def __str__(self) -> str:
        return f"{self.call}:{self.number}:{self.how}"

    def environment(self, folder: Path) -> dict[str, str]:
        """What tells the library."""
        return {"LEADGLASS_FAULT_FOLDER": str(folder), "LEADGLASS_FAULT": str(self)}


def compiled(folder: Path) -> Path:
    """The library. Without a C compiler the test fails in CI and skips elsewhere."""
    flags = ("-shared", "-fPIC", "-ldl", "-lpthread")
    return compile_native("failing_calls.c", folder / "failing_calls.so", *flags)


def counting(folder: Path, counts: Path) -> dict[str, str]:
    """The environment of a server whose calls are only counted."""
    return {"LEADGLASS_FAULT_FOLDER": str(folder), "LEADGLASS_FAULT_COUNTS": str(counts)}


def counted(counts: Path) -> dict[Call, int]:
    """How many of each there were."""
    letters = Counter(counts.read_text(encoding="ascii"))
    return {call: letters[call.value[0]] for call in Call}
