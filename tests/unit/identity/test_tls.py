from __future__ import annotations

import shutil
import socket
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_ASN1 as SSL_FILETYPE_ASN1

from leadglass.identity import certificates as made
from leadglass.identity.authority import Authority
from leadglass.identity.peers import DeviceIdentity, ServerName, TlsFailed
from leadglass.identity.revocation import Revocations
from leadglass.identity.session import TlsSession
from leadglass.identity.tls import anonymous_client_context, archive_client_context, client_context
from leadglass.model.errors import ConfigurationInvalid, LocalProtocolError
from tests.support.tls_site import HandClock, Pair, Site, carry, key_pem, pem, raw_client, self_signed

DAY = timedelta(days=1)


def test_device_issued_here_is_named_on_both_sides(site: Site) -> None:
    device = site.authority.issue_device("ct1")
    pair = site.call_as(device)
    assert pair.up
    peer = pair.server.peer
    assert peer is not None
    assert (peer.device, peer.issued_here, peer.trouble) == ("ct1", True, "")
    assert (peer.sha256, peer.serial, peer.not_after) == (device.sha256, device.serial, device.not_after)
    assert pair.server.version == "TLSv1.3"
    assert pair.server.cipher == "TLS_AES_128_GCM_SHA256"
    assert pair.client.peer is not None
    assert pair.client.peer.device is None


def test_plaintext_passes_both_ways_whole(site: Site) -> None:
    pair = site.call_as(site.authority.issue_device("ct1"))
    sent = bytes(range(256)) * 4096
    pair.client.send(sent)
    assert b"".join(pair.server.receive(pair.client.outgoing())) == sent
    pair.server.send(memoryview(sent))
    pieces = pair.client.receive(memoryview(pair.server.outgoing()))
    assert b"".join(pieces) == sent
    assert max(map(len, pieces)) <= 16384


def test_bytes_arriving_one_by_one_make_the_same_session(site: Site) -> None:
    device = site.authority.issue_device("ct1")
    client = site.client(device.cert_pem, device.key_pem or b"", ServerName("localhost"))
    server = site.server.session("127.0.0.1")
    received: list[bytes] = []
    for _ in range(3):
        for byte in client.outgoing():
            received += server.receive(bytes([byte]))
        for byte in server.outgoing():
            client.receive(bytes([byte]))
    client.send(b"hello")
    for byte in client.outgoing():
        received += server.receive(bytes([byte]))
    assert b"".join(received) == b"hello"


def test_application_bytes_in_the_same_arrival_as_the_handshake_end_are_not_lost(site: Site) -> None:
    device = site.authority.issue_device("ct1")
    client = site.client(device.cert_pem, device.key_pem or b"", ServerName("localhost"))
    server = site.server.session("127.0.0.1")
    server.receive(client.outgoing())
    client.receive(server.outgoing())
    client.send(b"first")
    assert server.receive(client.outgoing()) == [b"first"]


def test_client_without_certificate_is_refused_by_name(site: Site) -> None:
    for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
        client = SSL.Connection(raw_client(version))
        client.set_connect_state()
        server = site.server.session("127.0.0.1")
        with pytest.raises(TlsFailed, match="no client certificate") as caught:
            carry(client, server)
        assert caught.value.certificate is None
        assert server.outgoing()  # the alert
        assert not server.handshake_done


def test_anonymous_client_is_refused_and_checks_whom_it_calls(site: Site) -> None:
    ca = site.folder / "keys" / "ca.pem"
    for host, why in (("127.0.0.1", "no client certificate"), ("10.0.0.1", "the peer refused")):
        client = anonymous_client_context(ca, site.clock).session(ServerName(host))
        pair = Pair(client, site.server.session("127.0.0.1")).exchange()
        assert not pair.up
        assert pair.server_failure is not None
        assert why in pair.server_failure.reason
    (site.folder / "no.pem").write_bytes(b"no certificate")
    with pytest.raises(ConfigurationInvalid, match="must be PEM"):
        anonymous_client_context(site.folder / "no.pem", site.clock)


