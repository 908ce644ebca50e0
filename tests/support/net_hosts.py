"""The other side of our own associations: an acceptor that does what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from leadglass.model.action import Verb
from leadglass.net.scu import Target
from leadglass.protocol import commands as c
from leadglass.protocol.association import Association, Role
from leadglass.protocol.dimse import encode_command
from leadglass.protocol.events import (
    AssociationRequested,
    CommandReceived,
    DatasetFragment,
    Event,
    ReleaseRequested,
)
from leadglass.protocol.limits import Limits
from leadglass.protocol.negotiation import negotiate


class Host:
    """The other side: an acceptor that says yes to all, and then does what the test says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.association = Association(Role.ACCEPTOR, Limits())
        self.association.transport_connected()
        self.events: list[Event] = []

    async def next(self) -> Event:
        while not self.events:
            data = await self.reader.read(1 << 16)
            if not data:
                raise EOFError
            self.events += self.association.receive_data(data)
        return self.events.pop(0)

    async def accept(self) -> None:
        event = await self.next()
        assert isinstance(event, AssociationRequested)
        accept, _ = negotiate(event.request, permitted=frozenset(Verb), limits=Limits())
        self.association.accept(accept)
        await self.flush()

    async def request(self) -> c.Command:
        """The next command, its data set read to the end."""
        event = await self.next()
        assert isinstance(event, CommandReceived), event
        while event.command.has_dataset:
            fragment = await self.next()
            assert isinstance(fragment, DatasetFragment)
            if fragment.is_last:
                break
        return event.command

    async def send(self, context_id: int, command: c.Command, *dataset: bytes) -> None:
        self.association.send_message(context_id, encode_command(command), dataset or None)
        await self.flush()

    async def flush(self) -> None:
        self.writer.write(b"".join(self.association.data_to_send()))
        await self.writer.drain()

    async def until_gone(self) -> None:
        """Do nothing more, but for agreeing to a release."""
        while data := await self.reader.read(1 << 16):
            for event in self.association.receive_data(data):
                if isinstance(event, ReleaseRequested):
                    self.association.reply_release()
            await self.flush()


Story = Callable[[Host], Awaitable[None]]


@asynccontextmanager
async def hosted(story: Story, *, strict: bool = True) -> AsyncIterator[Target]:
    """A server whose every connection lives the story, and is closed at its end.

    Unless ``strict``, what fails in the story is its way to end.
    """
    failures: list[BaseException] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await story(Host(reader, writer))
        except (EOFError, ConnectionError):
            pass
        except AssertionError as failure:
            failures.append(failure)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield Target(host, port)
    finally:
        server.close()
    assert failures == [] or not strict, failures
