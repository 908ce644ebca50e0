"""What a running server says of itself, in ``run/server.json``; ``status`` reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime

import msgspec

from leadglass.app import Home


class Running(msgspec.Struct, frozen=True):
    """A server that runs. ``associations`` by device; ``waiting`` connections are not one yet.

    ``key_id`` is the site key that it seals with.
    """

    pid: int
    time: datetime
    listeners: Mapping[str, str]
    associations: Mapping[str, int]
    waiting: int
    trouble: str
    key_id: str = ""


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
