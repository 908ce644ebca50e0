"""Messages out one at a time, whole; and ids that nobody else has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from leadglass.model.errors import RemoteRefused, TransportFailed
from leadglass.model.names import Uid
from leadglass.net.connection import Deadlines
from leadglass.net.conversation import MAX_MESSAGE_ID
from leadglass.net.scu import Requestor, Target
from leadglass.net.sending import store
from leadglass.protocol import commands as c
from leadglass.protocol.events import CommandReceived, DatasetFragment
from leadglass.protocol.limits import Limits
from leadglass.protocol.services import VERIFICATION
from tests.support.net_hosts import Host, hosted
from tests.support.net_rig import CT_IMAGE, EXPLICIT, associate_request, run, until

UID = Uid("1.2.3")


async def opened(target: Target) -> Requestor:
    request = associate_request("CT1", [(VERIFICATION, (EXPLICIT,)), (CT_IMAGE, (EXPLICIT,))])
    return await Requestor.open(target, request, limits=Limits(), deadlines=Deadlines())


async def does_nothing(host: Host) -> None:
    await host.accept()
    await host.until_gone()


def test_what_is_said_while_a_data_set_streams_comes_after_it_in_order() -> None:
    came: list[str] = []

    async def story(host: Host) -> None:
        await host.accept()
        while len(came) < 5:
            event = await host.next()
            match event:
                case CommandReceived():
                    came.append(type(event.command).__name__ + str(getattr(event.command, "message_id", "")))
                case DatasetFragment(is_last=True):
                    came.append("end")
                case _:
                    continue
        await host.send(3, c.CStoreRsp(1, 0))
        await host.until_gone()

    async def scenario() -> None:
        async with hosted(story) as target, await opened(target) as peer:
            conversation = peer.conversation
            [context] = conversation.storage_contexts(CT_IMAGE).values()
            go_on = asyncio.Event()

            async def pieces() -> AsyncIterator[bytes]:
                yield b"ab"
                yield b"cd"
                await go_on.wait()
                yield b"ef"

            first = asyncio.ensure_future(store(conversation, context, UID, pieces()))
            await until(lambda: conversation.is_streaming)
            for number in (7, 8):
                conversation.send(1, c.CEchoRq(number, VERIFICATION))
            conversation.send(1, c.CCancelRq(9))
            go_on.set()
            assert await first == 0
            assert came == ["CStoreRq1", "end", "CEchoRq7", "CEchoRq8", "CCancelRq"]

    run(scenario())


def test_an_empty_data_set_is_a_message_too() -> None:
    async def nothing() -> AsyncIterator[bytes]:
        pieces: tuple[bytes, ...] = ()
        for piece in pieces:
            yield piece

    async def story(host: Host) -> None:
        await host.accept()
        request = await host.request()
        assert isinstance(request, c.CStoreRq)
        await host.send(3, c.CStoreRsp(request.message_id, 0))
        await host.until_gone()

    async def scenario() -> None:
        async with hosted(story) as target, await opened(target) as peer:
            [context] = peer.conversation.storage_contexts(CT_IMAGE).values()
            assert await store(peer.conversation, context, UID, nothing()) == 0

    run(scenario())


def test_message_ids_go_round_and_pass_over_those_in_use() -> None:
    async def scenario() -> None:
        async with hosted(does_nothing) as target, await opened(target) as peer:
            conversation = peer.conversation
            kept = conversation.expect(2)
            assert [conversation.new_message_id() for _ in range(3)] == [1, 3, 4]
            conversation._next_message_id = MAX_MESSAGE_ID
            assert [conversation.new_message_id() for _ in range(3)] == [MAX_MESSAGE_ID, 1, 3]
            kept.close()
            kept.close()
            conversation._next_message_id = 2
            assert conversation.new_message_id() == 2

    run(scenario())


def test_after_the_end_nothing_is_sent_and_nobody_waits() -> None:
    async def scenario() -> None:
        async with hosted(does_nothing) as target:
            peer = await opened(target)
            conversation = peer.conversation
            before = conversation.expect(1)
            peer.conversation.connection.abort()
            conversation.send(1, c.CEchoRq(5, VERIFICATION))
            with pytest.raises((TransportFailed, RemoteRefused)):
                await before.next()
            with pytest.raises((TransportFailed, RemoteRefused)):
                await conversation.expect(2).next()

    run(scenario())
