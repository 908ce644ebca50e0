"""What our certificates say (RFC 5280). Makes and reads them; touches no file.

All are ECDSA P-256 with SHA-256: every TLS 1.2 stack of RFC 9325 knows it, and a handshake costs
a fifth of RSA's. Certificates begin a day early, for the clocks of old scanners run late.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from leadglass.model.caller import CertificateFacts
from leadglass.model.errors import ConfigurationInvalid
from leadglass.model.names import DEVICE_NAME

DEVICE_URN = "urn:leadglass:device:"
_DNS_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DNS_NAME = re.compile(rf"(?=.{{1,253}}$){_DNS_LABEL}(\.{_DNS_LABEL})*\.?")

CA_LIFETIME = timedelta(days=20 * 365 + 5)
SERVER_LIFETIME = timedelta(days=825)  # some platforms refuse servers' certificates that live longer
DEVICE_LIFETIME = timedelta(days=2 * 365)
CLOCK_SKEW = timedelta(days=1)

MAX_CSR_BYTES = 64 * 1024
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
MAX_SUBJECT_CHARACTERS = 200
MAX_SITE_NAME_CHARACTERS = 64  # RFC 5280 Appendix A.1, ub-organization-name

# What cryptography raises on names it cannot read, and on there being none.
_UNREADABLE = (
    ValueError,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class Issuer:
    """The CA's certificate with its private key: what signing needs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class _Subject:
    public: PublicKey
    common_name: str
    names: Sequence[x509.GeneralName]


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key; its randomness is the operating system's, the library takes no other."""
    return ec.generate_private_key(ec.SECP256R1())


