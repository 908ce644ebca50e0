from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.identity import certificates as made
from leadglass.model.errors import ConfigurationInvalid
from tests.support.tls_site import HandClock, Site, self_signed

DAY = timedelta(days=1)


def _foreign(clock: HandClock, *uris: str, common_name: str = "x") -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    san = [x509.SubjectAlternativeName(names)] if names else []
    return self_signed(key, clock.at - DAY, clock.at + DAY, *san, common_name=common_name)


@pytest.mark.parametrize(
    ("uris", "device"),
    [
        ((), None),
        (("urn:leadglass:device:ct1",), "ct1"),
        (("https://example.org", "urn:leadglass:device:ct1"), "ct1"),
        (("urn:leadglass:device:ct1", "urn:leadglass:device:mr1"), None),
        (("urn:leadglass:device:",), None),
        (("urn:leadglass:device:CT1",), None),
        (("urn:leadglass:device:ct1%0A",), None),
        (("URN:leadglass:device:ct1",), None),
    ],
)
def test_exactly_one_well_formed_name_counts(
    clock: HandClock, uris: tuple[str, ...], device: str | None
) -> None:
    assert made.device_of(_foreign(clock, *uris)) == device


def test_facts_tell_the_trouble_in_order(site: Site, clock: HandClock) -> None:
    device = site.authority.issue_device("ct1")
    certificate = x509.load_pem_x509_certificate(device.cert_pem)
    ca, nobody = site.authority.ca, frozenset[int]()
    assert made.facts_of(certificate, ca, nobody, clock.at).trouble == ""
    assert made.facts_of(certificate, ca, frozenset({device.serial}), clock.at).trouble == "revoked"
    assert made.facts_of(certificate, ca, nobody, device.not_after + DAY).trouble == "expired"
    assert made.facts_of(certificate, ca, nobody, clock.at - 2 * DAY).trouble == "not yet valid"


def test_serial_on_our_list_says_nothing_about_foreign_certificates(site: Site, clock: HandClock) -> None:
    certificate = _foreign(clock, "urn:leadglass:device:ct1")
    facts = made.facts_of(certificate, site.authority.ca, frozenset({certificate.serial_number}), clock.at)
    assert (facts.trouble, facts.issued_here) == ("", False)
    assert not made.facts_of(certificate, None, frozenset(), clock.at).issued_here


def test_subject_is_short_and_fit_for_a_log(clock: HandClock) -> None:
    subject = made.facts_of(
        _foreign(clock, common_name="evil\n\x1b[2Jline" + "x" * 40), None, frozenset(), clock.at
    ).subject
    assert subject.isprintable()
    assert len(subject) <= made.MAX_SUBJECT_CHARACTERS


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # mangled to a negative one
@settings(max_examples=300, deadline=None)
@given(position=st.integers(min_value=0), value=st.integers(min_value=0, max_value=255))
def test_facts_of_a_mangled_certificate_never_raise(position: int, value: int) -> None:
    der = bytearray(MANGLED)
    der[position % len(der)] = value
    try:
        certificate = x509.load_der_x509_certificate(bytes(der))
    except (ValueError, x509.InvalidVersion):
        return
    made.facts_of(certificate, certificate, frozenset(), NOW)
    made.names_host(certificate, "127.0.0.1")


@pytest.mark.parametrize(
    "text",
    [
        "ab" * 32,
        "AB" * 32,
        ":".join(["aB"] * 32),
        " sha256:" + "ab" * 32 + "\n",
    ],
)
def test_fingerprint_is_read_as_people_write_it(text: str) -> None:
    assert made.parse_fingerprint(text) == "ab" * 32


@pytest.mark.parametrize("text", ["", "ab" * 20, "zz" * 32, "ab" * 33])
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="SHA-256"):
        made.parse_fingerprint(text)


def _sample() -> tuple[bytes, HandClock]:
    clock = HandClock(datetime(2030, 1, 1, tzinfo=UTC))
    certificate = _foreign(clock, "urn:leadglass:device:ct1", common_name="mangled")
    return certificate.public_bytes(serialization.Encoding.DER), clock


MANGLED, _CLOCK = _sample()
NOW = _CLOCK.at
