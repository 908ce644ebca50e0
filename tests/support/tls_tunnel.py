"""A TLS tunnel such as a site puts before a program that cannot encrypt: DCMTK's getscu and movescu."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.ports import LOOPBACK
from tests.support.site import Credentials

PIECE_BYTES = 1 << 16


@contextmanager
def tls_tunnel(credentials: Credentials, to_port: int) -> Iterator[int]:
    """A plaintext port of 127.0.0.1 whose connections go on, as that device, to ``to_port`` over TLS."""
    context = ssl.create_default_context(cafile=str(credentials.ca))
    context.load_cert_chain(credentials.cert, credentials.key)
    loop = asyncio.new_event_loop()
    tunnel = _Tunnel(context, to_port)
    port = loop.run_until_complete(tunnel.open())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield port
    finally:
        asyncio.run_coroutine_threadsafe(tunnel.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Tunnel:
    def __init__(self, context: ssl.SSLContext, to_port: int) -> None:
        self._context = context
        self._to_port = to_port
        self._carried: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        self._server = await asyncio.start_server(self._connected, LOOPBACK, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._carried:
            task.cancel()
        await asyncio.gather(*self._carried, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._carry(reader, writer))
        self._carried.add(task)
        task.add_done_callback(self._carried.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(
            LOOPBACK, self._to_port, ssl=self._context, server_hostname=LOOPBACK
        )
        await asyncio.gather(_pump(reader, back), _pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until this direction ends; then the other has nobody to answer either."""
    with suppress(OSError):
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
    with suppress(OSError):
        writer.close()
        await writer.wait_closed()
