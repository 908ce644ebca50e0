"""Who is asking, as far as it is proven."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Transport(StrEnum):
    """How a connection is protected; the words of ``policy.toml``."""

    PLAIN = "plain"
    MTLS = "mtls"
    HTTPS = "https"


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a peer's certificate says, and whether it may be believed.

    ``device`` is the name in its SAN URI ``urn:leadglass:device:<name>``; believed only when
    ``issued_here``. A foreign certificate is known by ``sha256`` alone (of the DER, lower-case hex).
    ``trouble`` is empty, or says why it does not count: expired, revoked, not yet valid.
    """

    sha256: str
    serial: int
    subject: str
    issued_here: bool
    device: str | None
    not_after: datetime
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """A machine on a DICOM connection. ``address`` is an IP address without port.

    AE titles are ``None`` until an A-ASSOCIATE-RQ was read. ``called_ae_known`` is the shell's
    word on whether the called AE title is the archive's own.
    """

    address: str
    transport: Transport
    listener: str
    certificate: CertificateFacts | None = None
    calling_ae: str | None = None
    called_ae: str | None = None
    called_ae_known: bool = True

    @property
    def foreign_certificate(self) -> str:
        """The SHA-256 of the certificate it shows, where that is none of ours; else empty."""
        certificate = self.certificate
        return "" if certificate is None or certificate.issued_here else certificate.sha256


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a peer says of its software, and how its connection is protected. Decides nothing.

    ``implementation`` is its implementation class UID and version name (PS3.7 §D.3.3.2), in words of the
    peer's own; ``tls`` the protocol version and cipher suite; ``certificate_until`` the last day of the
    certificate it showed, as ISO 8601. Each is empty where there is none.
    """

    implementation: str = ""
    tls: str = ""
    certificate_until: str = ""


UNKNOWN_EQUIPMENT = Equipment()


@dataclass(frozen=True, slots=True)
class Person:
    """A human with a session. ``roles`` as the policy writes them: ``role:radiologist``.

    ``reason`` is why, in the person's words; ``approved_by`` the name of who approved.
    """

    name: str
    roles: frozenset[str]
    address: str
    transport: Transport
    mfa: bool
    reason: str = ""
    approved_by: str = ""

    @property
    def is_approved(self) -> bool:
        """Whether somebody approved, and somebody else: nobody approves for themselves."""
        return self.approved_by.casefold() not in ("", self.name.casefold())


@dataclass(frozen=True, slots=True)
class Archive:
    """The archive itself, sending."""

    node: str


@dataclass(frozen=True, slots=True)
class LocalAdministrator:
    """Whoever runs the command line on the server's own host; ``user`` is the login name."""

    user: str


Caller = Peer | Person | Archive | LocalAdministrator
