"""DCMTK's programs, called as an administrator calls them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from tests.support.peers import Peer, require_peer
from tests.support.ports import LOOPBACK, free_port, wait_until_listening
from tests.support.processes import ChildProcess
from tests.support.site import Credentials

TIMEOUT_S = 60.0
Argument = str | bytes


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended, and all it printed."""

    exit_code: int
    text: str

    def statuses(self) -> list[int]:
        """The DIMSE statuses in it, in order, as ``-d`` prints them."""
        return [int(found, 16) for found in re.findall(r"DIMSE Status\s*: 0x([0-9a-fA-F]{4})", self.text)]

    def require(self) -> Ran:
        """Itself, if the program ended well."""
        assert self.exit_code == 0, self.text
        return self


@dataclass(frozen=True, slots=True)
class Dcmtk:
    """A device that is DCMTK: whom it calls, as whom, and with which certificate, if any."""

    port: int
    calling: str
    called: str
    credentials: Credentials | None = None

    def echo(self, *options: str) -> Ran:
        """C-ECHO."""
        return self._run(Peer.ECHOSCU, options, tls=True)

    def store(self, files: Sequence[Path], *options: str) -> Ran:
        """C-STORE of files. ``options`` choose the transfer syntaxes proposed."""
        return self._run(Peer.STORESCU, options, *map(str, files), tls=True)

    def find(self, out: Path, keys: Sequence[Argument], *options: str) -> tuple[Ran, list[Dataset]]:
        """C-FIND, and the answers, kept as files in ``out``."""
        out.mkdir(parents=True, exist_ok=True)
        ran = self._run(Peer.FINDSCU, (*options, "-X", "-od", str(out), *_keys(keys)), tls=True)
        return ran, [pydicom.dcmread(path, force=True) for path in sorted(out.glob("rsp*.dcm"))]

    def get(self, out: Path, keys: Sequence[Argument], *options: str) -> Ran:
        """C-GET into ``out``, bytes kept as they come. Over TLS only behind a tunnel."""
        out.mkdir(parents=True, exist_ok=True)
        return self._run(Peer.GETSCU, (*options, "+B", "-od", str(out), *_keys(keys)), tls=False)

    def move(self, destination: str, keys: Sequence[Argument], *options: str) -> Ran:
        """C-MOVE to an AE title. Over TLS only behind a tunnel."""
        return self._run(Peer.MOVESCU, (*options, "-aem", destination, *_keys(keys)), tls=False)

    def _run(self, peer: Peer, options: Sequence[Argument], *files: str, tls: bool) -> Ran:
        secured = tls_options(self.credentials) if tls and self.credentials else ()
        ended = subprocess.run(
            [
                require_peer(peer),
                "-d",
                *secured,
                "-aet",
                self.calling,
                "-aec",
                self.called,
                *options,
                LOOPBACK,
                str(self.port),
                *files,
            ],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
        )
        return Ran(ended.returncode, ended.stdout.decode("utf-8", errors="replace"))


def tls_options(credentials: Credentials) -> tuple[str, ...]:
    """Show this certificate, and take the archive's only from this CA."""
    return (
        "+tls",
        str(credentials.key),
        str(credentials.cert),
        "-pw",
        "+cf",
        str(credentials.ca),
        "--require-peer-cert",
    )


@dataclass(frozen=True, slots=True)
class StoreScp:
    """A running storescp."""

    port: int
    folder: Path
    process: ChildProcess

    def received(self) -> dict[str, Path]:
        """Its files by SOP Instance UID."""
        return {str(pydicom.dcmread(path).SOPInstanceUID): path for path in self.folder.iterdir()}

    def connections(self) -> int:
        """How many TCP connections it took."""
        return len(re.findall(r"^D: Association Received: ", self.process.text(), re.MULTILINE))


@contextmanager
def storescp(
    folder: Path, ae: str, *options: str, credentials: Credentials | None = None, port: int | None = None
) -> Iterator[StoreScp]:
    """DCMTK's storescp, receiving into ``folder`` with all bytes kept."""
    folder.mkdir(parents=True, exist_ok=True)
    secured = tls_options(credentials) if credentials else ()
    listening = port or free_port()
    command = [
        require_peer(Peer.STORESCP),
        "-d",
        *secured,
        "-aet",
        ae,
        "+B",
        "-od",
        str(folder),
        *options,
        str(listening),
    ]
    with ChildProcess(command, folder.with_suffix(".log")) as process:
        wait_until_listening(listening)
        yield StoreScp(listening, folder, process)


def _keys(keys: Sequence[Argument]) -> list[Argument]:
    return [argument for key in keys for argument in ("-k", key)]
