"""What a running server says of itself, in ``run/server.json``; ``status`` reads it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import msgspec

from leadglass.app import Home
from leadglass.model.errors import AlreadyServing

LOCK = "serve.lock"


class Running(msgspec.Struct, frozen=True):
    """A server that runs. ``associations`` by device; ``waiting`` connections are not one yet.

    ``key_id`` is the site key that everything is sealed with which is not stored yet.
    """

    pid: int
    time: datetime
    listeners: Mapping[str, str]
    associations: Mapping[str, int]
    waiting: int
    trouble: str
    key_id: str = ""


@contextmanager
def serving_lock(home: Home) -> Iterator[None]:
    """One server a site; the lock goes with the process, however it ends.

    Raises:
        AlreadyServing: another process has it.
    """
    home.run.mkdir(mode=0o700, exist_ok=True)
    with (home.run / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyServing(f"another process serves {home.directory}; see 'leadglass status'") from None
        yield


def is_served(home: Home) -> bool:
    """Whether a server has the site, even one that is only starting and has said nothing of itself yet."""
    try:
        with (home.run / LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def write_running(home: Home, running: Running) -> None:
    """Replace the file, whole.

    Raises:
        OSError
    """
    new = home.run / "server.json.new"
    new.write_bytes(msgspec.json.encode(running))
    new.replace(home.run / "server.json")


def remove_running(home: Home) -> None:
    """The server has ended."""
    (home.run / "server.json").unlink(missing_ok=True)


def read_running(home: Home) -> Running | None:
    """The server of a site, if its process lives."""
    try:
        running = msgspec.json.decode((home.run / "server.json").read_bytes(), type=Running)
        os.kill(running.pid, 0)
    except (OSError, msgspec.MsgspecError):
        return None
    return running
