"""A DICOM peer that sends whatever bytes it is told, well formed or not. Blocking sockets; PS3.8 §9.3.

What is well formed comes from the protocol room's encoders; how a test breaks it is the test's own.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from leadglass.dataset.synthetic import SyntheticInstance
from leadglass.model.names import AETitle, Uid
from leadglass.protocol.codec import decode_accept, encode, p_data_headers
from leadglass.protocol.commands import CEchoRq, Command, CStoreRq, Response
from leadglass.protocol.dimse import decode_command, encode_command
from leadglass.protocol.pdu import (
    AssociateAccept,
    AssociateRequest,
    PduType,
    ProposedContext,
    ReleaseRequest,
    UserInformation,
)
from leadglass.protocol.services import VERIFICATION
from leadglass.protocol.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from tests.support.ports import LOOPBACK
from tests.support.site import ARCHIVE_AE, Credentials

TIMEOUT_S = 20.0
FRAGMENT_BYTES = 16 * 1024
PDU_HEADER = struct.Struct(">BxI")
DROPPED = (ConnectionError, ssl.SSLError)
"""What a client sees of a server that closes at once, or says so in TLS first."""


@dataclass(frozen=True, slots=True)
class Received:
    """One PDU."""

    pdu_type: int
    body: bytes


class RawPeer:
    """One connection. Raises OSError or ssl.SSLError where TCP or TLS does not come up."""

    def __init__(
        self,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        source: str = LOOPBACK,
        host: str = LOOPBACK,
        timeout_s: float = TIMEOUT_S,
        kernel_bytes: int | None = None,
    ) -> None:
        """``kernel_bytes`` is what the system may hold each way for this side, by default much."""
        raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        raw.settimeout(timeout_s)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if kernel_bytes is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kernel_bytes)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_bytes)
        try:
            raw.bind((source, 0))
            raw.connect((host, port))
            self.socket = raw if tls is None else tls.wrap_socket(raw, server_hostname=LOOPBACK)
        except OSError:
            raw.close()
            raise

    def send(self, *pieces: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(b"".join(pieces))

    def send_until_blocked(self, content: bytes, blocked_s: float, most_bytes: int) -> int:
        """Send it again and again until nothing is taken for so long; how many bytes were."""
        self.socket.settimeout(blocked_s)
        sent = 0
        try:
            while sent < most_bytes:
                sent += self.socket.send(content[sent % len(content) :])
        except TimeoutError:
            return sent
        return sent

    def receive(self) -> Received | None:
        """The next PDU; ``None`` when the server has closed."""
        header = self.receive_bytes(PDU_HEADER.size)
        if header is None:
            return None
        pdu_type, length = PDU_HEADER.unpack(header)
        body = self.receive_bytes(length)
        return None if body is None else Received(pdu_type, body)

    def receive_bytes(self, count: int) -> bytes | None:
        """So many bytes, as they come; ``None`` when the server closes before."""
        received = bytearray()
        while len(received) < count:
            chunk = self.socket.recv(count - len(received))
            if not chunk:
                return None
            received += chunk
        return bytes(received)

    def associate(
        self,
        calling: str,
        contexts: Sequence[ProposedContext],
        *,
        called: str = ARCHIVE_AE,
        user: UserInformation | None = None,
    ) -> AssociateAccept | Received | None:
        """Ask for an association: accepted, or what came instead, or ``None`` for a closed connection."""
        try:
            self.send(associate_request(calling, contexts, called=called, user=user))
            answer = self.receive()
        except DROPPED:
            return None
        if answer is not None and answer.pdu_type == PduType.ASSOCIATE_AC:
            return decode_accept(memoryview(answer.body))
        return answer

    def open(
        self, calling: str, contexts: Sequence[ProposedContext], *, user: UserInformation | None = None
    ) -> AssociateAccept:
        """An association that must be accepted."""
        answer = self.associate(calling, contexts, user=user)
        assert isinstance(answer, AssociateAccept), answer
        return answer

    def response(self) -> Response:
        """The next message, which must be a response and have no data set.

        Raises:
            ConnectionAbortedError: the server has closed.
        """
        command = bytearray()
        while True:
            received = self.receive()
            if received is None:
                raise ConnectionAbortedError("the server closed")
            assert received.pdu_type == PduType.P_DATA_TF, received
            _, _, control = struct.unpack_from(">IBB", received.body)
            assert control & 1, "a data set where a response was due"
            command += received.body[6:]
            if control & 2:
                break
        response = decode_command(bytes(command))
        assert isinstance(response, Response)
        return response

    def status(self) -> int:
        """The status of the next message, which must be a response."""
        return self.response().status

    def store(self, context_id: int, instance: SyntheticInstance, message_id: int = 1) -> int:
        """C-STORE; its status."""
        self.send(store_message(context_id, instance, message_id))
        return self.status()

    def echo(self, context_id: int, message_id: int = 1) -> int:
        """C-ECHO; its status."""
        self.send(message(context_id, CEchoRq(message_id, VERIFICATION)))
        return self.status()

    def release(self) -> None:
        """End in order."""
        self.send(encode(ReleaseRequest()))
        answer = self.receive()
        assert answer is not None
        assert answer.pdu_type == PduType.RELEASE_RP

    def hang_up(self) -> None:
        """Close at once."""
        self.socket.close()

    def reset(self) -> None:
        """Close with a TCP reset, as a crashing host does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def is_aborted(self) -> bool:
        """Whether the next PDU is an A-ABORT."""
        received = self.receive()
        return received is not None and received.pdu_type == PduType.ABORT

    def is_ended(self) -> bool:
        """Whether an A-ABORT, an A-RELEASE-RP or the connection's end comes, after whatever comes first."""
        while (received := self.receive()) is not None:
            if received.pdu_type in {PduType.ABORT, PduType.RELEASE_RP}:
                return True
        return True

    def is_dropped(self) -> bool:
        """Whether the server closes, after whatever it says first. Waits for it as long as the timeout."""
        try:
            while self.socket.recv(65_536):
                pass
        except TimeoutError:
            return False
        except DROPPED:
            return True
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()


