"""A DICOM server in this process, on a loopback port, and peers that do exactly what a test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self, TypeVar

import uvloop

from leadglass.archive.jobs import Done, StoreResult
from leadglass.audit.read import AuditLine
from leadglass.identity.session import TlsSession
from leadglass.model.caller import Transport
from leadglass.model.names import AETitle, Uid
from leadglass.net.acceptor import Acceptor, Hosting
from leadglass.net.connection import Deadlines
from leadglass.net.delivery import Delivery
from leadglass.net.scu import Receive, Requestor, Target
from leadglass.net.server import DicomServer, ServerOptions
from leadglass.net.services import Services
from leadglass.net.slots import SlotLimits
from leadglass.protocol.association import Association, Role
from leadglass.protocol.commands import Command
from leadglass.protocol.dimse import encode_command
from leadglass.protocol.events import AssociationAccepted, CommandReceived, DatasetFragment, Event
from leadglass.protocol.limits import Limits
from leadglass.protocol.negotiation import user_information
from leadglass.protocol.pdu import AssociateRequest, AsyncWindow, PduType, ProposedContext, RoleSelection
from leadglass.sitefile.address import SocketAddress
from leadglass.sitefile.settings import Listener
from tests.support.archive_rig import POLICY, ArchiveRig, archive_rig

EXPLICIT, IMPLICIT = Uid("1.2.840.10008.1.2.1"), Uid("1.2.840.10008.1.2")
CT_IMAGE = Uid("1.2.840.10008.5.1.4.1.1.2")
WAIT_S = 20.0

Result = TypeVar("Result")


def run(scenario: Coroutine[Any, Any, Result]) -> Result:
    """Run a test's scenario on the loop that production uses; one that hangs fails."""

    async def bounded() -> Result:
        async with asyncio.timeout(60):
            return await scenario

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds that nobody tells."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  there is no event to wait for
            await asyncio.sleep(0)


def no_tls(_address: str) -> TlsSession:
    raise AssertionError("nothing here speaks TLS")


@dataclass
class NetRig:
    """An archive and its server."""

    archive: ArchiveRig
    server: DicomServer
    hosting: Hosting
    port: int
    broken: list[str] = field(default_factory=list)

    @property
    def acceptors(self) -> list[Acceptor]:
        return list(self.server._acceptors)

    async def audit(self, kind: str | None = None) -> list[AuditLine]:
        await asyncio.to_thread(self.archive.committer.flush)
        return self.archive.audit(kind)

    async def connect(
        self,
        calling: str,
        contexts: Sequence[tuple[Uid, tuple[Uid, ...]]],
        *,
        receive: Receive | None = None,
        received: Sequence[Uid] = (),
        deadlines: Deadlines | None = None,
    ) -> Requestor:
        """Leadglass's own requestor."""
        request = associate_request(calling, contexts, received=received)
        target = Target("127.0.0.1", self.port)
        return await Requestor.open(
            target, request, limits=Limits(), deadlines=deadlines or Deadlines(), receive=receive
        )

    async def raw(
        self,
        calling: str,
        contexts: Sequence[tuple[Uid, tuple[Uid, ...]]],
        *,
        window: int = 1,
        received: Sequence[Uid] = (),
    ) -> RawPeer:
        """A peer that is associated and then does what the test says."""
        peer = await RawPeer.connect(self.port)
        await peer.associate(associate_request(calling, contexts, window=window, received=received))
        return peer


def associate_request(
    calling: str,
    contexts: Sequence[tuple[Uid, tuple[Uid, ...]]],
    *,
    called: str = "NORTH",
    window: int = 1,
    received: Sequence[Uid] = (),
) -> AssociateRequest:
    user = user_information(Limits())
    return AssociateRequest(
        AETitle(called),
        AETitle(calling),
        tuple(
            ProposedContext(2 * number + 1, abstract, transfers)
            for number, (abstract, transfers) in enumerate(contexts)
        ),
        replace(
            user,
            async_window=AsyncWindow(window, 1) if window != 1 else None,
            roles=tuple(RoleSelection(uid, scu=False, scp=True) for uid in received),
        ),
    )