def ca_certificate(site_name: str, key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    """The site's own root: signs leaves and CRLs only, never another CA.

    Raises:
        ConfigurationInvalid: the site's name does not fit into a certificate.
    """
    if not site_name.isprintable() or not 0 < len(site_name.strip()) <= MAX_SITE_NAME_CHARACTERS:
        raise ConfigurationInvalid(
            f"a site's name is 1 to {MAX_SITE_NAME_CHARACTERS} printable characters: {site_name!r}"
        )
    name = _name(site_name.strip(), "Leadglass site CA")
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        _builder(name, name, public, now, now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(key, hashes.SHA256())
    )


def server_certificate(
    issuer: Issuer, public: PublicKey, hosts: Iterable[str], now: datetime
) -> x509.Certificate:
    """The archive's certificate, for the addresses it listens on and as the client of a C-MOVE.

    Raises:
        ConfigurationInvalid: a host is neither an IP address nor a DNS name.
    """
    names = [_host_name(host) for host in dict.fromkeys(hosts)]
    return _leaf(issuer, _Subject(public, "archive", names), now, SERVER_LIFETIME)


def device_certificate(
    issuer: Issuer, public: PublicKey, device: str, now: datetime, lifetime: timedelta
) -> x509.Certificate:
    """A device's certificate: its name is the SAN URI ``urn:leadglass:device:<name>``.

    Raises:
        ConfigurationInvalid: not a device's name.
    """
    urn = x509.UniformResourceIdentifier(DEVICE_URN + check_device_name(device))
    return _leaf(issuer, _Subject(public, device, [urn]), now, lifetime)


def revocation_list(
    issuer: Issuer, revoked: Iterable[tuple[int, datetime]], number: int, now: datetime
) -> x509.CertificateRevocationList:
    """A CRL of (serial, when).

    It is a file beside its only readers, not a promise to distant ones, so it stays current as
    long as the CA itself.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now - CLOCK_SKEW)
        .next_update(issuer.certificate.not_valid_after_utc)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
        )
    )
    for serial, when in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuer.key, hashes.SHA256())


def key_of_csr(csr_pem: bytes) -> PublicKey:
    """The public key of a certificate request (PKCS #10), the only thing taken from it.

    Raises:
        ConfigurationInvalid: not a request, not signed by its own key, or the key is too weak.
    """
    if len(csr_pem) > MAX_CSR_BYTES:
        raise ConfigurationInvalid(f"certificate request is larger than {MAX_CSR_BYTES} bytes")
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        key = request.public_key()
        _check_key_strength(key)
        signed = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, TypeError) as error:
        raise ConfigurationInvalid("not a certificate request (PKCS #10, PEM)") from error
    if not signed:
        raise ConfigurationInvalid("the certificate request is not signed by its own key")
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise ConfigurationInvalid("the certificate request's key is neither RSA nor EC")
    return key


def check_device_name(name: str) -> str:
    """The name itself.

    Raises:
        ConfigurationInvalid: not 1 to 32 of ``a-z 0-9 -`` beginning with a letter or digit.
    """
    if not DEVICE_NAME.fullmatch(name):
        raise ConfigurationInvalid(
            f"not a device's name: {name[:40]!r} (1 to 32 of a-z, 0-9 and -, no - first)"
        )
    return name


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER, lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def fingerprint_of_pem(pem: bytes) -> str:
    """The fingerprint of a certificate in PEM.

    Raises:
        ConfigurationInvalid: it is none.
    """
    try:
        return fingerprint(x509.load_pem_x509_certificate(pem))
    except ValueError as error:
        raise ConfigurationInvalid("this is no certificate in PEM") from error


def parse_fingerprint(text: str) -> str:
    """A SHA-256 fingerprint as people write it (colons, upper case) in our form.

    Raises:
        ConfigurationInvalid: not 64 hex digits.
    """
    plain = text.strip().removeprefix("sha256:").replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", plain):
        raise ConfigurationInvalid("not a SHA-256 fingerprint: 64 hex digits, colons allowed")
    return plain


def is_issued_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    """Whether this CA's key signed it."""
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def device_of(certificate: x509.Certificate) -> str | None:
    """The device named in the SAN; ``None`` if none, several, or not well formed."""
    names = [
        uri.removeprefix(DEVICE_URN)
        for uri in _alternative_names(certificate, x509.UniformResourceIdentifier)
        if isinstance(uri, str) and uri.startswith(DEVICE_URN)
    ]
    return names[0] if len(names) == 1 and DEVICE_NAME.fullmatch(names[0]) else None


def names_host(certificate: x509.Certificate, host: str) -> bool:
    """Whether the SAN holds exactly this IP address or DNS name. RFC 9525 §6.

    Without wildcards: a site's CA issues none.
    """
    address = _address(host)
    if address is not None:
        return address in _alternative_names(certificate, x509.IPAddress)
    wanted = host.lower().rstrip(".")
    return any(
        isinstance(name, str) and name.lower().rstrip(".") == wanted
        for name in _alternative_names(certificate, x509.DNSName)
    )


def facts_of(
    certificate: x509.Certificate,
    ca: x509.Certificate | None,
    revoked: frozenset[int],
    now: datetime,
) -> CertificateFacts:
    """What is to be known of a peer's certificate; ``ca=None`` where no CA of ours judges.

    Never raises: a stranger made the certificate.
    """
    issued_here = ca is not None and is_issued_by(certificate, ca)
    not_after = certificate.not_valid_after_utc
    trouble = ""
    if issued_here and certificate.serial_number in revoked:
        trouble = "revoked"
    elif now > not_after:
        trouble = "expired"
    elif now < certificate.not_valid_before_utc:
        trouble = "not yet valid"
    return CertificateFacts(
        sha256=fingerprint(certificate),
        serial=certificate.serial_number,
        subject=_subject_text(certificate),
        issued_here=issued_here,
        device=device_of(certificate),
        not_after=not_after,
        trouble=trouble,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public: PublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - CLOCK_SKEW)
        .not_valid_after(until.astimezone(UTC))
    )


def _leaf(issuer: Issuer, subject: _Subject, now: datetime, lifetime: timedelta) -> x509.Certificate:
    ca = issuer.certificate
    site = ca.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value
    until = min(now + lifetime, ca.not_valid_after_utc)
    if until <= now:
        raise ConfigurationInvalid("a certificate would be expired when made: check the lifetime and the CA")
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        _builder(_name(str(site), subject.common_name), ca.subject, subject.public, now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(subject.names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject.public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
        )
        .sign(issuer.key, hashes.SHA256())
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(organization: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _check_key_strength(key: object) -> None:
    match key:
        case rsa.RSAPublicKey() if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise ConfigurationInvalid(
                f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits here, not {key.key_size}"
            )
        case ec.EllipticCurvePublicKey() if not isinstance(
            key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1
        ):
            raise ConfigurationInvalid(f"an EC key is on P-256, P-384 or P-521 here, not {key.curve.name}")
        case _:
            return


def _host_name(host: str) -> x509.GeneralName:
    address = _address(host)
    if address is not None:
        return x509.IPAddress(address)
    if not _DNS_NAME.fullmatch(host):
        raise ConfigurationInvalid(f"neither an IP address nor a DNS name: {host[:80]!r}")
    return x509.DNSName(host.rstrip("."))


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _alternative_names(
    certificate: x509.Certificate,
    kind: type[x509.UniformResourceIdentifier | x509.DNSName | x509.IPAddress],
) -> list[object]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except _UNREADABLE:
        return []
    return [name.value for name in extension.value if isinstance(name, kind)]


def _subject_text(certificate: x509.Certificate) -> str:
    try:
        text = certificate.subject.rfc4514_string()[:MAX_SUBJECT_CHARACTERS]
    except ValueError:
        return "(unreadable subject)"
    return "".join(character if character.isprintable() else "?" for character in text)
