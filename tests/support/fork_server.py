"""Leadglass from a process that has imported it already: a fork takes 10 ms where a start takes 700.

As a program (``python -m tests.support.fork_server``) it reads a line of JSON for each order and
answers with one: ``run`` forks a child that runs the command line, ``wait`` waits for one, ``poll``
asks whether it has ended, ``signal`` sends it a signal. One thread, so that nothing is forked half
locked; it ends, with all its children, when its standard input does.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from leadglass.cli.main import app, main
from leadglass.dataset import dictionary
from tests.support.processes import Child, ChildProcess

POLL_S = 0.005


class ForkedChild:
    """One child of a fork server, as ``subprocess.Popen`` would have it."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.pid = pid
        self._server = server
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """How it ended, or ``None``."""
        if self._exit_code is None:
            self._exit_code = self._server.order("poll", pid=self.pid)
        return self._exit_code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a forked child", timeout or 0)
            time.sleep(POLL_S)
        return code

    def send_signal(self, sig: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            self._server.order("signal", pid=self.pid, number=int(sig))

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The other side: a running fork server. ``fork_server`` makes one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def order(self, what: str, **details: object) -> Any:
        """Give one order and take its answer."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a fork server without pipes")
        self._process.stdin.write(json.dumps({"what": what, **details}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(
        self, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> ChildProcess:
        """``leadglass`` with these arguments."""
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        pid = self.order("run", arguments=list(arguments), log=str(log), environment=dict(environment or {}))
        return ChildProcess.of(cast("Child", ForkedChild(self, pid)), ("leadglass", *arguments), log)


@contextmanager
def fork_server(environment: Mapping[str, str] | None = None) -> Iterator[ForkServer]:
    """A fork server, with these variables added to its environment, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.fork_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, **(environment or {})},
    )
    with process:
        yield ForkServer(process)
        if process.stdin is not None:
            process.stdin.close()


def _run(order: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, descriptor in ((0, nothing), (1, log), (2, log)):
            os.dup2(descriptor, number)
        os.environ.update(order["environment"])
        sys.argv = ["leadglass", *order["arguments"]]
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        os._exit(code)


def _poll(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


USED_BY_CHILDREN = (
    "leadglass.app",
    "leadglass.archive.recover",
    "leadglass.cli.archive",
    "leadglass.cli.deletion",
    "leadglass.cli.keys",
    "leadglass.cli.marks",
    "leadglass.cli.serve",
    "leadglass.cli.site",
    "leadglass.index.upgrade",
)


def _import_everything() -> None:
    """Also what is imported only when it is used."""
    for module in USED_BY_CHILDREN:
        import_module(module)
    dictionary.load()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        app(["serve", "--help"])


def _serve() -> None:
    _import_everything()
    gc.freeze()
    children: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        answer: int | None = None
        match order["what"]:
            case "run":
                answer = _run(order)
                children.add(answer)
            case "poll":
                answer = _poll(order["pid"])
                if answer is not None:
                    children.discard(order["pid"])
            case "signal":
                os.kill(order["pid"], order["number"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _serve()
