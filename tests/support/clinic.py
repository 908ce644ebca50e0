"""A site with devices of every kind, served: what the tests with real peers share.

``ct1`` stores over mutual TLS, ``ws1`` reads over mutual TLS, ``us1`` stores in plaintext, and
``oldws`` reads in plaintext, which the generated policy would not let it. ``pacs2``, ``pacs3`` and
``stranger`` are destinations: in plaintext, over mutual TLS, and one that no flow lets have anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.dcmtk import Dcmtk
from tests.support.ports import LOOPBACK, free_port
from tests.support.processes import ChildProcess
from tests.support.pynetdicom_peer import Pynetdicom
from tests.support.site import ARCHIVE_AE, Credentials, LiveSite, make_site

FLOWS = """
desk = { from = ["ws1"], to = "archive", can = ["echo", "find", "get", "move"] }
old-desk = { from = ["oldws"], to = "archive", can = ["echo", "find", "get", "move"] }
deliver = { from = ["archive"], to = ["pacs2", "pacs3"], can = ["store"] }
"""


@dataclass(frozen=True, slots=True)
class Clinic:
    """The site, its devices' certificates, and the ports where its destinations may listen."""

    site: LiveSite
    server: ChildProcess
    ct1: Credentials
    ws1: Credentials
    pacs3: Credentials
    pacs2_port: int
    pacs3_port: int
    stranger_port: int

    @property
    def scanner(self) -> Dcmtk:
        """DCMTK as ``ct1``."""
        return Dcmtk(self.site.tls_port, "CT1", ARCHIVE_AE, self.ct1)

    @property
    def workstation(self) -> Dcmtk:
        """DCMTK as ``ws1``."""
        return Dcmtk(self.site.tls_port, "WS1", ARCHIVE_AE, self.ws1)

    @property
    def old_ultrasound(self) -> Dcmtk:
        """DCMTK as ``us1``."""
        return Dcmtk(self.site.plain_port, "US1", ARCHIVE_AE)

    @property
    def old_workstation(self) -> Dcmtk:
        """DCMTK as ``oldws``."""
        return Dcmtk(self.site.plain_port, "OLDWS", ARCHIVE_AE)

    def pynetdicom(self, device: str) -> Pynetdicom:
        """pynetdicom as the device of that name: ``ct1``, ``ws1``, ``us1`` or ``oldws``."""
        credentials = {"ct1": self.ct1, "ws1": self.ws1}.get(device)
        port = self.site.plain_port if credentials is None else self.site.tls_port
        return Pynetdicom(port, device.upper(), ARCHIVE_AE, credentials)

    def behind_tunnel(self, port: int) -> Dcmtk:
        """DCMTK as ``ws1``, on the plaintext end of a TLS tunnel."""
        return Dcmtk(port, "WS1", ARCHIVE_AE)


@contextmanager
def open_clinic(folder: Path) -> Iterator[Clinic]:
    """Make the clinic and serve it until the block ends; the server must not have stumbled on anything."""
    site = make_site(folder)
    ports = [free_port() for _ in range(3)]
    pacs2, pacs3, stranger = (f"{LOOPBACK}:{port}" for port in ports)
    ct1 = site.add_device("ct1", "modalities", "CT1")
    ws1 = site.add_device("ws1", "modalities", "WS1")
    site.add_device("us1", "legacy", "US1")
    site.add_device("oldws", "legacy", "OLDWS")
    site.add_device("pacs2", "legacy", "PACS2", address=pacs2)
    pacs3_credentials = site.add_device("pacs3", "modalities", "PACS3", address=pacs3)
    site.add_device("stranger", "legacy", "STRANGER", address=stranger)
    site.edit_policy("\n[grants]", f"{FLOWS}\n[grants]")
    with site.served() as server:
        yield Clinic(site, server, ct1, ws1, pacs3_credentials, *ports)
        assert server.stop() == 0, server.text()
    for trouble in ("Traceback", "never retrieved", "never awaited"):
        assert trouble not in server.text(), server.text()