def client_tls(credentials: Credentials) -> ssl.SSLContext:
    """A client that shows a device's certificate."""
    context = anonymous_tls(credentials)
    context.load_cert_chain(credentials.cert, credentials.key)
    return context


def anonymous_tls(credentials: Credentials) -> ssl.SSLContext:
    """A client that shows nothing, and trusts the site's CA."""
    return ssl.create_default_context(cafile=str(credentials.ca))


def contexts_for(
    *abstract_syntaxes: str, transfer_syntax: str = EXPLICIT_VR_LITTLE_ENDIAN
) -> list[ProposedContext]:
    """Presentation contexts 1, 3, 5 and so on, of one transfer syntax each."""
    return [
        ProposedContext(2 * number + 1, Uid(abstract_syntax), (Uid(transfer_syntax),))
        for number, abstract_syntax in enumerate(abstract_syntaxes)
    ]


def associate_request(
    calling: str,
    contexts: Sequence[ProposedContext],
    *,
    called: str = ARCHIVE_AE,
    user: UserInformation | None = None,
) -> bytes:
    """An A-ASSOCIATE-RQ."""
    information = user or UserInformation(implementation_class_uid=Uid("2.25.1"))
    return encode(AssociateRequest(AETitle(called), AETitle(calling), tuple(contexts), information))


def message(
    context_id: int,
    command: Command,
    dataset: bytes | None = None,
    fragment_bytes: int = FRAGMENT_BYTES,
) -> bytes:
    """The P-DATA-TF PDUs of one message, one fragment each."""
    pieces = _fragments(context_id, encode_command(command), fragment_bytes, is_command=True)
    if dataset is not None:
        pieces += _fragments(context_id, dataset, fragment_bytes, is_command=False)
    return b"".join(pieces)


def store_message(
    context_id: int,
    instance: SyntheticInstance,
    message_id: int = 1,
    fragment_bytes: int = FRAGMENT_BYTES,
) -> bytes:
    """A whole C-STORE request."""
    command = CStoreRq(message_id, instance.sop_class, instance.sop_instance)
    return message(context_id, command, instance.dataset, fragment_bytes)


def _fragments(context_id: int, content: bytes, size: int, *, is_command: bool) -> list[bytes]:
    pieces = []
    for start in range(0, len(content) or 1, size):
        piece = content[start : start + size]
        is_last = start + size >= len(content)
        pieces += [p_data_headers(context_id, len(piece), is_command=is_command, is_last=is_last), piece]
    return pieces
