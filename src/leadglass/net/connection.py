"""One TCP connection: bytes in, bytes out, TLS around them, and a deadline for every state.

Knows nothing of services: events of the upper layer go to a ``Handler``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from leadglass.identity.peers import TlsFailed
from leadglass.identity.session import TlsSession
from leadglass.model.errors import PeerProtocolError
from leadglass.protocol.association import Association
from leadglass.protocol.events import Event
from leadglass.protocol.table import State

WRITE_HIGH_WATER_BYTES = 1 << 20
MAX_UNHEARD_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds each state may last. DESIGN §6. ``associate_s`` is also ARTIM (PS3.8 §9.1.5)."""

    handshake_s: float = 10.0
    associate_s: float = 10.0
    pdu_s: float = 30.0
    idle_s: float = 600.0


class Handler(Protocol):
    """What happens on a connection, in order."""

    def made(self, connection: Connection) -> bool:
        """TCP is up; ``False`` to close it at once. ``lost`` follows all the same."""

    def connected(self, connection: Connection) -> None:
        """TCP, and TLS if there is any, is up."""

    def received(self, event: Event) -> None:
        """The upper layer saw this."""

    def refused(self, connection: Connection, reason: str, tls: TlsFailed | None) -> None:
        """The connection ends, by our will: TLS failed, a deadline passed, or the peer makes no sense."""

    def lost(self, connection: Connection) -> None:
        """The connection is gone. Always the last call, and always made."""


class _Nobody:
    """The handler of a connection that is gone; nothing happens on it."""

    def made(self, connection: Connection) -> bool:
        return False

    def connected(self, connection: Connection) -> None:
        """Does not happen."""

    def received(self, event: Event) -> None:
        """Does not happen."""

    def refused(self, connection: Connection, reason: str, tls: TlsFailed | None) -> None:
        """Does not happen."""

    def lost(self, connection: Connection) -> None:
        """Was told already."""


_NOBODY = _Nobody()