def test_wrong_ca_is_refused_with_its_facts(site: Site, make_site: Callable[[str], Site]) -> None:
    other = make_site("other").authority.issue_device("ct1")
    pair = site.call(other.cert_pem, other.key_pem or b"")
    assert not pair.up
    assert pair.server_failure is not None
    assert pair.server_failure.reason.endswith("was not issued by this site's CA")
    facts = pair.server_failure.certificate
    assert facts is not None
    assert (facts.sha256, facts.issued_here) == (other.sha256, False)
    assert pair.client_failure is not None
    assert "unknown ca" in pair.client_failure.reason


def test_wrong_ca_with_its_root_sent_along_is_refused(site: Site, make_site: Callable[[str], Site]) -> None:
    other = make_site("other").authority.issue_device("ct1")
    pair = site.call(other.cert_pem + other.ca_pem, other.key_pem or b"")
    assert pair.server_failure is not None
    assert pair.server_failure.reason.endswith("was not issued by this site's CA")
    assert pair.client_failure is not None
    assert "unknown ca" in pair.client_failure.reason


def test_any_sound_certificate_is_taken_from_an_address_that_is_being_learned(
    site: Site, foreign: tuple[x509.Certificate, bytes], make_site: Callable[[str], Site]
) -> None:
    other = make_site("other").authority.issue_device("ct1")
    site.watched.add("127.0.0.1")
    for certificate, key in ((other.cert_pem, other.key_pem or b""), (pem(foreign[0]), foreign[1])):
        pair = site.call(certificate, key)
        assert pair.up
        assert pair.server.peer is not None
        assert not pair.server.peer.issued_here
    ours = site.authority.issue_device("ct1")
    assert site.call_as(ours).up
    site.watched = {"127.0.0.9"}
    assert not site.call(other.cert_pem, other.key_pem or b"").up


def test_from_a_watched_address_too_what_is_expired_or_revoked_is_refused(
    site: Site, clock: HandClock
) -> None:
    site.watched.add("127.0.0.1")
    expired = site.call_as(site.issued_at(clock.at - 1000 * DAY, "ct1"))
    assert expired.server_failure is not None
    assert "expired" in expired.server_failure.reason
    device = site.authority.issue_device("mr1")
    site.authority.revoke_device("mr1")
    assert site.revocations.reload_if_changed()
    revoked = site.call_as(device)
    assert revoked.server_failure is not None
    assert "was revoked" in revoked.server_failure.reason
    key = ec.generate_private_key(ec.SECP256R1())
    old = site.call(pem(self_signed(key, clock.at - 2 * DAY, clock.at - DAY)), key_pem(key))
    assert old.server_failure is not None
    assert not old.up


def test_self_signed_is_refused(site: Site, foreign: tuple[x509.Certificate, bytes]) -> None:
    pair = site.call(pem(foreign[0]), foreign[1])
    assert not pair.up
    assert pair.server_failure is not None
    assert pair.server_failure.reason == "certificate of 'CN=foreign' was not issued by this site's CA"


def test_self_signed_claiming_a_device_is_not_called_by_its_name(site: Site, clock: HandClock) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(made.DEVICE_URN + "ct1")])
    pair = site.call(pem(self_signed(key, clock.at - DAY, clock.at + DAY, san)), key_pem(key))
    assert pair.server_failure is not None
    assert "device ct1" not in pair.server_failure.reason


def test_our_own_ca_certificate_is_no_device(site: Site) -> None:
    keys = site.folder / "keys"
    pair = site.call((keys / "ca.pem").read_bytes(), (keys / "ca.key").read_bytes())
    assert pair.server.peer is None or pair.server.peer.device is None


