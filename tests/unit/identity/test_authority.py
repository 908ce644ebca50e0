from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from leadglass.identity import certificates as made
from leadglass.identity.authority import Authority, IssuedDevice, pkcs12_of
from leadglass.model.errors import ConfigurationInvalid
from tests.support.tls_site import HOSTS, HandClock, Site, key_pem


def _certificate(device: IssuedDevice) -> x509.Certificate:
    return x509.load_pem_x509_certificate(device.cert_pem)


def test_create_makes_keys_private_and_certificates_public(site: Site) -> None:
    keys = site.folder / "keys"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()}
    assert modes == {
        "ca.key": 0o600,
        "server.key": 0o600,
        "ca.pem": 0o644,
        "server.pem": 0o644,
        "devices.crl.pem": 0o644,
        "issued": 0o700,
    }


def test_create_writes_over_nothing(site: Site, clock: HandClock) -> None:
    before = (site.folder / "keys" / "ca.key").read_bytes()
    with pytest.raises(FileExistsError):
        Authority.create(site.folder / "keys", "Other", HOSTS, clock)
    assert (site.folder / "keys" / "ca.key").read_bytes() == before


def test_ca_signs_leaves_and_lists_only(site: Site, clock: HandClock) -> None:
    ca = site.authority.ca
    constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = ca.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    assert ca.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "North Clinic"
    assert ca.not_valid_after_utc - clock.at > timedelta(days=7300)
    assert site.authority.ca_fingerprint == ca.fingerprint(hashes.SHA256()).hex()


def test_server_certificate_holds_every_address_and_both_roles(site: Site, clock: HandClock) -> None:
    server = site.authority.server
    assert all(made.names_host(server, host) for host in HOSTS)
    usage = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert server.not_valid_after_utc == clock.at + timedelta(days=825)


@pytest.mark.parametrize("host", ["", "not a host", "-x", "a..b", "http://x", "a" * 64, "*.example.org"])
def test_bad_host_is_refused_before_anything_is_written(tmp_path: Path, clock: HandClock, host: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="neither an IP address nor a DNS name"):
        Authority.create(tmp_path / "keys", "North Clinic", [host], clock)
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\nb"])
def test_bad_site_name_is_refused(tmp_path: Path, clock: HandClock, name: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="site's name"):
        Authority.create(tmp_path / "keys", name, HOSTS, clock)


def test_device_is_named_by_its_uri_and_registered(site: Site, clock: HandClock) -> None:
    device = site.authority.issue_device("ct1")
    certificate = _certificate(device)
    assert made.device_of(certificate) == "ct1"
    assert device.not_after == clock.at + timedelta(days=730)
    assert device.sha256 == certificate.fingerprint(hashes.SHA256()).hex()
    registered = site.folder / "keys" / "issued" / f"{device.serial:x}.pem"
    assert registered.read_bytes() == device.cert_pem
    assert device.key_pem is not None
    key = serialization.load_pem_private_key(device.key_pem, password=None)
    assert key.public_key() == certificate.public_key()
    assert b"PRIVATE" not in registered.read_bytes()
    assert "PRIVATE" not in repr(device)


@pytest.mark.parametrize("name", ["", "CT1", "-ct1", "ct 1", "ct1\n", "a" * 33, "../x", "ct1/x", "é"])
def test_bad_device_name_is_refused(site: Site, name: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="not a device's name"):
        site.authority.issue_device(name)
    assert site.authority.registered() == []


def test_no_certificate_outlives_the_ca(site: Site) -> None:
    device = site.authority.issue_device("ct1", timedelta(days=100_000))
    assert device.not_after == site.authority.ca.not_valid_after_utc


def test_lifetime_that_is_over_at_once_is_refused(site: Site) -> None:
    with pytest.raises(ConfigurationInvalid, match="expired when made"):
        site.authority.issue_device("ct1", timedelta(0))


def _csr(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey) -> bytes:
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "i am the ca")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(made.DEVICE_URN + "mr1")]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(rsa.generate_private_key(65537, 2048), id="rsa2048"),
        pytest.param(ec.generate_private_key(ec.SECP384R1()), id="p384"),
    ],
)
def test_only_the_key_is_taken_from_a_request(
    site: Site, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
) -> None:
    device = site.authority.sign_csr("ct1", _csr(key))
    certificate = _certificate(device)
    assert device.key_pem is None
    assert certificate.public_key() == key.public_key()
    assert made.device_of(certificate) == "ct1"
    assert "i am the ca" not in certificate.subject.rfc4514_string()
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_device_that_kept_its_rsa_key_can_connect(site: Site) -> None:
    key = rsa.generate_private_key(65537, 2048)
    device = site.authority.sign_csr("ct1", _csr(key))
    assert site.call(device.cert_pem, key_pem(key)).up


def test_request_with_a_weak_or_strange_key_is_refused(site: Site) -> None:
    weak = [
        (_csr(rsa.generate_private_key(65537, 1024)), "RSA key has 2048"),  # noqa: S505 - the point
        (_csr(ec.generate_private_key(ec.SECP224R1())), "P-256, P-384 or P-521"),
        (_csr(dsa.generate_private_key(2048)), "neither RSA nor EC"),
    ]
    edwards = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(edwards, None)
    weak.append((request.public_bytes(serialization.Encoding.PEM), "neither RSA nor EC"))
    for csr, reason in weak:
        with pytest.raises(ConfigurationInvalid, match=reason):
            site.authority.sign_csr("ct1", csr)
    assert site.authority.registered() == []


