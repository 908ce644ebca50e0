"""Judging the certificate a TLS peer presents, while the handshake waits.

OpenSSL walks the chain and reports each finding; ``PeerCheck`` answers. A leaf is accepted when
its chain leads to the CA and nothing is wrong with it, or when its SHA-256 is pinned and nothing
is wrong with it but its origin. Refusing at the finding itself sends the alert that fits it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from cryptography import x509
from OpenSSL.crypto import X509
from OpenSSL.SSL import X509VerificationCodes as Codes

from leadglass.identity.certificates import device_of, facts_of, fingerprint, names_host
from leadglass.model.caller import CertificateFacts
from leadglass.model.errors import TransportFailed


class TlsFailed(TransportFailed):
    """The TLS connection cannot go on. ``reason`` is for the audit; no secrets, no PHI.

    ``certificate`` is the peer's, if it presented one that can be read.
    """

    def __init__(self, reason: str, certificate: CertificateFacts | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.certificate = certificate


class CertificateRefused(TlsFailed):
    """The peer's certificate does not count, or it showed none."""


@dataclass(frozen=True, slots=True)
class AnyDevice:
    """Who calls us: any certificate of this CA, or a pinned one; the policy does the rest."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Who calls from an address that is being learned: any certificate at all, if it is sound.

    One that nobody knows proves nothing but that it is the same again; the policy does the rest.
    """


@dataclass(frozen=True, slots=True)
class ServerName:
    """The host we called, as its certificate must name it: an IP address or a DNS name."""

    host: str


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """The device we called: its name in a certificate of this CA, or one of its fingerprints."""

    name: str
    fingerprints: frozenset[str] = frozenset()


Expectation = AnyDevice | Watched | ServerName | DeviceIdentity


@dataclass(frozen=True, slots=True)
class Trust:
    """What a peer's certificate is measured against."""

    ca: x509.Certificate
    revoked: frozenset[int]
    pinned: Callable[[], frozenset[str]]


# What may be wrong with a pinned certificate: everything that only says where it comes from and
# what its maker meant it for. Its age, its signature algorithm and its key's size still count.
_ORIGIN = frozenset(
    {
        Codes.ERR_UNABLE_TO_GET_ISSUER_CERT,
        Codes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        Codes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
        Codes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
        Codes.ERR_SELF_SIGNED_CERT_IN_CHAIN,
        Codes.ERR_UNABLE_TO_GET_CRL,
        Codes.ERR_CERT_UNTRUSTED,
        Codes.ERR_INVALID_CA,
        Codes.ERR_INVALID_PURPOSE,
        Codes.ERR_KEYUSAGE_NO_CERTSIGN,
    }
)


class PeerCheck:
    """The judgement of one connection's peer."""

    __slots__ = ("_expect", "_issuer_error", "_leaf", "_refusal", "_trust", "_unreadable")

    def __init__(self, trust: Trust, expect: Expectation) -> None:
        self._trust = trust
        self._expect = expect
        self._leaf: x509.Certificate | None = None
        self._unreadable = False
        self._issuer_error = 0
        self._refusal: int | None = None

    def judge(self, certificate: X509, error: int, depth: int) -> bool:
        """Answer one finding of OpenSSL: 0 is "nothing wrong here". Never raises.

        Findings come root first, the leaf (depth 0) last. What is wrong above the leaf is
        remembered: it does not matter to a pinned leaf, and no other one survives it.
        """
        if depth > 0:
            self._issuer_error = self._issuer_error or error
            return True
        leaf = self._leaf or self._read(certificate)
        if leaf is None:
            return False
        accepted = self._accepts(leaf, error)
        if not accepted:
            self._refusal = error or self._issuer_error
        return accepted

    def facts(self, now: datetime) -> CertificateFacts | None:
        """What the leaf says; ``None`` if there was none, or none that can be read."""
        if self._leaf is None:
            return None
        return facts_of(self._leaf, self._trust.ca, self._trust.revoked, now)

    def refused(self, now: datetime) -> CertificateRefused | None:
        """Why the certificate was refused, for the audit; ``None`` if it was not."""
        if self._unreadable:
            return CertificateRefused("the certificate cannot be read")
        facts = self.facts(now)
        if self._leaf is None or facts is None or self._refusal is None:
            return None
        named = facts.issued_here and facts.device is not None
        whose = f"certificate of device {facts.device}" if named else f"certificate of {facts.subject!r}"
        return CertificateRefused(f"{whose} {self._fault(self._leaf, facts, self._refusal)}", facts)

    def _fault(self, leaf: x509.Certificate, facts: CertificateFacts, error: int) -> str:
        match error:
            case Codes.ERR_CERT_REVOKED if facts.issued_here:
                return "was revoked"
            case Codes.ERR_CERT_HAS_EXPIRED if not self._issuer_error:
                return f"expired {facts.not_after:%Y-%m-%d}"
            case Codes.ERR_CERT_NOT_YET_VALID if not self._issuer_error:
                return f"is not valid before {leaf.not_valid_before_utc:%Y-%m-%d}"
            case 0:
                return f"is not for {_described(self._expect)}"
            case _ if not facts.issued_here:
                return "was not issued by this site's CA"
            case _:
                return f"is not acceptable (X.509 verification error {error})"

    def _read(self, certificate: X509) -> x509.Certificate | None:
        try:
            self._leaf = certificate.to_cryptography()
        except (ValueError, x509.InvalidVersion):  # OpenSSL reads more than we do
            self._unreadable = True
        return self._leaf

    def _accepts(self, leaf: x509.Certificate, error: int) -> bool:
        if error == 0 and self._issuer_error == 0:
            return self._is_expected(leaf)
        if not isinstance(self._expect, Watched) and fingerprint(leaf) not in self._pins():
            return False
        return error == 0 or error in _ORIGIN

    def _is_expected(self, leaf: x509.Certificate) -> bool:
        match self._expect:
            case AnyDevice() | Watched():
                return True
            case ServerName(host):
                return names_host(leaf, host)
            case DeviceIdentity(name, fingerprints):
                return device_of(leaf) == name or fingerprint(leaf) in fingerprints
            case never:
                assert_never(never)

    def _pins(self) -> frozenset[str]:
        match self._expect:
            case AnyDevice() | Watched():
                return self._trust.pinned()
            case ServerName():
                return frozenset()
            case DeviceIdentity(fingerprints=fingerprints):
                return fingerprints
            case never:
                assert_never(never)


def _described(expect: Expectation) -> str:
    match expect:
        case AnyDevice() | Watched():
            return "this archive"
        case ServerName(host):
            return f"host {host}"
        case DeviceIdentity(name):
            return f"device {name}"
        case never:
            assert_never(never)