def test_expired_is_refused_by_name_and_date(site: Site, clock: HandClock) -> None:
    device = site.issued_at(clock.at - 1000 * DAY, "ct1")
    pair = site.call_as(device)
    assert pair.server_failure is not None
    assert pair.server_failure.reason == f"certificate of device ct1 expired {device.not_after:%Y-%m-%d}"
    assert pair.server_failure.certificate is not None
    assert pair.server_failure.certificate.trouble == "expired"
    assert pair.client_failure is not None
    assert "certificate expired" in pair.client_failure.reason


def test_not_yet_valid_is_refused_by_name(site: Site, clock: HandClock) -> None:
    pair = site.call_as(site.issued_at(clock.at + 10 * DAY, "ct1"))
    assert pair.server_failure is not None
    begins = f"{clock.at + 9 * DAY:%Y-%m-%d}"
    assert pair.server_failure.reason == f"certificate of device ct1 is not valid before {begins}"
    assert pair.server_failure.certificate is not None
    assert pair.server_failure.certificate.trouble == "not yet valid"


def test_revoked_is_refused_at_the_next_handshake_after_reload(site: Site) -> None:
    device, other = site.authority.issue_device("ct1"), site.authority.issue_device("mr1")
    context = site.server
    site.authority.revoke_device("ct1")
    assert site.revocations.reload_if_changed()
    client = site.client(device.cert_pem, device.key_pem or b"", ServerName("127.0.0.1"))
    pair = Pair(client, context.session("127.0.0.1")).exchange()
    assert pair.server_failure is not None
    assert pair.server_failure.reason == "certificate of device ct1 was revoked"
    assert pair.server_failure.certificate is not None
    assert pair.server_failure.certificate.trouble == "revoked"
    assert pair.client_failure is not None
    assert "certificate revoked" in pair.client_failure.reason
    assert site.call_as(other).up


def test_forged_serial_of_a_revoked_device_is_not_called_by_its_name(
    site: Site, make_site: Callable[[str], Site], clock: HandClock
) -> None:
    device = site.authority.issue_device("ct1")
    site.authority.revoke_device("ct1")
    site.revocations.reload_if_changed()
    key = ec.generate_private_key(ec.SECP256R1())
    forged = (
        x509.CertificateBuilder()
        .subject_name(site.authority.ca.subject)
        .issuer_name(site.authority.ca.subject)
        .public_key(key.public_key())
        .serial_number(device.serial)
        .not_valid_before(clock.at - DAY)
        .not_valid_after(clock.at + DAY)
        .sign(key, site.authority.server.signature_hash_algorithm)  # type: ignore[arg-type]  # SHA-256
    )
    pair = site.call(pem(forged), key_pem(key))
    assert pair.server_failure is not None
    assert pair.server_failure.reason.endswith("was not issued by this site's CA")


