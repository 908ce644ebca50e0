"""A real site in a temporary folder, served by a real child process on free ports of 127.0.0.0/8.

Zones as ``init`` makes them for loopback: ``modalities`` (any address, mTLS), ``reading``
(127.0.3.0/24, mTLS) and ``legacy`` (any address, plaintext).
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from leadglass.admin.desk import Desk
from leadglass.admin.devices import DeviceRequest, NewKey, add_device
from leadglass.admin.site import SiteRequest, create_site
from leadglass.app import Home, local_site
from leadglass.audit.read import AuditLine, Filters
from leadglass.identity.clock import SystemClock
from leadglass.model.action import Verb
from leadglass.model.caller import LocalAdministrator, Transport
from leadglass.sitefile import Listener, parse_socket_address
from leadglass.use_cases import trail_of
from tests.support.fork_server import ForkServer
from tests.support.ports import free_port
from tests.support.processes import ChildProcess

ARCHIVE_AE = "NORTH"
READING_ADDRESS = "127.0.3.1"
LEGACY_ADDRESS = "127.0.0.1"
READY_S = 60.0
GATHERING_S = 0.1  # a server gathers lines that nobody waits for, for a fifth of this


@dataclass(frozen=True, slots=True)
class Credentials:
    """A device's files: ``key.pem``, ``cert.pem``, ``ca.pem``."""

    folder: Path

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"

    @property
    def cert(self) -> Path:
        return self.folder / "cert.pem"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"


@dataclass(frozen=True, slots=True)
class LiveSite:
    """A site's folder and ports."""

    home: Path
    tls_port: int
    plain_port: int
    folder: Path

    def add_device(
        self,
        name: str,
        zone: str,
        ae: str,
        *,
        makes: tuple[str, ...] | None = None,
        ip: str | None = None,
        address: str | None = None,
    ) -> Credentials:
        """Add a device as the administrator does, with a new certificate where its zone has TLS."""
        credentials = Credentials(self.folder / "devices" / name)
        plain = zone == "legacy"
        request = DeviceRequest(
            name=name,
            zone=zone,
            ae=(ae,),
            credential=None if plain else NewKey(),
            makes=makes,
            ip=ip or (LEGACY_ADDRESS if plain else None),
            address=address,
        )
        with local_site(Home(self.home)) as site:
            desk = Desk(site.home.policy, site.authority, site.gate)
            add_device(site.permit(Verb.MANAGE), desk, request, None if plain else credentials.folder)
        return credentials

    def edit_policy(self, old: str, new: str) -> None:
        """Replace text in policy.toml, as an administrator with an editor does."""
        policy = self.home / "policy.toml"
        text = policy.read_text(encoding="utf-8")
        if old not in text:
            raise ValueError(f"policy.toml does not hold {old!r}")
        policy.write_text(text.replace(old, new), encoding="utf-8")

    def audit(self, kind: str | None = None, count: int = 1000) -> list[AuditLine]:
        """The last lines of the audit trail, oldest first, with those of a moment ago."""
        time.sleep(GATHERING_S)
        with local_site(Home(self.home)) as site:
            return trail_of(site).tail(site.permit(Verb.AUDIT), count, Filters(kind=kind))

    @contextmanager
    def forked(
        self, server: ForkServer, environment: Mapping[str, str] | None = None
    ) -> Iterator[ChildProcess]:
        """The same, from a fork server; it may fail to become ready."""
        log = self.folder / f"serve-{secrets.token_hex(4)}.log"
        with server.start(["--home", str(self.home), "serve"], log, environment) as child:
            yield child

    @contextmanager
    def served(self) -> Iterator[ChildProcess]:
        """``leadglass serve`` until the block ends; then it must have ended in order."""
        command = [sys.executable, "-m", "leadglass", "--home", str(self.home), "serve"]
        with ChildProcess(command, self.folder / f"serve-{secrets.token_hex(4)}.log") as server:
            server.wait_for(r"^ready ", timeout_s=READY_S)
            yield server


def make_site(folder: Path) -> LiveSite:
    """A fresh site with nobody in it."""
    home = folder / "site"
    tls_port, plain_port = free_port(), free_port()
    listeners = (
        Listener("dicom-tls", parse_socket_address(f"127.0.0.1:{tls_port}"), Transport.MTLS),
        Listener("legacy", parse_socket_address(f"127.0.0.1:{plain_port}"), Transport.PLAIN),
    )
    request = SiteRequest("North Clinic", (ARCHIVE_AE,), listeners)
    create_site(home, request, LocalAdministrator("tester"), SystemClock(), secrets.token_bytes)
    return LiveSite(home, tls_port, plain_port, folder)