def test_request_signed_by_another_key_is_refused(site: Site) -> None:
    one, other = (
        x509.load_pem_x509_csr(_csr(ec.generate_private_key(ec.SECP256R1()))).public_bytes(
            serialization.Encoding.DER
        )
        for _ in range(2)
    )
    swapped = one.replace(
        x509.load_der_x509_csr(one)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        x509.load_der_x509_csr(other)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
    )
    pem = x509.load_der_x509_csr(swapped).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(ConfigurationInvalid, match="not signed by its own key"):
        site.authority.sign_csr("ct1", pem)


@pytest.mark.parametrize("csr", [b"", b"nonsense", b"\x00" * 100, b"x" * (made.MAX_CSR_BYTES + 1)])
def test_what_is_no_request_is_refused(site: Site, csr: bytes) -> None:
    with pytest.raises(ConfigurationInvalid, match="certificate request"):
        site.authority.sign_csr("ct1", csr)


def test_pkcs12_opens_with_its_passphrase_only(site: Site) -> None:
    device = site.authority.issue_device("ct1")
    packed = pkcs12_of(device, b"correct horse")
    opened = pkcs12.load_pkcs12(packed, b"correct horse")
    assert opened.cert is not None
    assert opened.cert.certificate == _certificate(device)
    assert [extra.certificate for extra in opened.additional_certs] == [site.authority.ca]
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_pkcs12(packed, b"wrong")
    with pytest.raises(ConfigurationInvalid, match="passphrase"):
        pkcs12_of(device, b"")
    kept = site.authority.sign_csr("ct2", _csr(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(ConfigurationInvalid, match="generated here"):
        pkcs12_of(kept, b"correct horse")


def test_revoking_covers_every_certificate_of_the_device_and_no_other(site: Site) -> None:
    first, second = site.authority.issue_device("ct1"), site.authority.issue_device("ct1")
    other = site.authority.issue_device("ct10")
    assert set(site.authority.revoke_device("ct1")) == {first.serial, second.serial}
    assert site.authority.revoke_device("ct1") == ()
    assert site.authority.revoke_device("nobody") == ()
    assert {row.serial: row.revoked for row in site.authority.registered()} == {
        first.serial: True,
        second.serial: True,
        other.serial: False,
    }


def test_revocations_add_up_and_count(site: Site) -> None:
    first = site.authority.issue_device("ct1")
    site.authority.revoke_device("ct1")
    renewed = site.authority.issue_device("ct1")
    site.authority.revoke_device("ct1")
    site.revocations.reload_if_changed()
    assert site.revocations.serials == {first.serial, renewed.serial}
    number = site.revocations.crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert number == 3
    assert site.revocations.crl.next_update_utc == site.authority.ca.not_valid_after_utc


def test_open_finds_what_create_made(site: Site, clock: HandClock) -> None:
    device = site.authority.issue_device("ct1")
    again = Authority.open(site.folder / "keys", clock)
    assert again.ca_fingerprint == site.authority.ca_fingerprint
    assert again.server == site.authority.server
    assert [row.serial for row in again.registered()] == [device.serial]


@pytest.mark.parametrize("name", ["ca.key", "server.key"])
def test_open_refuses_keys_that_others_can_read(site: Site, clock: HandClock, name: str) -> None:
    (site.folder / "keys" / name).chmod(0o640)
    with pytest.raises(ConfigurationInvalid, match=f"{name} can be used by others"):
        Authority.open(site.folder / "keys", clock)


@pytest.mark.parametrize("name", ["ca.key", "ca.pem", "server.key", "server.pem"])
def test_open_names_the_missing_or_damaged_file(site: Site, clock: HandClock, name: str) -> None:
    path = site.folder / "keys" / name
    path.write_bytes(b"damaged")
    with pytest.raises(ConfigurationInvalid, match=name):
        Authority.open(site.folder / "keys", clock)
    path.unlink()
    with pytest.raises(ConfigurationInvalid, match=f"cannot read .*{name}"):
        Authority.open(site.folder / "keys", clock)


def test_open_refuses_files_of_different_sites(
    site: Site, make_site: Callable[[str], Site], clock: HandClock
) -> None:
    other = make_site("other")
    keys = site.folder / "keys"
    for name in ("server.key", "server.pem"):
        (keys / name).write_bytes((other.folder / "keys" / name).read_bytes())
    with pytest.raises(ConfigurationInvalid, match="was not issued by"):
        Authority.open(keys, clock)
    (keys / "ca.key").write_bytes((other.folder / "keys" / "ca.key").read_bytes())
    with pytest.raises(ConfigurationInvalid, match="does not belong"):
        Authority.open(keys, clock)


def test_renewed_server_keeps_its_key_and_gets_new_hosts(site: Site, clock: HandClock) -> None:
    clock.at += timedelta(days=800)
    renewed = site.authority.renew_server(["10.0.0.5"])
    assert renewed.server.public_key() == site.authority.server.public_key()
    assert made.names_host(renewed.server, "10.0.0.5")
    assert renewed.server.not_valid_after_utc == clock.at + timedelta(days=825)
    assert Authority.open(site.folder / "keys", clock).server == renewed.server
