"""One TLS connection without sockets: bytes in, bytes out."""

from __future__ import annotations

from OpenSSL import SSL

from leadglass.identity.peers import CertificateRefused, PeerCheck, TlsFailed
from leadglass.model.caller import CertificateFacts
from leadglass.model.clock import Clock
from leadglass.model.errors import LocalProtocolError

_RECORD_BYTES = 16 * 1024  # RFC 8446 §5.1: no record holds more plaintext
_OVERHEAD_BYTES = 512  # of the records of one portion
# A memory BIO keeps the largest size it ever had; small portions keep idle sessions small. With half of
# this, sending takes 1.7 times as long; with twice as much, 0.85 times.
_PORTION_BYTES = 32 * 1024
_OPENING_BYTES = 11  # record header, handshake header, version offered: RFC 8446 §4.1.2, §5.1
_HANDSHAKE_RECORD = 0x16
_OLD_VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1"}


class TlsSession:
    """One connection's TLS: feed it what arrived, write what it says. Both sides.

    After a ``TlsFailed``, ``outgoing`` may hold the alert to send before closing.
    """

    __slots__ = (
        "_check",
        "_clock",
        "_closed",
        "_connection",
        "_failure",
        "_opening",
        "_out",
        "cipher",
        "handshake_done",
        "peer",
        "peer_closed",
        "version",
    )

    def __init__(
        self, connection: SSL.Connection, check: PeerCheck, clock: Clock, *, opening: bytes | None
    ) -> None:
        """``opening`` is empty where we are called, to look at it; ``None`` where we call."""
        self._connection = connection
        self._check: PeerCheck | None = check
        self._clock = clock
        self._failure: TlsFailed | None = None
        self._closed = False
        self._opening = opening
        self._out: list[bytes] = []
        self.handshake_done = False
        self.peer: CertificateFacts | None = None  # known once handshake_done
        self.version = ""  # as OpenSSL names it: TLSv1.3
        self.cipher = ""
        self.peer_closed = False  # close_notify came: an end without it was cut off

    def receive(self, ciphertext: bytes | memoryview) -> list[bytes]:
        """Take what arrived; the plaintext it completes, in pieces of up to 16 KiB.

        Raises:
            TlsFailed: the peer is refused, or speaks no TLS we speak; the session is over.
        """
        if self._failure is not None:
            raise self._failure
        if self._closed or self.peer_closed:
            return []
        plaintext: list[bytes] = []
        arrived = memoryview(ciphertext)
        if self._opening is not None and len(self._opening) < _OPENING_BYTES:
            self._look_at_opening(self._opening, arrived)
        try:
            for start in range(0, len(arrived), _PORTION_BYTES):
                self._connection.bio_write(arrived[start : start + _PORTION_BYTES])
                if self.handshake_done or self._shake_hands():
                    self._decrypt(plaintext)
        except SSL.Error as error:
            raise self._failed(error) from error
        return plaintext

    def send(self, plaintext: bytes | memoryview) -> None:
        """Encrypt; fetch the result with ``outgoing``.

        Raises:
            LocalProtocolError: the handshake is not done, or the session is over.
        """
        if not self.handshake_done or self._closed or self._failure is not None:
            raise LocalProtocolError("TLS: nothing can be sent before the handshake or after the end")
        left = memoryview(plaintext)
        try:
            for start in range(0, len(left), _PORTION_BYTES):
                self._connection.sendall(left[start : start + _PORTION_BYTES])
                self._collect()
        except SSL.Error as error:
            raise self._failed(error) from error

    def outgoing(self) -> bytes:
        """What is to be written to the peer now; may be empty."""
        self._collect()
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    def close(self) -> None:
        """Say close_notify (RFC 8446 §6.1); ``outgoing`` holds it. Later input is ignored."""
        if self.handshake_done and not self._closed and self._failure is None:
            self._closed = True
            self._connection.shutdown()

    def start(self) -> None:
        """As the client: make the first message. Called once, by the context."""
        self._shake_hands()

    def _shake_hands(self) -> bool:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        self.handshake_done = True
        self.version = self._connection.get_protocol_version_name()
        self.cipher = self._connection.get_cipher_name() or ""
        if self._check is not None:
            self.peer = self._check.facts(self._clock.now())
            self._check = None  # the parsed certificate is not needed while the session idles
            self._connection.set_app_data(None)
        return True

    def _decrypt(self, plaintext: list[bytes]) -> None:
        read = self._connection.recv
        try:
            while True:
                plaintext.append(read(_RECORD_BYTES))
        except SSL.WantReadError:
            return
        except SSL.ZeroReturnError:
            self.peer_closed = True

    def _collect(self) -> None:
        read = self._connection.bio_read
        try:
            while True:
                piece = read(_PORTION_BYTES + _OVERHEAD_BYTES)
                self._out.append(piece)
                if len(piece) < _PORTION_BYTES:
                    return
        except SSL.WantReadError:
            return

    def _look_at_opening(self, seen: bytes, arrived: memoryview) -> None:
        """Say what a peer speaks that does not speak TLS; OpenSSL would only say "wrong version"."""
        self._opening = opening = seen + bytes(arrived[: _OPENING_BYTES - len(seen)])
        if opening and opening[0] != _HANDSHAKE_RECORD:
            self._failure = TlsFailed(_name_plaintext(opening))
            raise self._failure

    def _failed(self, error: SSL.Error) -> TlsFailed:
        refused = self._check.refused(self._clock.now()) if self._check else None
        self._failure = refused or _failure(error, self._opening or b"", self.peer)
        return self._failure


def _name_plaintext(opening: bytes) -> str:
    if opening[0] == 0x01:  # PS3.8 §9.3.2: PDU type of an A-ASSOCIATE-RQ
        return "plaintext on a TLS listener: a DICOM A-ASSOCIATE-RQ"
    if opening[:1].isalpha() and opening[:1].isupper():
        return "plaintext on a TLS listener: an HTTP request, or text"
    return "neither TLS nor DICOM"


def _failure(error: SSL.Error, opening: bytes, peer: CertificateFacts | None) -> TlsFailed:
    queue = error.args[0] if error.args else []
    reason = str(queue[-1][-1]) if isinstance(queue, list) and queue else "broken"
    if "did not return a certificate" in reason:
        return CertificateRefused("no client certificate")
    return TlsFailed(_explain(reason, opening), peer)


def _explain(reason: str, opening: bytes) -> str:
    """OpenSSL's reason in words for an administrator."""
    if "alert" in reason:
        return f"the peer refused: {reason.partition('alert ')[2]}"
    offered = int.from_bytes(opening[9:11], "big")
    if "unsupported protocol" in reason and offered in _OLD_VERSIONS:
        return f"{_OLD_VERSIONS[offered]} offered, TLS 1.2 or 1.3 needed"
    if "wrong version number" in reason:
        return "the peer speaks no TLS"
    if "no shared cipher" in reason:
        return "no cipher suite in common"
    return f"TLS failed: {reason}"
