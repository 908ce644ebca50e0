"""The DICOM server: listeners, the associations that are live, and an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from leadglass.identity.session import TlsSession
from leadglass.model.caller import CertificateFacts, Transport
from leadglass.model.errors import ConfigurationInvalid
from leadglass.net.acceptor import Acceptor, Hosting
from leadglass.net.connection import Connection, Deadlines, DeadlineSweeper
from leadglass.net.live import LiveAssociations
from leadglass.net.slots import DoorSlots, Slot, SlotLimits
from leadglass.protocol.association import Association, Role
from leadglass.protocol.limits import Limits
from leadglass.sitefile.address import SocketAddress
from leadglass.sitefile.settings import Listener

log = structlog.get_logger()

BACKLOG = 512
DRAIN_POLL_S = 0.02
GONE_S = 2.0


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the server behaves. ``new_association`` names associations for the audit trail."""

    limits: Limits
    deadlines: Deadlines
    slots: SlotLimits
    associations_per_device: int
    associations_total: int
    new_association: Callable[[], str]
    server_tls: Callable[[str], TlsSession]


class DicomServer:
    """Accepts connections on every listener; implements ``acceptor.Roster``."""

    def __init__(self, hosting: Hosting, options: ServerOptions) -> None:
        self._hosting = hosting
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._sweeper = DeadlineSweeper(self._loop)
        self._slots = DoorSlots(options.slots, frozenset(hosting.gate.policy.zones))
        self._live = LiveAssociations(options.associations_per_device, options.associations_total)
        self._servers: list[asyncio.Server] = []
        self._listening: dict[str, str] = {}
        self._acceptors: set[Acceptor] = set()

    async def listen(self, listeners: Sequence[Listener]) -> None:
        """Open every listener, or none.

        Raises:
            ConfigurationInvalid: an address cannot be listened on.
        """
        for listener in listeners:
            try:
                server = await self._loop.create_server(
                    partial(self._accept, listener),
                    str(listener.address.host),
                    listener.address.port,
                    backlog=BACKLOG,
                )
            except OSError as error:
                await self._close_listeners()
                raise ConfigurationInvalid(
                    f"listener {listener.name}: cannot listen on {listener.address}: {error.strerror}"
                ) from error
            self._servers.append(server)
            port = server.sockets[0].getsockname()[1]
            self._listening[listener.name] = str(SocketAddress(listener.address.host, port))

    @property
    def listening(self) -> dict[str, str]:
        """Every listener with the address it is bound to."""
        return dict(self._listening)

    @property
    def live(self) -> dict[str, int]:
        """Associations by who has them."""
        return dict(self._live.by_device)

    @property
    def waiting(self) -> int:
        """Connections that are not yet an association."""
        return self._slots.waiting

    def recheck(self, refresh: Callable[[CertificateFacts], CertificateFacts]) -> None:
        """The policy or a revocation changed: cut what may no longer be. ``refresh`` judges anew."""
        self._slots.zones = frozenset(self._hosting.gate.policy.zones)
        for acceptor in tuple(self._acceptors):
            if acceptor.admission is not None:
                certificate = acceptor.peer.certificate
                acceptor.recheck(refresh(certificate) if certificate else None)

    async def drain(self, grace_s: float) -> None:
        """Take no more, let requests under way finish, then end what is left; nothing is, afterwards."""
        await self._close_listeners()
        deadline_s = self._loop.time() + grace_s
        while self._acceptors and self._loop.time() < deadline_s:
            for acceptor in tuple(self._acceptors):
                if not acceptor.busy:
                    acceptor.abort()
            await asyncio.sleep(DRAIN_POLL_S)
        for acceptor in tuple(self._acceptors):
            acceptor.abort()
        if self._acceptors:
            await asyncio.sleep(DRAIN_POLL_S)  # for the A-ABORT to go out, to whoever takes it
        gone_by_s = self._loop.time() + GONE_S
        while self._acceptors and self._loop.time() < gone_by_s:  # uvloop does not close over an open one
            for acceptor in tuple(self._acceptors):
                if acceptor.connection is not None:
                    acceptor.connection.drop()
            await asyncio.sleep(DRAIN_POLL_S)

    # What acceptors tell.

    def opened(self, acceptor: Acceptor, connection: Connection) -> bool:
        peer = acceptor.door_peer(connection)
        zone = self._hosting.gate.zone_of(peer.address, peer.transport)
        granted = self._slots.take(Slot(acceptor, peer.address, zone))
        if granted is None:
            return False
        self._acceptors.add(acceptor)
        if isinstance(granted.evict, Acceptor):
            granted.evict.evict(granted.why)
        return True

    def why_full(self, device: str) -> str:
        return self._live.why_full(device)

    def associated(self, acceptor: Acceptor) -> None:
        self._slots.free(acceptor, acceptor.peer.address)
        if acceptor.admission is not None:
            self._live.add(acceptor.admission.who)

    def gone(self, acceptor: Acceptor, connection: Connection) -> None:
        self._slots.free(acceptor, connection.address)
        self._acceptors.discard(acceptor)
        if acceptor.admission is not None:
            self._live.remove(acceptor.admission.who)

    def _accept(self, listener: Listener) -> Connection:
        acceptor = Acceptor(
            self._hosting, self, listener.name, listener.transport, self._options.new_association()
        )
        return Connection(
            Association(Role.ACCEPTOR, self._options.limits),
            acceptor,
            self._options.deadlines,
            self._sweeper,
            self._options.server_tls if listener.transport is Transport.MTLS else None,
        )

    async def _close_listeners(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
