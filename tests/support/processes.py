"""Child processes: started, watched by their log, ended by their own pid."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

POLL_S = 0.02


class ProcessFailedError(RuntimeError):
    """A child ended or stayed silent where it should have become ready."""


class Child(Protocol):
    """What is needed of a child; ``subprocess.Popen`` has it."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class ChildProcess:
    """One running child. Its stdout and stderr go, together, to the file ``log``.

    Use it as a context manager: leaving ends the child, politely first.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.command = tuple(command)
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as sink:
            self._child: Child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=None if env is None else dict(env),
            )

    @classmethod
    def of(cls, child: Child, command: Sequence[str], log: Path) -> Self:
        """A child that somebody else has started."""
        made = cls.__new__(cls)
        made.command, made.log, made._child = tuple(command), log, child
        return made

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended (minus the signal's number, if by one); ``None`` while it runs."""
        return self._child.poll()

    def text(self) -> str:
        """Everything it has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, pattern: str, *, timeout_s: float = 20.0) -> re.Match[str]:
        """Wait until its log has a match for the regular expression ``pattern``.

        Raises:
            ProcessFailedError: it ended first, or ``timeout_s`` passed. Carries the log.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            ended = self.exit_code is not None  # asked first: what it printed last still counts
            found = re.search(pattern, self.text(), re.MULTILINE)
            if found:
                return found
            if ended:
                raise ProcessFailedError(f"{self.command[0]} ended with {self.exit_code}:\n{self.text()}")
            if time.monotonic() > deadline:
                raise ProcessFailedError(
                    f"{self.command[0]}: no {pattern!r} in {timeout_s} s:\n{self.text()}"
                )
            time.sleep(POLL_S)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        self._child.send_signal(number)

    def stop(self, *, timeout_s: float = 15.0) -> int:
        """SIGTERM, and SIGKILL if it is not gone in ``timeout_s``. The exit code."""
        self._child.terminate()
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL, as a power cut would to the process. The exit code."""
        self._child.kill()
        return self._child.wait()

    def wait(self, *, timeout_s: float) -> int:
        """Wait for it to end by itself. The exit code.

        Raises:
            ProcessFailedError: it still runs after ``timeout_s``. Carries the log.
        """
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired as still_running:
            message = f"{self.command[0]} still runs after {timeout_s} s:\n{self.text()}"
            raise ProcessFailedError(message) from still_running

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
