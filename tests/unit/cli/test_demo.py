"""Ctrl-C in the demo, at the worst moment: while the event loop is in a callback."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import pytest

from leadglass.cli.calling import run
from leadglass.cli.demo import STOPPERS, stoppable

TOO_LONG_S = 20.0


class InterruptedWhileReading(asyncio.Protocol):
    """The signal comes while bytes are taken."""

    def data_received(self, data: bytes) -> None:
        os.kill(os.getpid(), signal.SIGINT)


async def talk() -> None:
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(InterruptedWhileReading, sock=ours)
    try:
        theirs.send(b"hello")
        await asyncio.sleep(TOO_LONG_S)
    finally:
        transport.close()
        theirs.close()


def test_an_interruption_inside_a_callback_ends_the_work_and_shows_no_traceback(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = {stopper: signal.getsignal(stopper) for stopper in STOPPERS}
    with stoppable() as stop, pytest.raises(KeyboardInterrupt):
        run(talk())
    with pytest.raises(KeyboardInterrupt):
        stop.heed()
    assert capfd.readouterr().err == ""
    assert {stopper: signal.getsignal(stopper) for stopper in STOPPERS} == before


class Last:
    """Somebody presses Ctrl-C while this is collected."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def test_an_interruption_inside_a_finalizer_is_heeded_at_the_next_step(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with stoppable() as stop:
        stop.heed()
        Last()
        with pytest.raises(KeyboardInterrupt):
            stop.heed()
    assert capfd.readouterr().err == ""
