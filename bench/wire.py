"""A small DICOM requestor for benchmarks: blocking sockets, PDUs encoded by hand, no code of Leadglass.

It exists so that the sender's cost is small and the same against every server. It believes its peer
and is not for use outside a benchmark. PS3.8 §9.3 for the PDUs, PS3.7 §9.3 for the messages.

It acknowledges at once (TCP_QUICKACK): servers made with DCMTK write a PDU's header and body apart and
would otherwise wait 40 ms for each answer, which measures the kernel's timer and not the server.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION_CLASS = "1.2.826.0.1.3680043.8.498.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"

ASSOCIATE_RQ, ASSOCIATE_AC, P_DATA, RELEASE_RQ, RELEASE_RP = 1, 2, 4, 5, 6
RELEASE = struct.pack(">BxI4x", RELEASE_RQ, 4)

AFFECTED_SOP_CLASS, COMMAND_FIELD, MESSAGE_ID, ANSWERED_ID = 0x0002, 0x0100, 0x0110, 0x0120
PRIORITY, DATA_SET_TYPE, STATUS, AFFECTED_SOP_INSTANCE = 0x0700, 0x0800, 0x0900, 0x1000
MOVE_DESTINATION, COMPLETED = 0x0600, 0x1021
UID_ELEMENTS = frozenset({AFFECTED_SOP_CLASS, AFFECTED_SOP_INSTANCE})

C_STORE_RQ, C_STORE_RSP, C_GET_RQ, C_MOVE_RQ, C_FIND_RQ = 0x0001, 0x8001, 0x0010, 0x0021, 0x0020
NO_DATA_SET, A_DATA_SET = 0x0101, 0x0001
SUCCESS, PENDING, PENDING_WITH_WARNING = 0x0000, 0xFF00, 0xFF01

OWN_MAX_PDU = 262_144
LARGEST_SENT_PDU = 262_144
TIMEOUT_S = 120.0
BUFFER_BYTES = 1 << 20


class PeerFailedError(RuntimeError):
    """The server rejected, aborted, closed or answered with a failure."""


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context to propose. With ``as_scp`` we also serve it (role selection, for C-GET)."""

    identifier: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    as_scp: bool = False


@dataclass(frozen=True, slots=True)
class ClientTls:
    """PEM files of a client that shows a certificate."""

    certificate: Path
    private_key: Path
    trusted: Path

    def context(self) -> ssl.SSLContext:
        """A client context that verifies the server by ``trusted`` and not by host name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.trusted)
        context.load_cert_chain(self.certificate, self.private_key)
        return context


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens, and how to be let in."""

    host: str
    port: int
    called_ae: str
    calling_ae: str
    tls: ClientTls | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A received DIMSE message, without its data set.

    ``command`` maps element numbers of group 0000 to their values.
    """

    context: int
    command: Mapping[int, bytes]

    def number(self, element: int) -> int:
        """The value of a US element."""
        (value,) = struct.unpack("<H", self.command[element])
        return int(value)


def associate_rq(endpoint: Endpoint, contexts: Sequence[Context], window: int = 1) -> bytes:
    """A whole A-ASSOCIATE-RQ PDU. ``window``: so many operations at once, PS3.7 §D.3.3.3."""
    user_information = item(0x51, struct.pack(">I", OWN_MAX_PDU)) + item(0x52, IMPLEMENTATION_CLASS.encode())
    if window > 1:
        user_information += item(0x53, struct.pack(">HH", window, 1))
    for context in contexts:
        if context.as_scp:
            uid = context.abstract_syntax.encode()
            user_information += item(0x54, struct.pack(">H", len(uid)) + uid + b"\x01\x01")
    body = struct.pack(
        ">HH16s16s32x",
        1,
        0,
        endpoint.called_ae.ljust(16).encode(),
        endpoint.calling_ae.ljust(16).encode(),
    )
    body += item(0x10, APPLICATION_CONTEXT.encode())
    for context in contexts:
        syntaxes = b"".join(item(0x40, syntax.encode()) for syntax in context.transfer_syntaxes)
        abstract = item(0x30, context.abstract_syntax.encode())
        body += item(0x20, struct.pack(">B3x", context.identifier) + abstract + syntaxes)
    body += item(0x50, user_information)
    return struct.pack(">BxI", ASSOCIATE_RQ, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    """An item of an A-ASSOCIATE PDU."""
    return struct.pack(">BxH", kind, len(body)) + body


def items(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The items of an A-ASSOCIATE PDU's variable part."""
    offset = 0
    while offset < len(body):
        kind, length = struct.unpack_from(">BxH", body, offset)
        yield kind, body[offset + 4 : offset + 4 + length]
        offset += 4 + length


def command_set(elements: Mapping[int, int | str]) -> bytes:
    """A command set: Implicit VR Little Endian, with its group length. PS3.7 §6.3.1."""
    encoded = b""
    for element, value in sorted(elements.items()):
        if isinstance(value, str):
            text = value.encode() + (b" " if element == MOVE_DESTINATION else b"\0") * (len(value) % 2)
            encoded += struct.pack("<HHI", 0, element, len(text)) + text
        else:
            encoded += struct.pack("<HHIH", 0, element, 2, value)
    return struct.pack("<HHII", 0, 0, 4, len(encoded)) + encoded


