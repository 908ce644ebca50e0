"""A site's authority, and callers of every kind, for tests of TLS."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from leadglass.identity.authority import Authority, IssuedDevice
from leadglass.identity.peers import DeviceIdentity, ServerName, TlsFailed
from leadglass.identity.revocation import Revocations
from leadglass.identity.session import TlsSession
from leadglass.identity.tls import ServerContext, client_context, server_context

HOSTS = ("127.0.0.1", "::1", "localhost", "pacs.example.org")


class HandClock:
    """A clock set by hand; OpenSSL itself reads the real one, so it starts there."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return 0.0


@dataclass
class Pair:
    """A client and a server joined by their bytes."""

    client: TlsSession
    server: TlsSession
    client_failure: TlsFailed | None = None
    server_failure: TlsFailed | None = None
    received: list[bytes] = field(default_factory=list)

    def exchange(self) -> Pair:
        """Carry bytes both ways until neither has any, or both gave up."""
        for _ in range(20):
            to_server, to_client = self.client.outgoing(), self.server.outgoing()
            if not to_server and not to_client:
                return self
            try:
                if to_server and self.server_failure is None:
                    self.received += self.server.receive(to_server)
            except TlsFailed as failure:
                self.server_failure = failure
            try:
                if to_client and self.client_failure is None:
                    self.client.receive(to_client)
            except TlsFailed as failure:
                self.client_failure = failure
        raise AssertionError("the handshake does not end")

    @property
    def up(self) -> bool:
        return self.client.handshake_done and self.server.handshake_done and not self.server_failure


@dataclass
class Site:
    """An authority with its files, and ways to call it."""

    folder: Path
    clock: HandClock
    authority: Authority
    revocations: Revocations
    pins: set[str] = field(default_factory=set)
    watched: set[str] = field(default_factory=set)

    @property
    def server(self) -> ServerContext:
        return server_context(
            self.authority, self.revocations, lambda: frozenset(self.pins), self.watched.__contains__
        )

    def issued_at(self, when: datetime, name: str) -> IssuedDevice:
        """A device's certificate made at another time."""
        return Authority.open(self.folder / "keys", HandClock(when)).issue_device(name)

    def call(
        self,
        cert_pem: bytes,
        key_pem: bytes,
        expect: ServerName | DeviceIdentity | None = None,
        ca_pem: bytes | None = None,
    ) -> Pair:
        """Call our server with this certificate."""
        client = self.client(cert_pem, key_pem, expect or ServerName("127.0.0.1"), ca_pem)
        return Pair(client, self.server.session("127.0.0.1")).exchange()

    def call_as(self, device: IssuedDevice) -> Pair:
        """Call our server as a device issued here."""
        return self.call(device.cert_pem, device.key_pem or b"")

    def client(
        self,
        cert_pem: bytes,
        key_pem: bytes,
        expect: ServerName | DeviceIdentity,
        ca_pem: bytes | None = None,
    ) -> TlsSession:
        """A client's session with these files."""
        paths = [self.folder / name for name in ("cert.pem", "key.pem", "ca.pem")]
        ca = ca_pem or self.authority.ca.public_bytes(serialization.Encoding.PEM)
        for path, content in zip(paths, (cert_pem, key_pem, ca), strict=True):
            path.write_bytes(content)
        return client_context(paths[0], paths[1], paths[2], self.clock).session(expect)


PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def self_signed(
    key: PrivateKey,
    begins: datetime,
    ends: datetime,
    *extensions: x509.ExtensionType,
    common_name: str = "foreign",
) -> x509.Certificate:
    """A certificate as strangers make them."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256())


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def raw_client(method_max: int) -> SSL.Context:
    """A client of another make: shows nothing, checks nothing, speaks up to this version."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_max_proto_version(method_max)
    return context


def carry(connection: SSL.Connection, server: TlsSession) -> list[bytes]:
    """Join a raw pyOpenSSL client to our server until both are silent."""
    received: list[bytes] = []
    for _ in range(20):
        with suppress(SSL.WantReadError):
            connection.do_handshake()
        moved = False
        with suppress(SSL.WantReadError):
            while True:
                received += server.receive(connection.bio_read(65536))
                moved = True
        answer = server.outgoing()
        if answer:
            connection.bio_write(answer)
        if not answer and not moved:
            return received
    raise AssertionError("the handshake does not end")