@pytest.mark.parametrize(
    ("good", "bad", "reason"),
    [
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x03", "the certificate cannot be read"),  # version 4
        (b"abcdefgh", b"abc\xff\xfefgh", "was not issued by this site's CA"),  # a DNS name, not ASCII
        (b"\x82\x08abcdefgh", b"\xa3\x08abcdefgh", "was not issued by this site's CA"),  # an X.400 address
    ],
)
def test_certificate_made_to_confuse_is_refused_by_type(
    site: Site, clock: HandClock, good: bytes, bad: bytes, reason: str
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    san = x509.SubjectAlternativeName([x509.DNSName("abcdefgh")])
    der = self_signed(key, clock.at - DAY, clock.at + DAY, san).public_bytes(serialization.Encoding.DER)
    assert good in der
    server = site.server.session("127.0.0.1")
    with pytest.raises(TlsFailed, match=reason):
        carry(_client_showing(site.folder, der.replace(good, bad, 1), key), server)
    assert server.outgoing()


def test_pinned_foreign_certificate_is_accepted_as_foreign(
    site: Site, foreign: tuple[x509.Certificate, bytes]
) -> None:
    certificate, key = foreign
    site.pins.add(made.fingerprint(certificate))
    pair = site.call(pem(certificate), key)
    assert pair.up
    assert pair.server.peer is not None
    assert not pair.server.peer.issued_here
    assert pair.server.peer.sha256 == made.fingerprint(certificate)


def test_pinned_certificate_of_a_foreign_ca_is_accepted_with_its_chain(
    site: Site, make_site: Callable[[str], Site]
) -> None:
    other = make_site("other").authority.issue_device("ct1")
    site.pins.add(other.sha256)
    pair = site.call(other.cert_pem + other.ca_pem, other.key_pem or b"")
    assert pair.up
    assert pair.server.peer is not None
    assert not pair.server.peer.issued_here


def test_pin_of_another_certificate_does_not_help(
    site: Site, foreign: tuple[x509.Certificate, bytes]
) -> None:
    site.pins.add("0" * 64)
    assert not site.call(pem(foreign[0]), foreign[1]).up


def test_pinned_certificate_without_its_key_does_not_help(
    site: Site, foreign: tuple[x509.Certificate, bytes], clock: HandClock
) -> None:
    site.pins.add(made.fingerprint(foreign[0]))
    thief = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(ConfigurationInvalid):
        site.call(pem(foreign[0]), key_pem(thief))
    pair = site.call(pem(self_signed(thief, clock.at - DAY, clock.at + DAY)), key_pem(thief))
    assert not pair.up


def test_unpinning_counts_from_the_next_handshake(
    site: Site, foreign: tuple[x509.Certificate, bytes]
) -> None:
    site.pins.add(made.fingerprint(foreign[0]))
    assert site.call(pem(foreign[0]), foreign[1]).up
    site.pins.clear()
    assert not site.call(pem(foreign[0]), foreign[1]).up


def test_pinned_foreign_certificate_still_expires(site: Site, clock: HandClock) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = self_signed(key, clock.at - 3 * DAY, clock.at - DAY)
    site.pins.add(made.fingerprint(certificate))
    pair = site.call(pem(certificate), key_pem(key))
    assert pair.server_failure is not None
    assert "expired" in pair.server_failure.reason
    assert pair.server_failure.certificate is not None
    assert pair.server_failure.certificate.trouble == "expired"


def test_pinned_foreign_certificate_may_be_made_for_servers_only(site: Site, clock: HandClock) -> None:
    key = rsa.generate_private_key(65537, 2048)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    certificate = self_signed(key, clock.at - DAY, clock.at + DAY, usage)
    site.pins.add(made.fingerprint(certificate))
    assert site.call(pem(certificate), key_pem(key)).up


@pytest.mark.parametrize(("version", "name"), [(SSL.TLS1_VERSION, "1.0"), (SSL.TLS1_1_VERSION, "1.1")])
def test_old_tls_is_refused_by_name(site: Site, version: int, name: str) -> None:
    client = SSL.Connection(raw_client(version))
    client.set_connect_state()
    server = site.server.session("127.0.0.1")
    with pytest.raises(TlsFailed, match=f"TLS {name} offered, TLS 1.2 or 1.3 needed"):
        carry(client, server)
    assert server.outgoing()[-2:] == b"\x02\x46"  # fatal, protocol_version


def test_tls_1_2_with_a_client_certificate_works(site: Site) -> None:
    device = site.authority.issue_device("ct1")
    server = site.server.session("127.0.0.1")
    received = carry(_old_client(site, device.cert_pem, device.key_pem or b""), server)
    assert received == []
    assert server.version == "TLSv1.2"
    assert server.cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"


def test_cbc_and_rsa_key_exchange_find_no_cipher(site: Site) -> None:
    context = raw_client(SSL.TLS1_2_VERSION)
    context.set_cipher_list(b"AES128-SHA:ECDHE-ECDSA-AES128-SHA:AES128-GCM-SHA256")
    client = SSL.Connection(context)
    client.set_connect_state()
    with pytest.raises(TlsFailed, match="no cipher suite in common"):
        carry(client, site.server.session("127.0.0.1"))


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"\x01\x00\x00\x00\x00\xcd\x00\x01", "a DICOM A-ASSOCIATE-RQ"),
        (b"\x01", "a DICOM A-ASSOCIATE-RQ"),
        (b"GET / HTTP/1.1\r\n", "an HTTP request"),
        (b"\x80\x2e\x01\x00\x02", "neither TLS nor DICOM"),
        (b"\x00" * 64, "neither TLS nor DICOM"),
    ],
)
def test_plaintext_is_named_and_answered_with_silence(site: Site, sent: bytes, reason: str) -> None:
    server = site.server.session("127.0.0.1")
    with pytest.raises(TlsFailed, match=reason):
        server.receive(sent)
    assert server.outgoing() == b""
    with pytest.raises(TlsFailed, match=reason):
        server.receive(b"more")