class Connection(asyncio.Protocol):
    """Drives one ``Association`` over one transport."""

    def __init__(
        self,
        association: Association,
        handler: Handler,
        deadlines: Deadlines,
        sweeper: DeadlineSweeper,
        new_tls: Callable[[str], TlsSession] | None,
    ) -> None:
        """``new_tls`` is asked, with the peer's address, when the connection has its place.

        A session costs more than all else here.
        """
        self.association = association
        self.tls: TlsSession | None = None
        self._new_tls = new_tls
        self._handler = handler
        self._deadlines = deadlines
        self._sweeper = sweeper
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._established = False
        self._since_s = self._loop.time()
        self._active_s = self._since_s
        self._artim_since_s: float | None = None
        self._closing_since_s = 0.0
        self._pdu_since_s: float | None = None
        self._pdus_received = 0
        self._paused = False
        self._unheard = False
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._closing = False
        self.address = ""
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)  # uvloop's does not derive from it
        self._transport = stream
        self.address, self.port = _peer_address(stream)
        if not self._handler.made(self):
            self.drop()
            return
        self._sweeper.watch(self)
        self._socket = _own_handle(stream)
        stream.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES)
        if self._socket is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._new_tls is None:
            self._establish()
        else:
            self.tls = self._new_tls(self.address)
            self._write_tls()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._active_s = self._loop.time()
        if self._new_tls is None:
            self._feed(data)
        elif self.tls is not None:  # without a session nothing is heard, least of all as plaintext
            self._feed_tls(self.tls, data)
        self._after_read()
        if not self._can_write.is_set() and not self._closing:
            self._listen_no_more_than_heard()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._sweeper.forget(self)
        self._closing = True
        self._can_write.set()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._established:
            for event in self.association.transport_closed():
                self._handler.received(event)
        self._handler.lost(self)
        self._let_go()

    def _let_go(self) -> None:
        """Hold on to nobody who holds on to us.

        A flood's connections would else wait for the garbage collector, by the ten thousand, and everybody
        for it: measured, a quarter of a second every three.
        """
        self._handler = _NOBODY
        self._transport = None
        self.tls = None

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()
        if self._unheard:
            self._unheard = False
            self._regulate_reading()

    @property
    def closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._closing

    async def drained(self) -> None:
        """Wait until the peer has taken enough of what was sent."""
        await self._can_write.wait()

    def pause_reading(self) -> None:
        """Stop taking bytes from the peer; TCP pushes back on it."""
        self._paused = True
        self._regulate_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        self._paused = False
        self._regulate_reading()

    def flush(self) -> None:
        """Send what the upper layer has queued, and close if it wants that."""
        if self._transport is None or self._closing:
            return
        pieces = self.association.data_to_send()
        if pieces:
            if self.tls is None:
                self._transport.writelines(pieces)
            else:
                self.tls.send(b"".join(pieces))
                self._write_tls()
        if not self.association.artim_running:
            self._artim_since_s = None
        elif self._artim_since_s is None:
            self._artim_since_s = self._loop.time()
        if self.association.wants_close:
            self.close()

    def abort(self) -> None:
        """Abort the association and close."""
        if self._closing:
            return
        if self._established and self.association.state not in {State.STA1, State.STA2}:
            self.association.abort()
            self.flush()
        self.close()

    def close(self) -> None:
        """Close after what was written has gone out."""
        if self._closing or self._transport is None:
            return
        self._closing = True
        self._closing_since_s = self._loop.time()
        if self.tls is not None:
            self.tls.close()
            self._write_tls()
        self._transport.close()

    def drop(self) -> None:
        """Close at once, with nothing said."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def check_deadlines(self, now_s: float) -> None:
        """End the connection if its state has lasted too long."""
        deadlines = self._deadlines
        if self._closing:
            if now_s - self._closing_since_s > deadlines.associate_s:
                self.drop()  # the peer does not even take what is left
            return
        if not self._established:
            if now_s - self._since_s > deadlines.handshake_s:
                self._handler.refused(self, "TLS handshake not finished in time", None)
                self.drop()
        elif self._artim_since_s is not None:
            if now_s - self._artim_since_s > deadlines.associate_s:
                self._expire_artim()
        elif not self._can_write.is_set():
            if now_s - self._active_s > deadlines.idle_s:
                self._refuse("it does not take what is sent to it")
        elif self._paused:
            return  # we are the ones who are busy
        elif self._pdu_since_s is not None:
            if now_s - self._pdu_since_s > deadlines.pdu_s:
                self._refuse("a PDU not whole in time")
        elif now_s - self._active_s > deadlines.idle_s:
            self._refuse("idle for too long")

    def touch(self) -> None:
        """Work is going on for this peer: it is not idle."""
        self._active_s = self._loop.time()

    def _listen_no_more_than_heard(self) -> None:
        """Answers to a peer that asks and asks and takes none of them must not pile up here.

        The bound is above what a data set that is streamed at the peer's pace leaves waiting, so that two
        sides that send each other such never both stop listening.
        """
        if self._transport is not None and self._transport.get_write_buffer_size() > MAX_UNHEARD_BYTES:
            self._unheard = True
            self._regulate_reading()

    def _regulate_reading(self) -> None:
        """Read only while we are not busy and the peer takes our answers."""
        if self._transport is None or self._closing:
            return
        if self._paused or self._unheard:
            self._transport.pause_reading()
            return
        self._active_s = self._loop.time()
        self._pdu_since_s = self._active_s if self.association.receiving_pdu else None
        self._transport.resume_reading()

    def _establish(self) -> None:
        self._established = True
        self._handler.connected(self)
        self.flush()

    def _feed(self, data: bytes) -> None:
        try:
            for event in self.association.receive_data(data):
                self._handler.received(event)
        except PeerProtocolError as error:
            self._refuse(str(error))
            return
        association = self.association
        if not association.receiving_pdu:
            self._pdu_since_s = None
        elif self._pdu_since_s is None or association.pdus_received != self._pdus_received:
            self._pdu_since_s = self._active_s  # another one began
        self._pdus_received = association.pdus_received
        self.flush()

    def _feed_tls(self, tls: TlsSession, data: bytes) -> None:
        try:
            chunks = tls.receive(data)
        except TlsFailed as error:
            self._write_tls()
            self._handler.refused(self, error.reason, error)
            self.close()
            return
        self._write_tls()
        if tls.handshake_done and not self._established:
            self._establish()
        for chunk in chunks:
            self._feed(chunk)
        if tls.peer_closed:
            self.close()

    def _write_tls(self) -> None:
        if self.tls is not None and self._transport is not None:
            ciphertext = self.tls.outgoing()
            if ciphertext:
                self._transport.write(ciphertext)

    def _refuse(self, reason: str) -> None:
        """Say why, and abort."""
        self._handler.refused(self, reason, None)
        self.abort()

    def _expire_artim(self) -> None:
        if self.association.state is State.STA2:
            self._handler.refused(self, "no A-ASSOCIATE-RQ in time", None)
        for event in self.association.artim_expired():
            self._handler.received(event)
        self.drop()

    def _after_read(self) -> None:
        """Acknowledge at once: a sender without TCP_NODELAY waits for it (40 ms by default)."""
        if self._socket is not None and not self._closing:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class DeadlineSweeper:
    """One timer for all connections; a second's grain is enough for deadlines of ten."""

    def __init__(self, loop: asyncio.AbstractEventLoop, interval_s: float = 1.0) -> None:
        self._loop = loop
        self._interval_s = interval_s
        self._connections: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connection: Connection) -> None:
        """Check this connection from now on."""
        self._connections.add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval_s, self._sweep)

    def forget(self, connection: Connection) -> None:
        """Check it no more."""
        self._connections.discard(connection)

    def _sweep(self) -> None:
        # First of all the next round: whatever goes wrong in this one, deadlines go on.
        self._timer = self._loop.call_later(self._interval_s, self._sweep) if self._connections else None
        now_s = self._loop.time()
        for connection in tuple(self._connections):
            connection.check_deadlines(now_s)


def _own_handle(transport: asyncio.Transport) -> socket.socket | None:
    """A handle of our own on the transport's socket, to set options; to be closed with the connection.

    uvloop's wrapper makes and closes such a handle at each call, which costs more than the option.
    """
    wrapper = transport.get_extra_info("socket")
    return None if wrapper is None else socket.socket(fileno=os.dup(wrapper.fileno()))


def _peer_address(transport: asyncio.Transport) -> tuple[str, int]:
    """The peer's IP address without an IPv4-in-IPv6 wrapping, and its port."""
    name = transport.get_extra_info("peername")
    if not name:
        return "", 0
    host = str(name[0]).split("%", 1)[0]
    return host.removeprefix("::ffff:") if "." in host else host, int(name[1])