def decoded_command(encoded: bytes) -> dict[int, bytes]:
    """Element number to value, of a command set."""
    elements: dict[int, bytes] = {}
    offset = 0
    while offset < len(encoded):
        element, length = struct.unpack_from("<2xHI", encoded, offset)
        elements[element] = encoded[offset + 8 : offset + 8 + length]
        offset += 8 + length
    return elements


def pdata(context: int, command: bytes, payload: bytes, max_pdu: int) -> bytes:
    """The P-DATA-TF PDUs of one message, ready to send."""
    size = (min(max_pdu, LARGEST_SENT_PDU) or LARGEST_SENT_PDU) - 6
    pieces = [*_fragments(context, command, 1, size), *_fragments(context, payload, 0, size)]
    return b"".join(pieces)


def _fragments(context: int, content: bytes, command_bit: int, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        fragment = content[start : start + size]
        last_bit = 2 if start + size >= len(content) else 0
        header = struct.pack(
            ">BxIIBB", P_DATA, len(fragment) + 6, len(fragment) + 2, context, command_bit | last_bit
        )
        yield header + fragment


class Association:
    """One accepted association. Use as a context manager: leaving releases it."""

    def __init__(self, endpoint: Endpoint, contexts: Sequence[Context], window: int = 1) -> None:
        raw = socket.create_connection((endpoint.host, endpoint.port), timeout=TIMEOUT_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = raw if endpoint.tls is None else endpoint.tls.context().wrap_socket(raw)
        self._received = memoryview(bytearray(BUFFER_BYTES))
        self._start = self._end = 0  # of what was received and not taken
        self.accepted: dict[int, str] = {}  # context identifier to transfer syntax
        self.max_pdu = 0
        self.window = 1
        self.send(associate_rq(endpoint, contexts, window))
        kind, body = self.read_pdu()
        if kind != ASSOCIATE_AC:
            self.close()
            raise PeerFailedError(f"not associated: PDU type {kind}, {body.hex(' ')}")
        self._learn(bytes(body))

    def _learn(self, body: bytes) -> None:
        for kind, content in items(body[68:]):
            if kind == 0x21 and content[2] == 0:
                (syntax,) = [value for inner, value in items(content[4:]) if inner == 0x40]
                self.accepted[content[0]] = syntax.decode().rstrip("\0 ")
            elif kind == 0x50:
                said = dict(items(content))
                (self.max_pdu,) = struct.unpack(">I", said[0x51])
                self.window = struct.unpack(">HH", said[0x53])[0] if 0x53 in said else 1

    def need_window(self, window: int) -> None:
        """Pass only where the server agreed to so many operations at once.

        Raises:
            PeerFailedError: it did not.
        """
        if self.window < window:
            raise PeerFailedError(f"a window of {self.window}, not {window}")

    def send(self, encoded: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(encoded)

    def request(self, context: int, command: Mapping[int, int | str], payload: bytes = b"") -> None:
        """Send one message."""
        self.send(pdata(context, command_set(command), payload, self.max_pdu))

    def read_pdu(self) -> tuple[int, memoryview]:
        """One whole PDU: its type and body, to be used before the next.

        Raises:
            PeerFailedError: the server closed.
        """
        kind, length = struct.unpack(">BxI", self._exactly(6))
        return kind, self._exactly(length)

    def read_message(self) -> Message:
        """One whole message; of its data set nothing is kept.

        Raises:
            PeerFailedError: the server aborted or closed.
        """
        command = bytearray()
        decoded: dict[int, bytes] = {}
        while True:
            kind, body = self.read_pdu()
            if kind != P_DATA:
                raise PeerFailedError(f"PDU type {kind} where a message was awaited: {body.hex(' ')}")
            offset = 0
            while offset < len(body):
                length, context, control = struct.unpack_from(">IBB", body, offset)
                if control & 1:
                    command += body[offset + 6 : offset + 4 + length]
                offset += 4 + length
                if control == 3:
                    decoded = decoded_command(bytes(command))
                if control & 2 and (control == 2 or _no_payload(decoded)):
                    return Message(context, decoded)

    def _exactly(self, count: int) -> memoryview:
        """The next bytes; to be used before the next call. Each is copied once, out of the kernel."""
        if count > len(self._received) - self._start:
            self._make_room(count)
        while self._end - self._start < count:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # lasts for one exchange
            came = self._socket.recv_into(self._received[self._end :])
            if not came:
                raise PeerFailedError("the server closed the connection")
            self._end += came
        taken = self._received[self._start : self._start + count]
        self._start += count
        if self._start == self._end:
            self._start = self._end = 0
        return taken

    def _make_room(self, count: int) -> None:
        """Put what was received and not taken at the beginning of a buffer that holds so many bytes."""
        rest = bytes(self._received[self._start : self._end])
        if count > len(self._received):
            self._received = memoryview(bytearray(count))
        self._received[: len(rest)] = rest
        self._start, self._end = 0, len(rest)

    def release(self) -> None:
        """A-RELEASE, answered, then close."""
        try:
            self.send(RELEASE)
            while self.read_pdu()[0] != RELEASE_RP:
                pass
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection without a word."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.release()
        else:
            self.close()


def _no_payload(command: Mapping[int, bytes]) -> bool:
    (kind,) = struct.unpack("<H", command[DATA_SET_TYPE])
    return int(kind) == NO_DATA_SET
