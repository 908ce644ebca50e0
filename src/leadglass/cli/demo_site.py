"""The stage of the demo: a site in a temporary folder, its devices, a stranger, and a server."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from leadglass.admin.desk import Desk
from leadglass.admin.devices import DeviceRequest, NewKey, add_device
from leadglass.admin.site import SiteRequest, ZoneRequest, create_site
from leadglass.app import Home, local_site
from leadglass.cli.calling import Call, call_from
from leadglass.identity.certificates import DEVICE_URN, fingerprint, new_key
from leadglass.identity.clock import SystemClock
from leadglass.identity.peers import ServerName
from leadglass.identity.tls import anonymous_client_context
from leadglass.model.action import Verb
from leadglass.model.caller import LocalAdministrator, Transport
from leadglass.model.errors import LeadglassError
from leadglass.model.names import AETitle
from leadglass.net.scu import Target
from leadglass.sitefile import Listener, parse_socket_address

ARCHIVE_AE = "NORTH"
HOST = "127.0.0.1"
MODALITIES, READING, LEGACY = "modalities", "reading", "legacy"
ZONES = (
    ZoneRequest(MODALITIES, ("127.0.1.0/24",)),
    ZoneRequest(READING, ("127.0.3.0/24",)),
    ZoneRequest(LEGACY, ("127.0.9.0/28",)),
)
READY_S = 30.0
END_S = 10.0
POLL_S = 0.02
FORGED_DAYS = 30


class DemoFailed(LeadglassError):
    """Something in the demo did not go as told."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Who calls: its AE title, the address it calls from, and the folder of its certificate, if any.

    ``shows`` says in words what it proves itself with.
    """

    name: str
    ae: str
    address: str
    shows: str
    credentials: Path | None = None


@dataclass(frozen=True, slots=True)
class DemoSite:
    """A site with a scanner, a workstation and an old ultrasound."""

    folder: Path
    tls_port: int
    plain_port: int
    scanner: Machine
    workstation: Machine
    ultrasound: Machine

    @property
    def home(self) -> Home:
        return Home(self.folder / "site")

    def options(self, machine: Machine) -> str:
        """The options of a client command that calls as this machine, for a shell in the folder."""
        port = self.tls_port if machine.credentials else self.plain_port
        words = f"--to {HOST}:{port} --called {ARCHIVE_AE} --calling {machine.ae} --bind {machine.address}"
        if machine.credentials is None:
            return words
        files = shlex.quote(machine.credentials.name)
        return f"{words} \\\n    --cert {files}/cert.pem --key {files}/key.pem --ca {files}/ca.pem"

    def call(self, machine: Machine) -> Call:
        """A call as this machine: over TLS with its certificate, else in plaintext."""
        files = machine.credentials
        port = self.plain_port if files is None else self.tls_port
        cert, key, ca = (None if files is None else files / f"{name}.pem" for name in ("cert", "key", "ca"))
        return call_from(f"{HOST}:{port}", ARCHIVE_AE, machine.ae, cert, key, ca, machine.address)

    def call_without_certificate(self, machine: Machine) -> Call:
        """A call over TLS by a machine that has no certificate to show."""
        context = anonymous_client_context(self.home.keys / "ca.pem", SystemClock())
        target = Target(HOST, self.tls_port, lambda: context.session(ServerName(HOST)), machine.address)
        return Call(target, AETitle(ARCHIVE_AE), AETitle(machine.ae))


def make_demo_site(folder: Path) -> DemoSite:
    """Make the site as ``init`` does, and add the devices as ``device add`` does.

    Raises:
        LeadglassError
    """
    tls_port, plain_port = _free_ports()
    listeners = (
        Listener("dicom-tls", parse_socket_address(f"{HOST}:{tls_port}"), Transport.MTLS),
        Listener(LEGACY, parse_socket_address(f"{HOST}:{plain_port}"), Transport.PLAIN),
    )
    request = SiteRequest("Demo Clinic", (ARCHIVE_AE,), listeners, ZONES)
    home = Home(folder / "site")
    create_site(home.directory, request, LocalAdministrator("demo"), SystemClock(), secrets.token_bytes)
    with local_site(home) as site:
        permit = site.permit(Verb.MANAGE)
        desk = Desk(home.policy, site.authority, site.gate)

        def add(request: DeviceRequest, address: str) -> Machine:
            files = folder / request.name if request.credential else None
            added = add_device(permit, desk, request, files)
            shows = "only its address and AE title"
            if added.issued is not None:
                shows = f"certificate of {request.name}, SHA-256 {added.issued.sha256[:16]}…"
            return Machine(request.name, request.ae[0], address, shows, files)

        return DemoSite(
            folder,
            tls_port,
            plain_port,
            add(DeviceRequest("ct1", MODALITIES, ("CT1",), NewKey(), makes=("CT", "SR")), "127.0.1.7"),
            add(DeviceRequest("ws1", READING, ("WS1",), NewKey()), "127.0.3.11"),
            add(
                DeviceRequest("us1", LEGACY, ("US1",), None, makes=("US",), ip="127.0.9.5"),
                "127.0.9.5",
            ),
        )


def forge_certificate(site: DemoSite, address: str, now: datetime) -> Machine:
    """A stranger with a certificate that says it is ct1's, signed by nobody but itself."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, site.scanner.name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=FORGED_DAYS))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(DEVICE_URN + site.scanner.name)]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    folder = site.folder / "rogue"
    folder.mkdir()
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "ca.pem").write_bytes((site.home.keys / "ca.pem").read_bytes())
    shows = f"self-signed certificate that says ct1, SHA-256 {fingerprint(certificate)[:16]}…"
    return Machine("laptop", site.scanner.ae, address, shows, folder)


@contextlib.contextmanager
def serving(site: DemoSite) -> Iterator[subprocess.Popen[bytes]]:
    """``leadglass serve`` as a child process, from its ready line to its orderly end by SIGTERM.

    Raises:
        DemoFailed: it did not become ready, or did not end in order.
    """
    log = site.folder / "serve.log"
    command = [sys.executable, "-m", "leadglass", "--home", str(site.home.directory), "serve"]
    with log.open("wb") as sink:
        # A group of its own: Ctrl-C is for the demo, which then ends the server by SIGTERM.
        child = subprocess.Popen(
            [*command, "--drain-s", "2"],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            process_group=0,
        )
    try:
        _wait_until_ready(child, log)
        yield child
    finally:
        child.terminate()
        try:
            code = child.wait(END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
    if code != 0:
        raise DemoFailed(f"the server ended with code {code}:\n{_end_of(log)}")


def _wait_until_ready(child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while not any(line.startswith("ready ") for line in log.read_text(encoding="utf-8").splitlines()):
        if child.poll() is not None:
            raise DemoFailed(f"the server ended with code {child.returncode}:\n{_end_of(log)}")
        if time.monotonic() > deadline:
            raise DemoFailed(f"the server was not ready in {READY_S:.0f} s:\n{_end_of(log)}")
        time.sleep(POLL_S)


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8").splitlines()[-5:])


def _free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on now."""
    with socket.socket() as one, socket.socket() as other:
        one.bind((HOST, 0))
        other.bind((HOST, 0))
        return one.getsockname()[1], other.getsockname()[1]
