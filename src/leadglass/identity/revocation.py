"""Which of our certificates no longer count. The CRL's file is the truth; this is its reader."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from leadglass.identity.files import read_file
from leadglass.model.errors import ConfigurationInvalid


def parse_crl(pem: bytes, ca: x509.Certificate) -> x509.CertificateRevocationList:
    """Read a CRL, if this CA signed it.

    Raises:
        ConfigurationInvalid: damaged, or signed by somebody else.
    """
    try:
        crl = x509.load_pem_x509_crl(pem)
        signed = crl.is_signature_valid(ca.public_key())  # type: ignore[arg-type]  # other kinds: TypeError
    except (ValueError, TypeError) as error:
        raise ConfigurationInvalid("the revocation list is damaged") from error
    if not signed:
        raise ConfigurationInvalid("the revocation list is not signed by this site's CA")
    return crl


class Revocations:
    """The revoked serials, as of the last look at the file. For one thread."""

    def __init__(self, path: Path, ca: x509.Certificate) -> None:
        """Read the list.

        Raises:
            ConfigurationInvalid: missing, damaged, or signed by somebody else: without a list
                nobody can be told apart, so nobody is let in.
        """
        self._path = path
        self._ca = ca
        self._mark: tuple[int, int, int] | None = None
        self._crl, self._serials = self._read()

    @property
    def crl(self) -> x509.CertificateRevocationList:
        """The list in force; another object after each change."""
        return self._crl

    @property
    def serials(self) -> frozenset[int]:
        """Every revoked serial number."""
        return self._serials

    def is_revoked(self, serial: int) -> bool:
        """Whether this certificate of ours no longer counts."""
        return serial in self._serials

    def reload_if_changed(self) -> bool:
        """Look at the file, read it if it changed; whether it did. Costs one ``stat`` otherwise.

        Raises:
            ConfigurationInvalid: the new list cannot be used; the last good one stays in force.
        """
        if self._look() == self._mark:
            return False
        self._crl, self._serials = self._read()
        return True

    def _look(self) -> tuple[int, int, int]:
        try:
            facts = self._path.stat()
        except OSError as error:
            raise ConfigurationInvalid(f"cannot read {self._path}: {error.strerror}") from error
        return facts.st_ino, facts.st_size, facts.st_mtime_ns

    def _read(self) -> tuple[x509.CertificateRevocationList, frozenset[int]]:
        mark = self._look()  # before reading: a change while we read is seen next time
        crl = parse_crl(read_file(self._path), self._ca)
        self._mark = mark
        return crl, frozenset(entry.serial_number for entry in crl)
