"""Logs: JSON where no terminal is, and no value of a data set ever."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from leadglass.cli.allocator import keep_memory
from leadglass.cli.logs import configure_logs, log_broken_callback, log_broken_thread

NAME = "Doe^Jane"


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Logs configured as a server does, and everything put back afterwards."""
    hook, root, kept = threading.excepthook, logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    # Not sys.stderr itself: pytest puts its own back before the test begins.
    monkeypatch.setattr("leadglass.cli.logs.sys", SimpleNamespace(stderr=stream))
    configure_logs()
    yield stream
    threading.excepthook = hook
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**kept)
    structlog.configure(cache_logger_on_first_use=False)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_event_is_a_json_line(stderr: io.StringIO) -> None:
    structlog.get_logger().info("policy reloaded", zones=3)
    structlog.get_logger().debug("not this")
    [line] = lines(stderr)
    assert (line["event"], line["zones"], line["level"]) == ("policy reloaded", 3, "info")
    assert line["timestamp"].endswith("Z")


def test_a_broken_thread_is_told_by_type_and_place(stderr: io.StringIO) -> None:
    def work() -> None:
        raise KeyError(NAME)

    thread = threading.Thread(target=work, name="committer")
    thread.start()
    thread.join()
    [line] = lines(stderr)
    assert (line["thread"], line["error"]) == ("committer", "KeyError")
    assert "test_logs.py:" in line["where"]
    assert NAME not in stderr.getvalue()


def test_a_thread_that_is_gone_has_no_name(stderr: io.StringIO) -> None:
    log_broken_thread(threading.ExceptHookArgs((KeyError, KeyError(NAME), None, None)))
    [line] = lines(stderr)
    assert line["thread"] == ""
    assert NAME not in stderr.getvalue()


def test_a_broken_callback_is_told_by_type_and_place(stderr: io.StringIO) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(log_broken_callback)

        def callback(_patient: str) -> None:
            raise KeyError(NAME)

        loop.call_soon(callback, NAME)
        await asyncio.sleep(0)
        loop.call_exception_handler({"message": "odd"})

    asyncio.run(scenario())
    broke, odd = lines(stderr)
    assert broke["error"] == "KeyError"
    assert "test_logs.py:" in broke["where"]
    assert (odd["what"], odd["where"]) == ("odd", "")
    assert NAME not in stderr.getvalue()


def test_a_library_is_heard_without_its_values(stderr: io.StringIO) -> None:
    logging.getLogger("some.library").warning("cannot read %s", NAME)
    logging.getLogger("some.library").info("not this")
    [line] = lines(stderr)
    assert (line["library"], line["words"]) == ("some.library", "cannot read %s")
    assert NAME not in stderr.getvalue()


def test_people_on_a_terminal_get_lines(monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO) -> None:
    monkeypatch.setattr(stderr, "isatty", lambda: True)
    configure_logs()
    structlog.get_logger().info("policy reloaded")
    assert "policy reloaded" in stderr.getvalue()
    with pytest.raises(json.JSONDecodeError):
        lines(stderr)


def test_glibc_takes_its_knobs_and_others_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keep_memory()
    monkeypatch.setattr("leadglass.cli.allocator.ctypes.CDLL", lambda _name: object())
    assert not keep_memory()