@settings(max_examples=150, deadline=None)
@given(rest=st.binary(max_size=600))
def test_garbage_after_a_handshake_byte_is_refused_or_waited_for(
    rest: bytes, garbage_server: Callable[[], Pair]
) -> None:
    server = garbage_server().server
    with suppress(TlsFailed):
        assert server.receive(b"\x16" + rest) == []
    assert not server.handshake_done


@pytest.fixture(scope="module")
def garbage_server(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Pair]:
    clock = HandClock(datetime.now(UTC))
    folder = tmp_path_factory.mktemp("garbage")
    authority = Authority.create(folder / "keys", "North Clinic", ["localhost"], clock)
    site = Site(folder, clock, authority, Revocations(authority.crl_path, authority.ca))
    context, device = site.server, authority.issue_device("ct1")

    def make() -> Pair:
        return Pair(
            site.client(device.cert_pem, device.key_pem or b"", ServerName("localhost")),
            context.session("127.0.0.1"),
        )

    return make


@settings(max_examples=60, deadline=None)
@given(position=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_a_flipped_bit_never_yields_other_plaintext(
    position: int, bit: int, garbage_server: Callable[[], Pair]
) -> None:
    pair = garbage_server().exchange()
    pair.client.send(b"A-ASSOCIATE-RQ" * 100)
    record = bytearray(pair.client.outgoing())
    record[position % len(record)] ^= 1 << bit
    try:
        received = b"".join(pair.server.receive(bytes(record)))
    except TlsFailed:
        return
    assert received == b""  # a longer length: still waiting


def test_renegotiation_is_refused(site: Site) -> None:
    device = site.authority.issue_device("ct1")
    client = _old_client(site, device.cert_pem, device.key_pem or b"")
    server = site.server.session("127.0.0.1")
    carry(client, server)
    client.renegotiate()
    with pytest.raises(SSL.Error, match="no renegotiation"):
        carry(client, server)
    assert server._connection.total_renegotiations() == 0


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_nothing_is_resumed_so_revocation_bites_the_next_connection(site: Site, version: int) -> None:
    device = site.authority.issue_device("ct1")
    context, listener = raw_client(version), site.server
    _show(context, device.cert_pem, device.key_pem or b"")
    first = SSL.Connection(context)
    first.set_connect_state()
    server = listener.session("127.0.0.1")
    carry(first, server)
    server.send(b"x")
    first.bio_write(server.outgoing())
    assert first.recv(10) == b"x"  # and whatever tickets came with it
    ticket = first.get_session()
    assert ticket is not None

    again = SSL.Connection(context)
    again.set_connect_state()
    again.set_session(ticket)
    server = listener.session("127.0.0.1")
    carry(again, server)
    assert server.peer is not None  # the certificate was shown and judged again

    site.authority.revoke_device("ct1")
    site.revocations.reload_if_changed()
    third = SSL.Connection(context)
    third.set_connect_state()
    third.set_session(ticket)
    with pytest.raises(TlsFailed, match="device ct1 was revoked"):
        carry(third, listener.session("127.0.0.1"))


def test_close_notify_tells_an_end_from_a_cut(site: Site) -> None:
    pair = site.call_as(site.authority.issue_device("ct1"))
    pair.client.send(b"last words")
    pair.client.close()
    before = pair.server.peer_closed
    assert pair.server.receive(pair.client.outgoing()) == [b"last words"]
    assert (before, pair.server.peer_closed) == (False, True)
    assert pair.server.receive(b"anything after") == []
    with pytest.raises(LocalProtocolError):
        pair.client.send(b"more")
    assert pair.client.receive(b"whatever") == []


def test_close_before_the_handshake_says_nothing(site: Site) -> None:
    server = site.server.session("127.0.0.1")
    server.close()
    assert server.outgoing() == b""


def test_sending_before_the_handshake_is_our_own_fault(site: Site) -> None:
    with pytest.raises(LocalProtocolError):
        site.server.session("127.0.0.1").send(b"early")


def test_corruption_ends_the_session_with_an_alert(site: Site) -> None:
    pair = site.call_as(site.authority.issue_device("ct1"))
    pair.client.send(b"hello")
    record = bytearray(pair.client.outgoing())
    record[-1] ^= 1
    with pytest.raises(TlsFailed) as caught:
        pair.server.receive(bytes(record))
    assert caught.value.certificate == pair.server.peer
    assert pair.server.outgoing()
    with pytest.raises(LocalProtocolError):
        pair.server.send(b"no")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "LOCALHOST", "pacs.example.org"])
