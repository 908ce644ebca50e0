"""What a running server says of itself, in ``run/server.json``; ``status`` reads it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Final, TextIO

import msgspec

from leadglass.app import Home
from leadglass.model.errors import AlreadyServing

LOCK: Final = "serve.lock"
ASKED_TIMES: Final = 5
ASKED_EVERY_S: Final = 0.02


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

    What an earlier server has left said of itself is removed first: so what ``run/server.json``
    says is of the process that has the lock.

    Raises:
        AlreadyServing: another process has it.
    """
    home.run.mkdir(mode=0o700, exist_ok=True)
    with (home.run / LOCK).open("w") as lock:
        if not _taken(lock):
            raise AlreadyServing(f"another process serves {home.directory}; see 'leadglass status'")
        remove_running(home)
        yield


def _taken(lock: TextIO) -> bool:
    """Whether we have the lock. Who only asks about it, as ``is_served`` does, has it for a moment."""
    for _ in range(ASKED_TIMES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(ASKED_EVERY_S)
        else:
            return True
    return False


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
    """The server of a site, if it has the site's lock: one that was killed has not.

    Its process id says nothing: the system gives it to another process, sooner or later.
    """
    if not is_served(home):
        return None
    try:
        return msgspec.json.decode((home.run / "server.json").read_bytes(), type=Running)
    except (OSError, msgspec.MsgspecError):
        return None
