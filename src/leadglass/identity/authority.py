"""The site's certificate authority, as files under ``keys/``.

| file | what | mode |
|---|---|---|
| ``ca.key`` ``server.key`` | private keys, PKCS #8 PEM | 0600 |
| ``ca.pem`` ``server.pem`` | their certificates | 0644 |
| ``issued/<serial hex>.pem`` | every certificate ever issued | 0644 |
| ``devices.crl.pem`` | what was revoked | 0644 |

A certificate enters ``issued/`` before anybody receives it: what exists can be revoked.
The CA's key is read for one check or one signature and forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from leadglass.identity import certificates as made
from leadglass.identity.files import (
    PUBLIC_MODE,
    locked,
    read_file,
    read_secret,
    replace_file,
    sync_directory,
    write_new,
    write_secret,
)
from leadglass.identity.revocation import parse_crl
from leadglass.model.clock import Clock
from leadglass.model.errors import ConfigurationInvalid

CA_KEY, CA_CERTIFICATE = "ca.key", "ca.pem"
SERVER_KEY, SERVER_CERTIFICATE = "server.key", "server.pem"
ISSUED, REVOKED, LOCK = "issued", "devices.crl.pem", ".lock"


@dataclass(frozen=True, slots=True)
class IssuedDevice:
    """A device's new certificate. ``key_pem`` is ``None`` when the device kept its key (CSR)."""

    name: str
    key_pem: bytes | None = field(repr=False)
    cert_pem: bytes
    ca_pem: bytes
    serial: int
    sha256: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Registered:
    """A device's certificate in the registry, as ``device list`` shows it."""

    device: str
    serial: int
    sha256: str
    not_after: datetime
    revoked: bool


