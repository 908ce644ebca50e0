"""Leadglass as a requestor: whatever the peer does ends in an answer or a typed error, never in waiting."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from leadglass.identity.peers import ServerName
from leadglass.identity.session import TlsSession
from leadglass.model.errors import LeadglassError, OutOfResources, RemoteRefused, TransportFailed
from leadglass.model.names import AETitle, Uid
from leadglass.net.connection import Deadlines
from leadglass.net.conversation import BYTES_PER_FLUSH
from leadglass.net.scu import Receive, Requestor, Target
from leadglass.net.sending import store
from leadglass.protocol import commands as c
from leadglass.protocol.dimse import encode_command
from leadglass.protocol.limits import Limits
from leadglass.protocol.negotiation import NegotiatedContext
from leadglass.protocol.pdu import PduType
from leadglass.protocol.reasons import CALLING_AE_NOT_RECOGNIZED
from leadglass.protocol.services import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE, VERIFICATION
from leadglass.protocol.status import Status
from tests.support.net_hosts import Host, Story, hosted
from tests.support.net_rig import CT_IMAGE, EXPLICIT, associate_request, run
from tests.support.tls_site import Site

OFFERS = [
    (VERIFICATION, (EXPLICIT,)),
    (STUDY_ROOT_FIND, (EXPLICIT,)),
    (STUDY_ROOT_GET, (EXPLICIT,)),
    (STUDY_ROOT_MOVE, (EXPLICIT,)),
    (CT_IMAGE, (EXPLICIT,)),
]
QUICK = Deadlines(handshake_s=0.2, associate_s=0.2, pdu_s=0.2, idle_s=0.2)
FIND, GET = STUDY_ROOT_FIND, STUDY_ROOT_GET
UID = Uid("1.2.3")


async def open_to(
    target: Target, *, deadlines: Deadlines | None = None, receive: Receive | None = None
) -> Requestor:
    request = associate_request("CT1", OFFERS, received=[CT_IMAGE] if receive else [])
    return await Requestor.open(
        target, request, limits=Limits(), deadlines=deadlines or Deadlines(), receive=receive
    )


def identifier(_transfer_syntax: Uid) -> bytes:
    return b"ab"


# Before there is an association.


def test_nobody_listens() -> None:
    async def scenario() -> None:
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            with pytest.raises(TransportFailed, match="cannot connect"):
                await open_to(Target(*probe.getsockname()))

    run(scenario())


def test_the_local_address_is_not_ours() -> None:
    async def scenario() -> None:
        async def story(host: Host) -> None:
            await host.accept()

        async with hosted(story) as target:
            with pytest.raises(TransportFailed):
                await open_to(Target(target.host, target.port, bind="192.0.2.1"))

    run(scenario())


async def closes_at_once(_host: Host) -> None:
    return


async def closes_after_the_request(host: Host) -> None:
    await host.next()


async def says_nothing(host: Host) -> None:
    await host.next()
    await host.until_gone()


async def rejects(host: Host) -> None:
    await host.next()
    host.association.reject(CALLING_AE_NOT_RECOGNIZED)
    await host.flush()
    await host.until_gone()


async def aborts(host: Host) -> None:
    await host.next()
    host.association.abort()
    await host.flush()
    await host.until_gone()


async def talks_http(host: Host) -> None:
    host.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await host.until_gone()


async def answers_half(host: Host) -> None:
    await host.next()
    host.writer.write(bytes([PduType.ASSOCIATE_AC, 0, 0, 0, 1, 0, 0]))
    await host.until_gone()


@pytest.mark.parametrize(
    ("story", "error"),
    [
        (closes_at_once, TransportFailed),
        (closes_after_the_request, TransportFailed),
        (says_nothing, TransportFailed),
        (rejects, RemoteRefused),
        (aborts, RemoteRefused),
        (talks_http, RemoteRefused),
        (answers_half, TransportFailed),
    ],
)
def test_no_association_is_a_typed_error(story: Story, error: type[LeadglassError]) -> None:
    async def scenario() -> None:
        async with hosted(story) as target:
            with pytest.raises(error):
                await open_to(target, deadlines=Deadlines(0.2, 0.2, 0.2, 600))

    run(scenario())


def test_a_host_without_tls_is_a_typed_error(tls_site: Site) -> None:
    async def scenario() -> None:
        device = tls_site.authority.issue_device("ct1")

        def session() -> TlsSession:
            return tls_site.client(device.cert_pem, device.key_pem or b"", ServerName("127.0.0.1"))

        for story in (talks_http, says_nothing):
            async with hosted(story) as target:
                tls_target = Target(target.host, target.port, tls=session)
                with pytest.raises(TransportFailed):
                    await open_to(tls_target, deadlines=Deadlines(1, 1, 1, 1))

    run(scenario())


# On an association.


async def vanishes(host: Host) -> None:
    await host.accept()
    await host.request()


async def vanishes_between(host: Host) -> None:
    await host.accept()


async def aborts_in_the_middle(host: Host) -> None:
    await host.accept()
    await host.request()
    host.association.abort()
    await host.flush()
    await host.until_gone()


async def releases_in_the_middle(host: Host) -> None:
    await host.accept()
    await host.request()
    host.association.release()
    await host.flush()
    await host.until_gone()


async def answers_and_cuts_the_answer(host: Host) -> None:
    await host.accept()
    await host.request()
    host.association.send_command(
        3, encode_command(c.CFindRsp(1, Status.PENDING, has_dataset=True)), has_dataset=True
    )
    await host.flush()


async def answers_without_end(host: Host) -> None:
    await host.accept()
    await host.request()
    host.association.send_command(
        3, encode_command(c.CFindRsp(1, Status.PENDING, has_dataset=True)), has_dataset=True
    )
    for _ in range(20):
        host.association.send_dataset_fragment(3, bytes(1 << 20), is_last=False)
        await host.flush()
    await host.until_gone()


async def answers_another(host: Host) -> None:
    await host.accept()
    await host.request()
    await host.send(3, c.CFindRsp(77, 0, has_dataset=False))
    await host.until_gone()


async def sends_nonsense(host: Host) -> None:
    await host.accept()
    await host.request()
    host.writer.write(b"\xff" * 100)
    await host.until_gone()


MISBEHAVIOURS = [
    vanishes,
    vanishes_between,
    aborts_in_the_middle,
    releases_in_the_middle,
    answers_and_cuts_the_answer,
    answers_without_end,
    answers_another,
    sends_nonsense,
]


@pytest.mark.parametrize("story", MISBEHAVIOURS)
def test_a_query_ends_in_a_typed_error(story: Story) -> None:
    async def scenario() -> None:
        async with hosted(story) as target:
            peer = await open_to(target, deadlines=QUICK if story is answers_another else None)
            peer.conversation.connection._sweeper._interval_s = 0.05
            with pytest.raises((TransportFailed, RemoteRefused)):
                async for _ in peer.find(FIND, identifier):
                    pass
            with pytest.raises((TransportFailed, RemoteRefused)):
                async for _ in peer.find(FIND, identifier):
                    pass  # nothing is waited for on an association that is gone
            await peer.release()

    run(scenario())


@pytest.mark.parametrize("story", [vanishes, aborts_in_the_middle, releases_in_the_middle, sends_nonsense])
def test_a_store_ends_in_a_typed_error(story: Story) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(100_000)

    async def scenario() -> None:
        async with hosted(story) as target:
            peer = await open_to(target)
            [context] = peer.conversation.storage_contexts(CT_IMAGE).values()
            for _ in range(2):
                with pytest.raises((TransportFailed, RemoteRefused)):
                    await store(peer.conversation, context, UID, pieces())
            await peer.release()

    run(scenario())


def test_a_source_that_breaks_in_the_middle_aborts_the_association() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield bytes(10)
        yield bytes(10)
        raise OutOfResources("the disk does not give its bytes")

    async def scenario() -> None:
        async def story(host: Host) -> None:
            await host.accept()
            await host.until_gone()

        async with hosted(story) as target:
            peer = await open_to(target)
            [context] = peer.conversation.storage_contexts(CT_IMAGE).values()
            with pytest.raises(OutOfResources):
                await store(peer.conversation, context, UID, pieces())
            with pytest.raises((TransportFailed, RemoteRefused)):
                await peer.echo(VERIFICATION)
            await peer.release()

    run(scenario())


def test_a_release_while_we_send_is_answered_with_an_abort() -> None:
    async def scenario() -> None:
        released = asyncio.Event()

        async def pieces() -> AsyncIterator[bytes]:
            yield bytes(BYTES_PER_FLUSH)
            yield bytes(10)
            await released.wait()
            yield bytes(10)

        async def story(host: Host) -> None:
            await host.accept()
            await host.next()
            host.association.release()
            await host.flush()
            await host.until_gone()

        async with hosted(story) as target:
            peer = await open_to(target)
            [context] = peer.conversation.storage_contexts(CT_IMAGE).values()
            sending = asyncio.ensure_future(store(peer.conversation, context, UID, pieces()))
            while peer._error is None:  # noqa: ASYNC110  there is no event to wait for
                await asyncio.sleep(0)
            released.set()
            with pytest.raises((TransportFailed, RemoteRefused)):
                await sending

    run(scenario())


def test_a_context_that_was_not_accepted_is_refused_before_anything_is_sent() -> None:
    async def scenario() -> None:
        async def story(host: Host) -> None:
            await host.accept()
            await host.until_gone()

        async with hosted(story) as target:
            peer = await open_to(target)
            with pytest.raises(RemoteRefused, match=r"1\.2\.3"):
                peer.context_for(UID)
            with pytest.raises(RemoteRefused):
                await peer.echo(UID)
            peer.conversation.connection.abort()

    run(scenario())


def test_what_goes_well() -> None:
    async def story(host: Host) -> None:
        await host.accept()
        assert isinstance(await host.request(), c.CEchoRq)
        await host.send(1, c.CEchoRsp(1, 0))
        assert isinstance(await host.request(), c.CFindRq)
        await host.send(3, c.CFindRsp(2, Status.PENDING, has_dataset=True), b"one ")
        await host.send(3, c.CFindRsp(2, Status.PENDING, has_dataset=True), b"two ")
        assert await host.request() == c.CCancelRq(2)
        await host.send(3, c.CFindRsp(2, Status.CANCEL, has_dataset=False))
        request = await host.request()
        assert isinstance(request, c.CMoveRq)
        assert request.destination == "DEST"
        await host.send(7, c.CMoveRsp(3, 0, has_dataset=False, completed=1))
        await host.next()
        host.association.reply_release()
        await host.flush()
        await host.until_gone()

    async def scenario() -> None:
        async with hosted(story) as target, await open_to(target) as peer:
            assert await peer.echo(VERIFICATION) == 0
            exchange = peer.find(FIND, identifier)
            answers = []
            async for reply in exchange:
                if reply.dataset:
                    answers.append(reply.dataset)
                if len(answers) == 2:
                    exchange.cancel()
            assert answers == [b"one ", b"two "]
            exchange.cancel()
            with pytest.raises(StopAsyncIteration):
                await anext(exchange)
            async for reply in peer.move(STUDY_ROOT_MOVE, AETitle("DEST"), identifier):
                assert reply.command.status == 0

    run(scenario())


def test_a_peer_that_does_not_answer_a_release_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadglass.net.scu.RELEASE_TIMEOUT_S", 0.05)

    async def scenario() -> None:
        gone = asyncio.Event()

        async def story(host: Host) -> None:
            await host.accept()
            while await host.reader.read(1 << 16):
                pass
            gone.set()

        async with hosted(story) as target:
            peer = await open_to(target)
            await peer.release()
            await gone.wait()

    run(scenario())


def test_an_error_inside_the_block_aborts() -> None:
    async def scenario() -> None:
        gone = asyncio.Event()

        async def story(host: Host) -> None:
            await host.accept()
            await host.until_gone()
            gone.set()

        async with hosted(story) as target:
            with pytest.raises(KeyError):
                async with await open_to(target):
                    raise KeyError("a bug")
            await gone.wait()

    run(scenario())


# Objects that a C-GET brings.


@dataclass
class Came:
    """One object as it came."""

    status: int = 0
    content: bytearray = field(default_factory=bytearray)
    ended: str = ""

    def fragment(self, fragment: bytes | memoryview) -> None:
        self.content += fragment

    def finish(self) -> int:
        self.ended = "finished"
        if self.status == Status.OUT_OF_RESOURCES:
            raise OutOfResources("no room")
        return self.status

    def abandon(self) -> None:
        self.ended = "abandoned"


def receiver(statuses: Iterator[int], came: list[Came]) -> Receive:
    def receive(_request: c.CStoreRq, _context: NegotiatedContext) -> Came:
        came.append(Came(next(statuses)))
        return came[-1]

    return receive


def test_objects_come_over_our_own_association() -> None:
    async def story(host: Host) -> None:
        await host.accept()
        await host.request()
        for number, status in enumerate((0, Status.OUT_OF_RESOURCES), start=1):
            await host.send(9, c.CStoreRq(number, CT_IMAGE, UID), b"pixe", b"ls")
            assert await host.request() == c.CStoreRsp(number, status, CT_IMAGE, UID)
        await host.send(3, c.CStoreRq(9, CT_IMAGE, UID), b"pixels")  # no context for objects
        answer = await host.request()
        assert isinstance(answer, c.CStoreRsp)
        assert answer.status == Status.UNRECOGNIZED_OPERATION
        await host.send(1, c.CEchoRq(5, VERIFICATION))
        assert await host.request() == c.CEchoRsp(5, Status.UNRECOGNIZED_OPERATION, VERIFICATION)
        await host.send(5, c.CGetRsp(1, 0, has_dataset=False))
        await host.next()
        host.association.reply_release()
        await host.flush()
        await host.until_gone()

    async def scenario() -> None:
        came: list[Came] = []
        statuses = iter((0, int(Status.OUT_OF_RESOURCES)))
        async with hosted(story) as target, await open_to(target, receive=receiver(statuses, came)) as peer:
            async for _ in peer.get(GET, identifier):
                pass
        assert [bytes(one.content) for one in came] == [b"pixels", b"pixels"]

    run(scenario())


def test_an_object_that_is_cut_off_is_abandoned() -> None:
    async def story(host: Host) -> None:
        await host.accept()
        await host.request()
        host.association.send_command(9, encode_command(c.CStoreRq(1, CT_IMAGE, UID)), has_dataset=True)
        host.association.send_dataset_fragment(9, b"half", is_last=False)
        await host.flush()

    async def scenario() -> None:
        came: list[Came] = []
        async with hosted(story) as target:
            peer = await open_to(target, receive=receiver(iter((0,)), came))
            with pytest.raises((TransportFailed, RemoteRefused)):
                async for _ in peer.get(GET, identifier):
                    pass
            await peer.release()
        assert [one.ended for one in came] == ["abandoned"]

    run(scenario())


def test_an_object_whose_uid_is_none_never_reaches_a_file_name() -> None:
    async def story(host: Host) -> None:
        await host.accept()
        await host.request()
        await host.send(9, c.CStoreRq(1, CT_IMAGE, Uid("../../key")), b"pixels")
        await host.until_gone()

    async def scenario() -> None:
        came: list[Came] = []
        async with hosted(story) as target:
            peer = await open_to(target, receive=receiver(iter((0,)), came))
            with pytest.raises((TransportFailed, RemoteRefused)):
                async for _ in peer.get(GET, identifier):
                    pass
            await peer.release()
        assert came == []

    run(scenario())


def test_a_cancel_is_no_request_to_answer() -> None:
    async def story(host: Host) -> None:
        await host.accept()
        await host.send(3, c.CCancelRq(1))
        await host.request()
        await host.send(1, c.CEchoRsp(1, 0))
        await host.until_gone()

    async def scenario() -> None:
        async with hosted(story) as target:
            peer = await open_to(target)
            assert await peer.echo(VERIFICATION) == 0
            peer.conversation.connection.abort()

    run(scenario())


def test_before_it_is_connected_it_has_no_conversation() -> None:
    async def scenario() -> None:
        requestor = Requestor(associate_request("CT1", OFFERS), None)
        with pytest.raises(TransportFailed, match="not connected"):
            _ = requestor.conversation

    run(scenario())
