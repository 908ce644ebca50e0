"""One connection: bytes, back-pressure, and a deadline for every state."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from leadglass.identity.peers import ServerName, TlsFailed
from leadglass.identity.session import TlsSession
from leadglass.model.action import Verb
from leadglass.model.errors import PeerProtocolError
from leadglass.net.connection import MAX_UNHEARD_BYTES, Connection, Deadlines, DeadlineSweeper
from leadglass.protocol.association import Association, Role
from leadglass.protocol.codec import encode
from leadglass.protocol.commands import CEchoRq
from leadglass.protocol.dimse import encode_command
from leadglass.protocol.events import AssociationRequested, Closed, CommandReceived, Event
from leadglass.protocol.limits import Limits
from leadglass.protocol.negotiation import negotiate
from leadglass.protocol.pdu import PduType
from leadglass.protocol.services import VERIFICATION
from tests.support.net_rig import EXPLICIT, associate_request, run, until
from tests.support.tls_site import Site

DEADLINES = Deadlines(handshake_s=10, associate_s=10, pdu_s=30, idle_s=600)


class Wire(asyncio.Transport):
    """A transport of asyncio's that goes nowhere."""

    def __init__(self, peername: tuple[Any, ...] | None = ("192.0.2.1", 4242)) -> None:
        super().__init__()
        self.peername = peername
        self.sent = bytearray()
        self.told: list[str] = []
        self.ended = ""
        self.waiting_bytes = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.peername if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high_water_bytes = high

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.sent += data

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        for data in list_of_data:
            self.sent += data

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def get_write_buffer_size(self) -> int:
        return self.waiting_bytes

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")


class Listener:
    """Hears what a connection tells, and accepts associations."""

    def __init__(self) -> None:
        self.wanted = True
        self.events: list[Event] = []
        self.told: list[str] = []
        self.tls: TlsFailed | None = None
        self.connection: Connection | None = None
        self.raises: Exception | None = None

    def made(self, connection: Connection) -> bool:
        self.connection = connection
        return self.wanted

    def connected(self, connection: Connection) -> None:
        self.told.append("connected")
        connection.association.transport_connected()

    def received(self, event: Event) -> None:
        self.events.append(event)
        if self.raises is not None:
            raise self.raises
        if isinstance(event, AssociationRequested) and self.connection is not None:
            accept, _ = negotiate(event.request, permitted=frozenset(Verb), limits=Limits())
            self.connection.association.accept(accept)

    def refused(self, connection: Connection, reason: str, tls: TlsFailed | None) -> None:
        self.told.append(reason)
        self.tls = tls

    def lost(self, connection: Connection) -> None:
        self.told.append("lost")


