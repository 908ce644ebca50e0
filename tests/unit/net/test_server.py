"""Listeners, and what certificates are worth while an association lives."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from leadglass.identity.peers import ServerName
from leadglass.identity.session import TlsSession
from leadglass.identity.tls import client_context
from leadglass.model.caller import CertificateFacts, Transport
from leadglass.model.errors import ConfigurationInvalid, RemoteRefused, TransportFailed
from leadglass.model.event import Outcome
from leadglass.net.connection import Deadlines
from leadglass.net.scu import Requestor, Target
from leadglass.protocol.limits import Limits
from leadglass.protocol.services import VERIFICATION
from leadglass.sitefile.address import SocketAddress
from leadglass.sitefile.settings import Listener
from tests.support.archive_rig import POLICY
from tests.support.net_rig import EXPLICIT, NetRig, RawPeer, associate_request, net_rig, run, until
from tests.support.tls_site import Site

TLS_POLICY = (
    POLICY.replace("[devices]", 'modalities = { cidr = ["127.0.0.0/8"], transport = "mtls" }\n[devices]')
    .replace("[flows]", 'ct2 = { zone = "modalities", ae = ["CT2"] }\n[flows]')
    .replace('from = ["ct1"]', 'from = ["ct1", "ct2"]')
)


def caller(site: Site, name: str) -> Callable[[], TlsSession]:
    """Sessions of a client with a new certificate of its own."""
    device = site.authority.issue_device(name)
    paths = [site.folder / f"{name}.{kind}" for kind in ("cert", "key", "ca")]
    for path, content in zip(paths, (device.cert_pem, device.key_pem or b"", device.ca_pem), strict=True):
        path.write_bytes(content)
    context = client_context(paths[0], paths[1], paths[2], site.clock)
    return lambda: context.session(ServerName("127.0.0.1"))


async def call(rig: NetRig, session: Callable[[], TlsSession], calling: str) -> Requestor:
    port = int(rig.server.listening["tls"].rpartition(":")[2])
    request = associate_request(calling, [(VERIFICATION, (EXPLICIT,))])
    target = Target("127.0.0.1", port, session)
    return await Requestor.open(target, request, limits=Limits(), deadlines=Deadlines())


def test_every_listener_opens_or_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            with closing(socket.socket()) as taken:
                taken.bind(("127.0.0.1", 0))
                taken.listen()
                port = taken.getsockname()[1]
                busy = Listener("busy", SocketAddress(ip_address("127.0.0.1"), port), Transport.PLAIN)
                with pytest.raises(ConfigurationInvalid, match="listener busy: cannot listen on"):
                    await rig.server.listen([busy])
            with pytest.raises(ConnectionRefusedError):
                await RawPeer.connect(rig.port)

    run(scenario())


def test_a_device_is_known_by_its_certificate_and_cut_when_that_is_revoked(
    tmp_path: Path, tls_site: Site
) -> None:
    async def scenario() -> None:
        sessions = tls_site.server
        async with net_rig(tmp_path / "a", policy_text=TLS_POLICY, server_tls=sessions.session) as rig:
            peer = await call(rig, caller(tls_site, "ct2"), "CT2")
            assert await peer.echo(VERIFICATION) == 0
            assert rig.server.live == {"ct2": 1}
            waiting = await RawPeer.connect(rig.port)
            await until(lambda: rig.server.waiting == 1)
            rig.server.recheck(lambda facts: facts)
            assert await peer.echo(VERIFICATION) == 0
            rig.server.recheck(revoked)
            with pytest.raises((RemoteRefused, TransportFailed)):
                await peer.echo(VERIFICATION)
            waiting.close()
            [line] = await rig.audit("association.cut")
            assert (line.event.who, line.event.outcome) == ("ct2", Outcome.DENIED)

    run(scenario())


def revoked(facts: CertificateFacts) -> CertificateFacts:
    return replace(facts, trouble="revoked")


def test_a_certificate_of_one_device_with_the_title_of_another_is_refused(
    tmp_path: Path, tls_site: Site
) -> None:
    async def scenario() -> None:
        sessions = tls_site.server
        async with net_rig(tmp_path / "a", policy_text=TLS_POLICY, server_tls=sessions.session) as rig:
            with pytest.raises(RemoteRefused):
                await call(rig, caller(tls_site, "ct2"), "CT1")
            [line] = await rig.audit("association.refused")
            assert line.event.ladder

    run(scenario())


def test_a_caller_of_a_tls_listener_without_tls_is_refused_though_nothing_can_be_recorded(
    tmp_path: Path, tls_site: Site
) -> None:
    async def scenario() -> None:
        sessions = tls_site.server
        async with net_rig(tmp_path / "a", policy_text=TLS_POLICY, server_tls=sessions.session) as rig:
            port = int(rig.server.listening["tls"].rpartition(":")[2])
            rig.archive.committer.stop()
            peer = await RawPeer.connect(port)
            peer.write(bytes([1]) + bytes(99))
            await peer.closed()
            peer.close()
            plain = await RawPeer.connect(rig.port)
            await until(lambda: rig.server.waiting == 1)
            plain.close()

    run(scenario())


def test_a_certificate_of_another_ca_is_refused_and_recorded(
    tmp_path: Path, tls_site: Site, other_site: Site
) -> None:
    async def scenario() -> None:
        sessions = tls_site.server
        async with net_rig(tmp_path / "a", policy_text=TLS_POLICY, server_tls=sessions.session) as rig:
            foreign = other_site.authority.issue_device("ct2")
            session = tls_site.client(foreign.cert_pem, foreign.key_pem or b"", ServerName("127.0.0.1"))
            with pytest.raises(TransportFailed):  # noqa: PT012  with TLS 1.3 the refusal may come late
                peer = await call(rig, lambda: session, "CT2")
                await peer.echo(VERIFICATION)
            await until(lambda: not rig.acceptors)
            [line] = await rig.audit("connection.refused")
            assert line.event.outcome is Outcome.DENIED
            assert line.event.ladder

    run(scenario())


def test_connections_that_are_gone_are_freed_without_the_garbage_collector(
    tmp_path: Path, tls_site: Site
) -> None:
    """A flood would else make ever more garbage, and everybody wait while it is collected."""

    async def gone(rig: NetRig, port: int, said: bytes) -> list[weakref.ref[object]]:
        peer = await RawPeer.connect(port)
        peer.write(said)
        await until(lambda: rig.server.waiting == 1)
        [acceptor] = rig.acceptors
        held: list[weakref.ref[object]] = [weakref.ref(acceptor), weakref.ref(acceptor.connection)]
        del acceptor
        peer.reset()
        await until(lambda: not rig.acceptors)
        await asyncio.sleep(0)
        return held

    async def scenario() -> None:
        async with net_rig(tmp_path / "a", policy_text=TLS_POLICY, server_tls=tls_site.server.session) as rig:
            tls_port = int(rig.server.listening["tls"].rpartition(":")[2])
            gc.collect()
            gc.disable()
            try:
                for port, said in ((rig.port, b"\x01\x00"), (tls_port, b"\x16\x03")):
                    assert [held() for held in await gone(rig, port, said)] == [None, None]
            finally:
                gc.enable()

    run(scenario())
