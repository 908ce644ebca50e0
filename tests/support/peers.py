"""Other people's DICOM programs that the interop tests and benchmarks talk to.

pynetdicom's wheel installs scripts called ``echoscu``, ``storescu`` and so on into the virtual
environment, so DCMTK's are looked for where Debian puts them, before PATH.
"""

from __future__ import annotations

import os
import shutil
from enum import Enum
from pathlib import Path

import pytest


class Peer(Enum):
    """A program, and where Debian installs it."""

    ECHOSCU = "/usr/bin/echoscu"
    STORESCU = "/usr/bin/storescu"
    FINDSCU = "/usr/bin/findscu"
    GETSCU = "/usr/bin/getscu"
    MOVESCU = "/usr/bin/movescu"
    STORESCP = "/usr/bin/storescp"
    DCMDUMP = "/usr/bin/dcmdump"
    ORTHANC = "/usr/sbin/Orthanc"

    @property
    def debian_package(self) -> str:
        """What to install to have it."""
        return "orthanc" if self is Peer.ORTHANC else "dcmtk"


class PeerMissingError(RuntimeError):
    """A program that was asked for is not installed."""


def find_peer(peer: Peer) -> Path | None:
    """Where the program is, or ``None``. Never a script of a Python virtual environment."""
    installed = Path(peer.value)
    if installed.is_file():
        return installed
    for folder in os.get_exec_path():
        found = shutil.which(installed.name, path=folder)
        if found and not (Path(folder).parent / "pyvenv.cfg").exists():
            return Path(found)
    return None


def peer_path(peer: Peer) -> str:
    """Where the program is.

    Raises:
        PeerMissingError: not installed; says what to install.
    """
    found = find_peer(peer)
    if found is None:
        raise PeerMissingError(f"{Path(peer.value).name} is missing: apt-get install {peer.debian_package}")
    return str(found)


def require_peer(peer: Peer) -> str:
    """Where the program is, for a test. A missing one fails in CI and skips elsewhere, with the reason."""
    try:
        return peer_path(peer)
    except PeerMissingError as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