class Setup:
    def __init__(
        self, *, tls: Any = None, new_tls: Callable[[str], TlsSession] | None = None, wire: Wire | None = None
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.sweeper = DeadlineSweeper(self.loop)
        self.listener = Listener()
        self.wire = wire or Wire()
        association = Association(Role.ACCEPTOR, Limits())
        new_tls = new_tls if tls is None else lambda _address: tls
        self.connection = Connection(association, self.listener, DEADLINES, self.sweeper, new_tls)

    def made(self) -> Setup:
        self.connection.connection_made(self.wire)
        return self

    def associated(self) -> Setup:
        self.made()
        self.connection.data_received(REQUEST)
        assert self.wire.sent[0] == PduType.ASSOCIATE_AC
        self.wire.sent.clear()
        return self

    def after_s(self, seconds: float) -> None:
        self.connection.check_deadlines(self.loop.time() + seconds)

    @property
    def watched(self) -> bool:
        return self.connection in self.sweeper._connections


REQUEST: bytes = encode(associate_request("CT1", [(VERIFICATION, (EXPLICIT,))]))


def echo_pdu() -> bytes:
    requestor = Association(Role.REQUESTOR, Limits())
    acceptor = Association(Role.ACCEPTOR, Limits())
    requestor.request(associate_request("CT1", [(VERIFICATION, (EXPLICIT,))]))
    requestor.transport_connected()
    acceptor.transport_connected()
    [asked] = acceptor.receive_data(b"".join(requestor.data_to_send()))
    assert isinstance(asked, AssociationRequested)
    acceptor.accept(negotiate(asked.request, permitted=frozenset(Verb), limits=Limits())[0])
    requestor.receive_data(b"".join(acceptor.data_to_send()))
    requestor.send_message(1, encode_command(CEchoRq(1, VERIFICATION)))
    return b"".join(requestor.data_to_send())


ECHO = echo_pdu()


def test_a_request_is_answered_and_requests_come_through() -> None:
    async def scenario() -> None:
        setup = Setup().associated()
        setup.connection.data_received(ECHO)
        assert [type(event) for event in setup.listener.events] == [AssociationRequested, CommandReceived]
        assert (setup.connection.address, setup.connection.port) == ("192.0.2.1", 4242)
        setup.connection.connection_lost(None)
        assert isinstance(setup.listener.events[-1], Closed)
        assert setup.listener.told == ["connected", "lost"]
        assert not setup.watched

    run(scenario())


@pytest.mark.parametrize(
    ("peername", "address"),
    [
        (("::ffff:192.0.2.7", 5, 0, 0), "192.0.2.7"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::1"),
        (("2001:db8::5", 5, 0, 0), "2001:db8::5"),
        (None, ""),
    ],
)
def test_the_peers_address_is_plain(peername: tuple[Any, ...] | None, address: str) -> None:
    async def scenario() -> None:
        setup = Setup(wire=Wire(peername)).made()
        assert setup.connection.address == address
        setup.connection.connection_lost(None)

    run(scenario())


def test_a_connection_that_is_not_wanted_is_dropped_and_its_loss_told() -> None:
    async def scenario() -> None:
        setup = Setup()
        setup.listener.wanted = False
        setup.made()
        assert setup.wire.ended == "aborted"
        assert not setup.watched
        setup.connection.data_received(REQUEST)
        setup.connection.connection_lost(None)
        assert setup.listener.told == ["lost"]
        assert setup.listener.events == []

    run(scenario())


def test_a_connection_that_is_not_wanted_costs_no_tls_session(tls_site: Site) -> None:
    async def scenario() -> None:
        sessions: list[TlsSession] = []

        def new_tls(address: str) -> TlsSession:
            sessions.append(tls_site.server.session(address))
            return sessions[-1]

        setup = Setup(new_tls=new_tls)
        setup.listener.wanted = False
        setup.made()
        assert sessions == []
        wanted = Setup(new_tls=new_tls).made()
        assert sessions == [wanted.connection.tls]

    run(scenario())


def test_a_connection_whose_tls_session_could_not_be_made_hears_no_plaintext() -> None:
    def broken(_address: str) -> TlsSession:
        raise OSError("no memory")

    async def scenario() -> None:
        setup = Setup(new_tls=broken)
        with pytest.raises(OSError, match="no memory"):
            setup.made()
        setup.connection.data_received(REQUEST)
        assert setup.listener.told == []
        assert setup.listener.events == []
        assert setup.watched

    run(scenario())


class TestDeadlines:
    def test_a_tls_handshake_that_does_not_end(self, tls_site: Site) -> None:
        async def scenario() -> None:
            setup = Setup(tls=tls_site.server.session("127.0.0.1")).made()
            setup.after_s(9)
            assert setup.wire.ended == ""
            setup.after_s(11)
            assert setup.wire.ended == "aborted"
            assert setup.listener.told == ["TLS handshake not finished in time"]

        run(scenario())

    @pytest.mark.parametrize("begun", [b"", REQUEST[:20]])
    def test_silence_before_a_request_or_in_the_middle_of_one(self, begun: bytes) -> None:
        async def scenario() -> None:
            setup = Setup().made()
            if begun:
                setup.connection.data_received(begun)
            setup.after_s(9)
            assert setup.wire.ended == ""
            setup.after_s(11)
            assert setup.wire.ended == "aborted"
            assert setup.listener.told == ["connected", "no A-ASSOCIATE-RQ in time"]

        run(scenario())

    def test_a_peer_that_does_not_close_after_an_abort(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            setup.connection.data_received(bytes([0x99, 0, 0, 0, 0, 0]))
            setup.after_s(11)
            assert setup.wire.ended == "aborted"

        run(scenario())

    def test_a_pdu_that_does_not_end(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            setup.connection.data_received(ECHO[:9])
            setup.after_s(29)
            assert setup.wire.ended == ""
            setup.after_s(31)
            assert setup.wire.ended == "closed"
            assert setup.wire.sent[0] == PduType.ABORT
            assert setup.listener.told[-1] == "a PDU not whole in time"

        run(scenario())

    def test_the_end_of_a_late_pdu_stops_its_deadline(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            setup.connection.data_received(ECHO[:9])
            setup.connection.data_received(ECHO[9:])
            setup.after_s(31)
            assert setup.wire.ended == ""

        run(scenario())

    def test_a_stream_whose_reads_never_end_with_a_pdu_goes_on(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            setup.connection.data_received(ECHO[:9])
            setup.connection._pdu_since_s = setup.loop.time() - 31  # it began so long ago
            setup.connection.data_received(ECHO[9:] + ECHO[:9])
            setup.after_s(1)
            assert setup.wire.ended == ""
            setup.connection._pdu_since_s = setup.loop.time() - 31
            setup.connection.data_received(ECHO[9:10])
            setup.after_s(1)
            assert setup.wire.ended == "closed"

        run(scenario())

    def test_an_idle_association(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            setup.after_s(599)
            assert setup.wire.ended == ""
            setup.after_s(601)
            assert setup.wire.ended == "closed"
            assert setup.wire.sent[0] == PduType.ABORT
            assert setup.listener.told[-1] == "idle for too long"

        run(scenario())

    def test_none_runs_while_we_are_the_ones_who_are_busy(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            setup.connection.data_received(ECHO[:9])
            setup.connection.pause_reading()
            setup.after_s(10_000)
            assert setup.wire.ended == ""
            setup.connection.resume_reading()
            setup.after_s(31)
            assert setup.wire.ended == "closed"

        run(scenario())

    def test_a_peer_that_takes_nothing_is_dropped_in_the_end(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            setup.connection.close()
            setup.after_s(9)
            assert setup.wire.ended == "closed"
            setup.after_s(11)
            assert setup.wire.ended == "aborted"

        run(scenario())

    def test_one_sweep_checks_everybody_and_goes_on_while_there_is_somebody(self) -> None:
        async def scenario() -> None:
            loop = asyncio.get_running_loop()
            setups = [Setup().made() for _ in range(2)]
            sweeper = DeadlineSweeper(loop, interval_s=0.001)
            swept = asyncio.Event()
            checked: list[Connection] = []

            def note(connection: Connection) -> None:
                checked.append(connection)
                if len(checked) >= 4:
                    swept.set()

            class Watched(Connection):
                def check_deadlines(self, now_s: float) -> None:
                    note(self)
                    if self is watched[0]:
                        raise PeerProtocolError("a bug")

            watched: list[Connection] = [
                Watched(setup.connection.association, setup.listener, DEADLINES, sweeper, None)
                for setup in setups
            ]
            loop.set_exception_handler(lambda _loop, _context: None)
            for connection in watched:
                sweeper.watch(connection)
            await swept.wait()
            for connection in watched:
                sweeper.forget(connection)
            await until(lambda: sweeper._timer is None)

        run(scenario())


class TestPressure:
    def test_writers_wait_until_the_peer_has_taken_enough(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            assert setup.wire.high_water_bytes == 1 << 20
            setup.connection.pause_writing()
            waiting = asyncio.ensure_future(setup.connection.drained())
            await asyncio.sleep(0)
            assert not waiting.done()
            setup.connection.resume_writing()
            await waiting

        run(scenario())

    def test_a_lost_connection_keeps_no_writer_waiting(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            setup.connection.pause_writing()
            waiting = asyncio.ensure_future(setup.connection.drained())
            await asyncio.sleep(0)
            setup.connection.connection_lost(None)
            await waiting

        run(scenario())

    def test_reading_stops_and_goes_on(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            setup.connection.pause_reading()
            setup.connection.resume_reading()
            setup.connection.close()
            setup.connection.pause_reading()
            assert setup.wire.told == ["pause", "resume"]

        run(scenario())

    def test_who_takes_no_answers_is_not_listened_to(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            setup.connection.pause_writing()
            setup.wire.waiting_bytes = MAX_UNHEARD_BYTES
            setup.connection.data_received(ECHO)
            assert setup.wire.told == []
            setup.wire.waiting_bytes += 1
            setup.connection.data_received(ECHO)
            assert setup.wire.told == ["pause"]
            setup.connection.pause_reading()
            setup.connection.resume_reading()
            assert setup.wire.told == ["pause"] * 3
            setup.connection.resume_writing()
            setup.connection.resume_writing()
            assert setup.wire.told == [*["pause"] * 3, "resume"]

        run(scenario())

    def test_who_takes_nothing_for_too_long_is_aborted(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            setup.connection.pause_writing()
            setup.after_s(599)
            assert setup.wire.ended == ""
            setup.after_s(601)
            assert setup.wire.ended == "closed"
            assert setup.listener.told[-1] == "it does not take what is sent to it"

        run(scenario())


class TestEnding:
    def test_abort_says_so_and_closes_once(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            setup.connection.abort()
            setup.connection.abort()
            assert setup.wire.sent[0] == PduType.ABORT
            assert len(setup.wire.sent) == 10
            assert setup.wire.ended == "closed"
            assert setup.connection.closing
            setup.connection.data_received(ECHO)
            setup.connection.flush()
            assert len(setup.listener.events) == 1

        run(scenario())

    def test_abort_before_a_request_just_closes(self) -> None:
        async def scenario() -> None:
            setup = Setup().made()
            setup.connection.abort()
            assert (bytes(setup.wire.sent), setup.wire.ended) == (b"", "closed")

        run(scenario())

    def test_before_it_is_made_nothing_can_be_closed(self) -> None:
        async def scenario() -> None:
            setup = Setup()
            setup.connection.close()
            setup.connection.pause_reading()
            setup.connection.resume_reading()
            setup.connection.drop()
            assert setup.wire.ended == ""
            assert not setup.connection.eof_received()

        run(scenario())

    def test_a_peer_that_makes_no_sense_to_us_is_aborted(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            setup.listener.raises = PeerProtocolError("a response of 17 MiB")
            setup.connection.data_received(ECHO)
            assert setup.wire.sent[0] == PduType.ABORT
            assert setup.listener.told[-1] == "a response of 17 MiB"

        run(scenario())

    def test_a_peer_that_breaks_the_protocol_is_aborted(self) -> None:
        async def scenario() -> None:
            setup = Setup().associated()
            setup.connection.data_received(bytes([PduType.P_DATA_TF, 0]) + b"\xff\xff\xff\xff")
            assert setup.wire.sent[0] == PduType.ABORT

        run(scenario())


class TestTls:
    def test_both_sides_shake_hands_and_speak(self, tls_site: Site) -> None:
        async def scenario() -> None:
            session = tls_site.server.session("127.0.0.1")
            device = tls_site.authority.issue_device("ct1")
            client = tls_site.client(device.cert_pem, device.key_pem or b"", ServerName("127.0.0.1"))
            setup = Setup(tls=session).made()

            def exchange() -> list[bytes]:
                came: list[bytes] = []
                while True:
                    to_server = client.outgoing()
                    if to_server:
                        setup.connection.data_received(to_server)
                    to_client, setup.wire.sent = bytes(setup.wire.sent), bytearray()
                    if to_client:
                        came += client.receive(to_client)
                    if not to_server and not to_client:
                        return came

            exchange()
            client.send(REQUEST)
            assert b"".join(exchange())[0] == PduType.ASSOCIATE_AC
            client.send(ECHO)
            exchange()
            assert isinstance(setup.listener.events[-1], CommandReceived)
            client.close()
            exchange()
            assert setup.wire.ended == "closed"

        run(scenario())

    def test_plaintext_on_a_tls_listener_is_refused_with_the_reason(self, tls_site: Site) -> None:
        async def scenario() -> None:
            setup = Setup(tls=tls_site.server.session("127.0.0.1")).made()
            setup.connection.data_received(REQUEST)
            assert setup.wire.ended == "closed"
            assert setup.listener.tls is not None
            assert "plaintext on a TLS listener" in setup.listener.told[-1]
            setup.connection.connection_lost(None)
            assert setup.listener.events == []

        run(scenario())


def test_the_real_socket_is_told_not_to_wait() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        setup = Setup()
        server = await loop.create_server(lambda: setup.connection, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(REQUEST)
        assert (await reader.readexactly(1))[0] == PduType.ASSOCIATE_AC
        borrowed = setup.connection._socket
        assert borrowed is not None
        assert borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
        await until(lambda: "lost" in setup.listener.told)
        server.close()

    run(scenario())