@asynccontextmanager
async def net_rig(
    folder: Path,
    *,
    policy_text: str = POLICY,
    deadlines: Deadlines | None = None,
    slots: SlotLimits | None = None,
    associations_per_device: int = 64,
    associations_total: int = 2048,
    window: int = 16,
    max_answers: int = 1000,
    server_tls: Callable[[str], TlsSession] = no_tls,
) -> AsyncIterator[NetRig]:
    """Everything but the command line. A callback that breaks fails the test."""
    loop = asyncio.get_running_loop()
    broken: list[str] = []
    loop.set_exception_handler(lambda _loop, context: broken.append(repr(context)))

    def deliver(results: Sequence[tuple[Done, StoreResult]]) -> None:
        for done, result in results:
            loop.call_soon_threadsafe(done, result)

    deadlines = deadlines or Deadlines()
    limits = Limits(max_operations_invoked=window)
    with archive_rig(folder, policy_text=policy_text, deliver=deliver) as archive:
        archive.start()
        executor = ThreadPoolExecutor(4)
        delivery = Delivery(AETitle("NORTH"), lambda _device: None, limits, deadlines)
        archive.max_answers = max_answers
        services = Services(archive.gate, archive.ingest, archive.finder, archive.retriever, delivery)
        hosting = Hosting(archive.gate, services, limits, frozenset({"NORTH"}), executor)
        numbers = iter(range(1, 1 << 30))
        options = ServerOptions(
            limits,
            deadlines,
            slots or SlotLimits(),
            associations_per_device,
            associations_total,
            lambda: f"a{next(numbers)}",
            server_tls,
        )
        server = DicomServer(hosting, options)
        address = SocketAddress(ip_address("127.0.0.1"), 0)
        listeners = [Listener("legacy", address, Transport.PLAIN)]
        if server_tls is not no_tls:
            listeners.append(Listener("tls", address, Transport.MTLS))
        await server.listen(listeners)
        port = int(server.listening["legacy"].rpartition(":")[2])
        try:
            yield NetRig(archive, server, hosting, port, broken)
        finally:
            await server.drain(WAIT_S)
            await asyncio.to_thread(executor.shutdown)
    assert broken == [], broken


class RawPeer:
    """A requestor over a plain stream: Leadglass's state machine, and no will of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.association = Association(Role.REQUESTOR, Limits())
        self._events: list[Event] = []

    @classmethod
    async def connect(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def associate(self, request: AssociateRequest) -> AssociationAccepted:
        self.association.request(request)
        self.association.transport_connected()
        await self.flush()
        event = await self.next()
        assert isinstance(event, AssociationAccepted), event
        return event

    async def flush(self) -> None:
        self.write(b"".join(self.association.data_to_send()))
        await self._writer.drain()

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def send(self, context_id: int, command: Command, *dataset: bytes) -> None:
        """One whole message."""
        self.association.send_message(context_id, encode_command(command), dataset or None)
        await self.flush()

    async def send_part(self, context_id: int, command: Command, fragment: bytes) -> None:
        """A message whose data set does not end."""
        self.association.send_command(context_id, encode_command(command), has_dataset=True)
        self.association.send_dataset_fragment(context_id, fragment, is_last=False)
        await self.flush()

    async def next(self) -> Event:
        """The next event, whatever it is; Closed at the end."""
        async with asyncio.timeout(WAIT_S):
            while not self._events:
                data = await self._read()
                self._events += (
                    self.association.receive_data(data) if data else self.association.transport_closed()
                )
                await self.flush()
        return self._events.pop(0)

    async def command(self) -> Command:
        """The next command; its data set, if it has one, is left to come."""
        event = await self.next()
        while isinstance(event, DatasetFragment):
            event = await self.next()
        assert isinstance(event, CommandReceived), event
        return event.command

    async def answered_with(self, pdu_type: PduType) -> None:
        """One PDU of this type comes; then we hang up. Read past our own state machine."""
        async with asyncio.timeout(WAIT_S):
            header = await self._reader.readexactly(6)
            assert header[0] == pdu_type, header
            await self._reader.readexactly(int.from_bytes(header[2:], "big"))

    async def closed(self) -> None:
        """Read until the server closes."""
        async with asyncio.timeout(WAIT_S):
            while await self._read():
                pass

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        """Vanish, as a pulled cable followed by a reset does."""
        self._writer.transport.abort()

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(1 << 16)
        except ConnectionError:
            return b""


@contextmanager
def in_thread(opened: AbstractAsyncContextManager[Result]) -> Iterator[Result]:
    """What the manager opens, on a loop of its own in another thread, so that this one may block."""
    came: Future[Result] = Future()
    done = threading.Event()

    async def live() -> None:
        async with opened as value:
            came.set_result(value)
            await asyncio.to_thread(done.wait)

    def work() -> None:
        try:
            run(live())
        except BaseException as error:  # the test's own thread is to see it
            if came.done():
                raise
            came.set_exception(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield came.result(WAIT_S)
    finally:
        done.set()
        thread.join(WAIT_S)