def test_client_accepts_every_name_of_the_server(site: Site, host: str) -> None:
    device = site.authority.issue_device("ct1")
    assert site.call(device.cert_pem, device.key_pem or b"", ServerName(host)).up


@pytest.mark.parametrize("host", ["127.0.0.2", "example.org", "127.0.0.1.example.org", "::2"])
def test_client_refuses_a_server_of_another_name(site: Site, host: str) -> None:
    device = site.authority.issue_device("ct1")
    pair = site.call(device.cert_pem, device.key_pem or b"", ServerName(host))
    assert pair.client_failure is not None
    assert pair.client_failure.reason == f"certificate of 'CN=archive,O=North Clinic' is not for host {host}"
    assert not pair.server.handshake_done


def test_client_refuses_a_server_of_another_ca(site: Site, make_site: Callable[[str], Site]) -> None:
    device = site.authority.issue_device("ct1")
    other = make_site("other").authority.issue_device("x").ca_pem
    pair = site.call(device.cert_pem, device.key_pem or b"", ca_pem=other)
    assert pair.client_failure is not None
    assert "was not issued by" in pair.client_failure.reason


def test_client_names_a_server_that_speaks_no_tls(site: Site) -> None:
    device = site.authority.issue_device("ct1")
    client = site.client(device.cert_pem, device.key_pem or b"", ServerName("localhost"))
    with pytest.raises(TlsFailed, match="the peer speaks no TLS"):
        client.receive(b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x01")


def test_archive_reaches_the_device_it_means_and_no_other(site: Site) -> None:
    """C-MOVE: the device's TLS server shows the device's own certificate."""
    authority, device = site.authority, site.authority.issue_device("ws1")
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    _show(context, device.cert_pem, device.key_pem or b"")
    for name, reached in (("ws1", True), ("ws2", False)):
        session = archive_client_context(authority, site.revocations).session(DeviceIdentity(name))
        listener = SSL.Connection(context)
        listener.set_accept_state()
        if reached:
            _answer(listener, session)
            assert session.peer is not None
            assert session.peer.device == "ws1"
        else:
            with pytest.raises(TlsFailed, match="certificate of device ws1 is not for device ws2"):
                _answer(listener, session)


def test_archive_refuses_a_revoked_destination(site: Site) -> None:
    device = site.authority.issue_device("ws1")
    site.authority.revoke_device("ws1")
    site.revocations.reload_if_changed()
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    _show(context, device.cert_pem, device.key_pem or b"")
    listener = SSL.Connection(context)
    listener.set_accept_state()
    session = archive_client_context(site.authority, site.revocations).session(DeviceIdentity("ws1"))
    with pytest.raises(TlsFailed, match="device ws1 was revoked"):
        _answer(listener, session)


def test_archive_reaches_a_pinned_foreign_destination(
    site: Site, foreign: tuple[x509.Certificate, bytes]
) -> None:
    certificate, key = foreign
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    _show(context, pem(certificate), key)
    for pins, reached in ((frozenset({made.fingerprint(certificate)}), True), (frozenset({"0"}), False)):
        listener = SSL.Connection(context)
        listener.set_accept_state()
        client = archive_client_context(site.authority, site.revocations)
        session = client.session(DeviceIdentity("night", pins))
        if reached:
            _answer(listener, session)
            assert session.handshake_done
        else:
            with pytest.raises(TlsFailed, match="not issued by"):
                _answer(listener, session)


def test_client_files_that_do_not_fit_together_are_a_clear_error(site: Site, tmp_path: Path) -> None:
    device, other = site.authority.issue_device("ct1"), site.authority.issue_device("mr1")
    with pytest.raises(ConfigurationInvalid, match="must be PEM"):
        site.client(device.cert_pem, other.key_pem or b"", ServerName("localhost"))
    with pytest.raises(ConfigurationInvalid, match="must be PEM"):
        site.client(b"nonsense", device.key_pem or b"", ServerName("localhost"))
    missing = tmp_path / "nowhere.pem"
    with pytest.raises(ConfigurationInvalid, match="cannot read"):
        client_context(missing, missing, missing, site.clock)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl's command line is not installed")
def test_openssl_s_client_is_served(site: Site) -> None:
    device = site.authority.issue_device("ct1")
    for name, content in (("c.pem", device.cert_pem), ("k.pem", device.key_pem), ("a.pem", device.ca_pem)):
        (site.folder / name).write_bytes(content or b"")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}", "-quiet"]
        command += ["-cert", "c.pem", "-key", "k.pem", "-CAfile", "a.pem", "-verify_return_error"]
        command += ["-verify_ip", "127.0.0.1"]
        with subprocess.Popen(
            command, cwd=site.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as peer:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(20)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
                session = site.server.session("127.0.0.1")
                while not session.handshake_done:
                    session.receive(connection.recv(65536))
                    connection.sendall(session.outgoing())
                session.send(b"hello from leadglass\n")
                connection.sendall(session.outgoing())
                assert peer.stdout is not None
                assert peer.stdout.readline() == b"hello from leadglass\n"
            peer.kill()
    assert session.peer is not None
    assert session.peer.device == "ct1"


def _show(context: SSL.Context, cert_pem: bytes, key: bytes) -> None:
    context.use_certificate(x509.load_pem_x509_certificate(cert_pem))
    loaded = serialization.load_pem_private_key(key, password=None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    context.use_privatekey(loaded)


def _client_showing(folder: Path, der: bytes, key: ec.EllipticCurvePrivateKey) -> SSL.Connection:
    """A client that shows a certificate no library of ours would make."""
    context = raw_client(SSL.TLS1_3_VERSION)
    path = folder / "strange.der"
    path.write_bytes(der)
    context.use_certificate_file(path, SSL_FILETYPE_ASN1)
    context.use_privatekey(key)
    connection = SSL.Connection(context)
    connection.set_connect_state()
    return connection


def _old_client(site: Site, cert_pem: bytes, key: bytes) -> SSL.Connection:
    context = raw_client(SSL.TLS1_2_VERSION)
    _show(context, cert_pem, key)
    connection = SSL.Connection(context)
    connection.set_connect_state()
    return connection


def _answer(listener: SSL.Connection, client: TlsSession) -> None:
    """Join a raw pyOpenSSL server to our client."""
    for _ in range(6):
        out = client.outgoing()
        if out:
            listener.bio_write(out)
        with suppress(SSL.WantReadError):
            listener.do_handshake()
        try:
            answer = listener.bio_read(65536)
        except SSL.WantReadError:
            continue
        client.receive(answer)
