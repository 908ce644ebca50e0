"""The application log: one line an event on stderr, for people on a terminal, JSON elsewhere. No PHI.

What goes wrong unforeseen is logged by its type and place alone: an exception's text may hold a value
from a data set, and a traceback shows the text.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog

FRAMES_TOLD = 6

log = structlog.get_logger()


def configure_logs() -> None:
    """Configure structlog for a server, and send there what libraries and broken threads say."""
    terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_to_stderr,
        cache_logger_on_first_use=False,  # stderr may be another tomorrow
    )
    logging.basicConfig(handlers=[_Forwarder(logging.WARNING)], force=True)
    threading.excepthook = log_broken_thread


def log_broken_thread(args: threading.ExceptHookArgs) -> None:
    """A thread ended by a bug; for ``threading.excepthook``."""
    name = args.thread.name if args.thread else ""
    log.error("a thread broke", thread=name, error=args.exc_type.__name__, where=_where(args.exc_traceback))


def log_broken_callback(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A callback or task ended by a bug; for the loop's exception handler."""
    error = context.get("exception")
    log.error(
        "a callback broke",
        what=str(context.get("message", "")).partition("(")[0],
        error=type(error).__name__,
        where=_where(error.__traceback__ if isinstance(error, BaseException) else None),
    )


class _StderrLogger:
    """Writes lines to whatever stderr is now. A log that nobody can read any more stops nobody."""

    def msg(self, message: str) -> None:
        """One line."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(message + "\n")
            sys.stderr.flush()

    log = debug = info = warn = warning = error = critical = exception = msg


def _to_stderr(*_arguments: object) -> _StderrLogger:
    return _StderrLogger()


class _Forwarder(logging.Handler):
    """What libraries log: the words without the values in them."""

    def emit(self, record: logging.LogRecord) -> None:
        log.warning("a library says", library=record.name, words=str(record.msg))


def _where(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)[-FRAMES_TOLD:]
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
