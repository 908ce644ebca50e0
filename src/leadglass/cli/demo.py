"""``demo``: a site, a scanner, a workstation and a rogue laptop, in a temporary folder."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from leadglass.app import local_site
from leadglass.cli.demo_scenes import Play
from leadglass.cli.demo_screen import Screen, commands_to_try, open_screen
from leadglass.cli.demo_site import DemoFailed, DemoSite, make_demo_site, serving
from leadglass.model.names import Uid

HEED_S = 0.1
STOPPERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the scenes instead of staying up.")] = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Show what Leadglass does, in a temporary folder, with synthetic patients.

    Exit 1 if a scene does not go as told. Without --once it then stays up until Ctrl-C.
    """
    screen = open_screen()
    try:
        with stoppable() as stop, tempfile.TemporaryDirectory(prefix="leadglass-demo-") as folder:
            _show(screen, Path(folder), stop, once=once)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DemoFailed(f"{error.filename or 'the system'}: {error.strerror or error}") from error
    screen.say(f"The server has ended, and {folder} is gone.")


def _show(screen: Screen, folder: Path, stop: _Stop, *, once: bool) -> None:
    screen.say(f"A new site in {folder}, with CA, keys, three zones and three devices ...")
    demo_site = make_demo_site(folder)
    stop.heed()
    with serving(demo_site) as server, local_site(demo_site.home) as site:
        try:
            screen.say(
                f"Served: mutual TLS on port {demo_site.tls_port}, plaintext on port {demo_site.plain_port}."
            )
            play = Play(demo_site, site, screen.progress)
            for scene in play.scenes():
                screen.scene(scene)
                stop.heed()
            screen.verified(play.verify())
            stop.heed()
            screen.summary()
            if not once:
                _stay(screen, demo_site, play.study, server, stop)
        finally:
            _ignore_stoppers()  # from here on it only cleans up


def _stay(screen: Screen, site: DemoSite, study: Uid, server: subprocess.Popen[bytes], stop: _Stop) -> None:
    screen.next_commands(commands_to_try(site, study))
    screen.say(f"It stays up. Ctrl-C ends it and removes {site.folder}.")
    with contextlib.suppress(KeyboardInterrupt):
        while server.poll() is None:
            stop.heed()
            time.sleep(HEED_S)
        raise DemoFailed(f"the server ended with code {server.returncode}")
    screen.say("")  # the terminal wrote ^C


class _Stop:
    """Whether somebody asked us to stop.

    The signal handler raises nothing: an exception inside a callback of a C library, or of the garbage
    collector, is lost or printed. A running event loop raises it by itself, between two callbacks; all
    others ask at every step.
    """

    def __init__(self) -> None:
        self._asked = False

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        """The signal handler: stop at the next ``heed``."""
        self._asked = True
        _ignore_stoppers()
        with contextlib.suppress(RuntimeError):  # no loop is running
            asyncio.get_running_loop().call_soon_threadsafe(self.heed)

    def heed(self) -> None:
        """Stop now if it was asked for."""
        if self._asked:
            raise KeyboardInterrupt


@contextlib.contextmanager
def stoppable() -> Iterator[_Stop]:
    """Whatever asks us to stop is a KeyboardInterrupt, once: cleaning up is not interrupted."""
    stop = _Stop()
    before = {stopper: signal.signal(stopper, stop.ask) for stopper in STOPPERS}
    try:
        yield stop
    finally:
        for stopper, handler in before.items():
            signal.signal(stopper, handler)


def _ignore_stoppers() -> None:
    for stopper in STOPPERS:
        signal.signal(stopper, signal.SIG_IGN)
