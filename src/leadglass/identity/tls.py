"""Who we are and whom we trust in TLS; ``session`` does the talking.

PS3.15 §B.12 (BCP 195: RFC 8996, RFC 9325): TLS 1.2 and 1.3, ephemeral keys and AEAD ciphers
only, no compression, no renegotiation. Nothing is resumed, so that each connection shows its
certificate again and a revocation always bites. The library is pyOpenSSL rather than ``ssl``,
because only its verify callback can take a pinned foreign certificate and name the device whose
certificate was refused.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags

from leadglass.identity.authority import Authority
from leadglass.identity.files import read_file
from leadglass.identity.peers import (
    AnyDevice,
    DeviceIdentity,
    PeerCheck,
    ServerName,
    Trust,
    Watched,
)
from leadglass.identity.revocation import Revocations
from leadglass.identity.session import TlsSession
from leadglass.model.clock import Clock
from leadglass.model.errors import ConfigurationInvalid

# RFC 9325 §4.2 names these four for TLS 1.2; RFC 8446 §9.1 the ones for TLS 1.3.
TLS12_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    b"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
)
TLS13_CIPHERS = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
MAX_CHAIN_DEPTH = 4


class ServerContext:
    """Makes the server's side of sessions; follows the revocation list as it is reloaded."""

    def __init__(
        self,
        authority: Authority,
        revocations: Revocations,
        pinned: Callable[[], frozenset[str]],
        watched: Callable[[str], bool],
    ) -> None:
        self._authority = authority
        self._key = authority.server_key()
        self._revocations = revocations
        self._pinned = pinned
        self._watched = watched
        self._crl = revocations.crl
        self._context = self._make()

    def session(self, address: str) -> TlsSession:
        """A session for a connection just accepted from an address."""
        if self._revocations.crl is not self._crl:
            self._crl = self._revocations.crl
            self._context = self._make()
        trust = Trust(self._authority.ca, self._revocations.serials, self._pinned)
        connection = SSL.Connection(self._context)
        connection.set_accept_state()
        check = PeerCheck(trust, Watched() if self._watched(address) else AnyDevice())
        connection.set_app_data(check)
        return TlsSession(connection, check, self._authority.clock, opening=b"")

    def _make(self) -> SSL.Context:
        context = _context(SSL.TLS_SERVER_METHOD, [self._authority.ca], self._crl)
        _identify(context, self._authority.server, self._key)
        # No list of CAs is sent: a device with a pinned foreign certificate would find its
        # issuer missing there and present nothing.
        return context


class ClientContext:
    """Makes the client's side of sessions."""

    def __init__(self, context: SSL.Context, trust: Callable[[], Trust], clock: Clock) -> None:
        self._context = context
        self._trust = trust
        self._clock = clock

    def session(self, expect: ServerName | DeviceIdentity) -> TlsSession:
        """A session for a connection just made; ``outgoing`` holds its first message."""
        connection = SSL.Connection(self._context)
        connection.set_connect_state()
        if isinstance(expect, ServerName) and not _is_address(expect.host):
            connection.set_tlsext_host_name(expect.host.encode("idna"))
        check = PeerCheck(self._trust(), expect)
        connection.set_app_data(check)
        session = TlsSession(connection, check, self._clock, opening=None)
        session.start()
        return session


def server_context(
    authority: Authority,
    revocations: Revocations,
    pinned: Callable[[], frozenset[str]],
    watched: Callable[[str], bool],
) -> ServerContext:
    """The archive's listeners: a client certificate is required.

    ``pinned`` is asked at each handshake for the SHA-256 fingerprints of foreign certificates, and
    ``watched`` whether any other foreign one may be shown from an address, because it is being learned.

    Raises:
        ConfigurationInvalid: the server's key cannot be used.
    """
    return ServerContext(authority, revocations, pinned, watched)


def archive_client_context(authority: Authority, revocations: Revocations) -> ClientContext:
    """The archive as a client (C-MOVE): shows its own certificate, expects a ``DeviceIdentity``.

    Make a new one when ``revocations`` changed.

    Raises:
        ConfigurationInvalid: the server's key cannot be used.
    """
    context = _context(SSL.TLS_CLIENT_METHOD, [authority.ca], revocations.crl)
    _identify(context, authority.server, authority.server_key())
    trust = Trust(authority.ca, revocations.serials, frozenset)
    return ClientContext(context, lambda: trust, authority.clock)


def client_context(cert_path: Path, key_path: Path, ca_path: Path, clock: Clock) -> ClientContext:
    """The command line as a client: a device's own files, and the CA of whom it calls.

    Raises:
        ConfigurationInvalid: a file cannot be read, or key and certificate do not match.
    """
    try:
        cas = x509.load_pem_x509_certificates(read_file(ca_path))
        chain = x509.load_pem_x509_certificates(read_file(cert_path))
        key = serialization.load_pem_private_key(read_file(key_path), password=None)
        context = _context(SSL.TLS_CLIENT_METHOD, cas, None)
        _identify(context, chain[0], key)
        for issuer in chain[1:]:
            context.add_extra_chain_cert(issuer)
    except (ValueError, TypeError, SSL.Error) as error:
        raise ConfigurationInvalid(
            f"{cert_path}, {key_path} and {ca_path} must be PEM: a certificate, its key without"
            " passphrase, and the CA's certificate"
        ) from error
    return _command_line(context, cas[0], clock)


def anonymous_client_context(ca_path: Path, clock: Clock) -> ClientContext:
    """A client that shows no certificate, which our listeners refuse: for the demo and for tests.

    Raises:
        ConfigurationInvalid: the CA's file cannot be read.
    """
    try:
        cas = x509.load_pem_x509_certificates(read_file(ca_path))
    except ValueError as error:
        raise ConfigurationInvalid(f"{ca_path} must be PEM: the CA's certificate") from error
    return _command_line(_context(SSL.TLS_CLIENT_METHOD, cas, None), cas[0], clock)


def _command_line(context: SSL.Context, ca: x509.Certificate, clock: Clock) -> ClientContext:
    trust = Trust(ca, frozenset(), frozenset)
    return ClientContext(context, lambda: trust, clock)


def _context(
    method: int, cas: list[x509.Certificate], crl: x509.CertificateRevocationList | None
) -> SSL.Context:
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(TLS12_CIPHERS)
    context.set_tls13_ciphersuites(TLS13_CIPHERS)
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _judge)
    context.set_verify_depth(MAX_CHAIN_DEPTH)
    store = context.get_cert_store()
    if store is None:
        raise ConfigurationInvalid("OpenSSL has no certificate store")
    for ca in cas:
        store.add_cert(X509.from_cryptography(ca))
    if crl is not None:
        store.add_crl(crl)
        store.set_flags(X509StoreFlags.CRL_CHECK)
    return context


def _identify(context: SSL.Context, certificate: x509.Certificate, key: object) -> None:
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ConfigurationInvalid("a TLS key is RSA or EC")
    context.use_certificate(certificate)
    context.use_privatekey(key)
    context.check_privatekey()


def _judge(connection: SSL.Connection, certificate: X509, error: int, depth: int, ok: int) -> bool:
    """OpenSSL's verify callback. An exception here would surface in another connection."""
    check = connection.get_app_data()
    return isinstance(check, PeerCheck) and check.judge(certificate, 0 if ok else error, depth)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