class Authority:
    """Issues, renews and revokes. Several processes may use one directory."""

    def __init__(self, keys_dir: Path, ca: x509.Certificate, server: x509.Certificate, clock: Clock) -> None:
        self._dir = keys_dir
        self._ca = ca
        self._server = server
        self._clock = clock

    @classmethod
    def create(cls, keys_dir: Path, site_name: str, hosts: Iterable[str], clock: Clock) -> Authority:
        """Make the CA, the server's certificate for ``hosts`` and an empty CRL.

        Raises:
            ConfigurationInvalid: the name or a host does not fit into a certificate.
            FileExistsError: something of it is there already.
        """
        now = clock.now()
        ca_key, server_key = made.new_key(), made.new_key()
        issuer = made.Issuer(made.ca_certificate(site_name, ca_key, now), ca_key)
        server = made.server_certificate(issuer, server_key.public_key(), hosts, now)
        keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (keys_dir / ISSUED).mkdir(mode=0o700)
        write_secret(keys_dir / CA_KEY, _key_pem(ca_key))
        write_new(keys_dir / CA_CERTIFICATE, _pem(issuer.certificate), PUBLIC_MODE)
        write_secret(keys_dir / SERVER_KEY, _key_pem(server_key))
        write_new(keys_dir / SERVER_CERTIFICATE, _pem(server), PUBLIC_MODE)
        crl = made.revocation_list(issuer, (), 1, now)
        write_new(keys_dir / REVOKED, crl.public_bytes(serialization.Encoding.PEM), PUBLIC_MODE)
        authority = cls(keys_dir, issuer.certificate, server, clock)
        authority._register(server)
        sync_directory(keys_dir)
        return authority

    @classmethod
    def open(cls, keys_dir: Path, clock: Clock) -> Authority:
        """Open what ``create`` made.

        Raises:
            ConfigurationInvalid: a file is missing, unreadable, or a key can be read by others;
                the server's key and certificate do not belong together, or not to this CA.
        """
        ca = _load_certificate(keys_dir / CA_CERTIFICATE)
        server = _load_certificate(keys_dir / SERVER_CERTIFICATE)
        _load_key(keys_dir / CA_KEY, ca)
        _load_key(keys_dir / SERVER_KEY, server)
        if not made.is_issued_by(server, ca):
            raise ConfigurationInvalid(
                f"{keys_dir / SERVER_CERTIFICATE} was not issued by {keys_dir / CA_CERTIFICATE}"
            )
        return cls(keys_dir, ca, server, clock)

    @property
    def clock(self) -> Clock:
        """The clock that judges validity."""
        return self._clock

    @property
    def ca(self) -> x509.Certificate:
        """The CA's certificate."""
        return self._ca

    @property
    def ca_fingerprint(self) -> str:
        """SHA-256 of the CA's certificate, lower-case hex: what to compare by telephone."""
        return made.fingerprint(self._ca)

    @property
    def ca_path(self) -> Path:
        """The CA's certificate, PEM."""
        return self._dir / CA_CERTIFICATE

    @property
    def crl_path(self) -> Path:
        """The revocation list, PEM."""
        return self._dir / REVOKED

    @property
    def server(self) -> x509.Certificate:
        """The archive's own certificate."""
        return self._server

    def server_key(self) -> ec.EllipticCurvePrivateKey:
        """The archive's own private key. Raises ``ConfigurationInvalid`` as ``open``."""
        return _load_key(self._dir / SERVER_KEY, self._server)

    def issue_device(self, name: str, lifetime: timedelta = made.DEVICE_LIFETIME) -> IssuedDevice:
        """A new key and certificate for a device.

        Raises:
            ConfigurationInvalid: not a device's name, or the CA's key cannot be used.
        """
        key = made.new_key()
        return self._issue(name, key.public_key(), _key_pem(key), lifetime)

    def sign_csr(self, name: str, csr_pem: bytes, lifetime: timedelta = made.DEVICE_LIFETIME) -> IssuedDevice:
        """A certificate for the key in a request; whatever else the request says is ignored.

        Raises:
            ConfigurationInvalid: as ``issue_device``, or the request is bad or its key weak.
        """
        return self._issue(name, made.key_of_csr(csr_pem), None, lifetime)

    def revoke_device(self, name: str) -> tuple[int, ...]:
        """Put every certificate ever issued to a device on the CRL; the serials new on it."""
        return self.revoke_serials([row.serial for row in self.registered() if row.device == name])

    def revoke_serials(self, serials: Iterable[int]) -> tuple[int, ...]:
        """Put certificates on the CRL, durably and at once; the serials new on it."""
        with locked(self._dir / LOCK):
            crl = parse_crl(read_file(self.crl_path), self._ca)
            entries = {entry.serial_number: entry.revocation_date_utc for entry in crl}
            now = self._clock.now()
            added = tuple(serial for serial in dict.fromkeys(serials) if serial not in entries)
            if added:
                entries.update(dict.fromkeys(added, now))
                number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
                signed = made.revocation_list(self._issuer(), entries.items(), number, now)
                replace_file(self.crl_path, signed.public_bytes(serialization.Encoding.PEM), PUBLIC_MODE)
            return added

    def registered(self) -> list[Registered]:
        """Every certificate issued to a device, the one that lasts longest first."""
        revoked = {entry.serial_number for entry in parse_crl(read_file(self.crl_path), self._ca)}
        rows = []
        for path in sorted((self._dir / ISSUED).glob("*.pem")):
            certificate = _load_certificate(path)
            device = made.device_of(certificate)
            if device is not None:
                serial = certificate.serial_number
                until = certificate.not_valid_after_utc
                sha256 = made.fingerprint(certificate)
                rows.append(Registered(device, serial, sha256, until, revoked=serial in revoked))
        return sorted(rows, key=lambda row: row.not_after, reverse=True)

    def renew_server(self, hosts: Iterable[str]) -> Authority:
        """A fresh certificate for the server's key, which stays: one file changes, at once.

        Raises:
            ConfigurationInvalid: as ``create``, or the CA's key cannot be used.
        """
        public = self.server_key().public_key()
        certificate = made.server_certificate(self._issuer(), public, hosts, self._clock.now())
        self._register(certificate)
        replace_file(self._dir / SERVER_CERTIFICATE, _pem(certificate), PUBLIC_MODE)
        return Authority(self._dir, self._ca, certificate, self._clock)

    def _issue(
        self, name: str, public: made.PublicKey, key_pem: bytes | None, lifetime: timedelta
    ) -> IssuedDevice:
        issuer = self._issuer()
        certificate = made.device_certificate(issuer, public, name, self._clock.now(), lifetime)
        self._register(certificate)
        return IssuedDevice(
            name=name,
            key_pem=key_pem,
            cert_pem=_pem(certificate),
            ca_pem=_pem(self._ca),
            serial=certificate.serial_number,
            sha256=made.fingerprint(certificate),
            not_after=certificate.not_valid_after_utc,
        )

    def _register(self, certificate: x509.Certificate) -> None:
        write_new(self._dir / ISSUED / f"{certificate.serial_number:x}.pem", _pem(certificate), PUBLIC_MODE)

    def _issuer(self) -> made.Issuer:
        return made.Issuer(self._ca, _load_key(self._dir / CA_KEY, self._ca))


def pkcs12_of(device: IssuedDevice, passphrase: bytes) -> bytes:
    """Key, certificate and CA in one file (PKCS #12, AES-256), as scanners like to import.

    Raises:
        ConfigurationInvalid: no passphrase, or the key is not ours to pack (CSR).
    """
    if not passphrase or device.key_pem is None:
        raise ConfigurationInvalid("PKCS #12 needs a passphrase and a key that was generated here")
    key = serialization.load_pem_private_key(device.key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationInvalid("PKCS #12 needs the key that was generated here")
    return pkcs12.serialize_key_and_certificates(
        device.name.encode(),
        key,
        x509.load_pem_x509_certificate(device.cert_pem),
        [x509.load_pem_x509_certificate(device.ca_pem)],
        serialization.BestAvailableEncryption(passphrase),
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(read_file(path))
    except ValueError as error:
        raise ConfigurationInvalid(f"{path} is not a certificate (PEM)") from error


def _load_key(path: Path, certificate: x509.Certificate) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(read_secret(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationInvalid(f"{path} is not a private key (PEM, without passphrase)") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigurationInvalid(f"{path} does not belong to its certificate")
    return key
