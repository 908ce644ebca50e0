"""How glibc gives memory back, for a server of large objects."""

from __future__ import annotations

import ctypes
from typing import Final

# malloc.h
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_TRIM_BYTES: Final = 128 << 20
_MMAP_BYTES: Final = 32 << 20


def keep_memory() -> bool:
    """Have freed memory of up to 128 MiB kept for the next object; whether glibc took it.

    By default glibc maps each block of 128 KiB or more and unmaps it when freed, so that every
    chunk of every image costs page faults again: measured, sealing and storing objects of 512 KiB
    is 1.5 to 3 times as fast with it kept. Other C libraries have no such knobs: nothing is changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES) and mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES))
