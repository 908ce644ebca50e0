"""Children are watched and ended by their own pid, and what they said is kept."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.support.peers import Peer, PeerMissingError, find_peer, peer_path
from tests.support.ports import accepts, free_port, wait_until_accepting
from tests.support.processes import ChildProcess, ProcessFailedError

PATIENT = "import signal; print('ready now', flush=True); signal.pause()"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {PATIENT}"


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_ready_line_is_waited_for_and_stop_ends_the_child(tmp_path: Path) -> None:
    with ChildProcess(python(PATIENT), tmp_path / "log") as child:
        assert child.wait_for(r"ready (\w+)").group(1) == "now"
        assert child.exit_code is None
    assert child.exit_code == -signal.SIGTERM


def test_a_child_that_ends_first_shows_what_it_said(tmp_path: Path) -> None:
    with (
        ChildProcess(python("import sys; sys.exit('no such port')"), tmp_path / "log") as child,
        pytest.raises(ProcessFailedError, match="ended with 1:\nno such port"),
    ):
        child.wait_for("ready")


def test_a_silent_child_is_not_waited_for_forever(tmp_path: Path) -> None:
    with ChildProcess(python(PATIENT), tmp_path / "log") as child:
        with pytest.raises(ProcessFailedError, match="in 0 s"):
            child.wait_for("never said", timeout_s=0)
        with pytest.raises(ProcessFailedError, match="still runs"):
            child.wait(timeout_s=0)


def test_a_child_deaf_to_sigterm_is_killed(tmp_path: Path) -> None:
    child = ChildProcess(python(DEAF), tmp_path / "log")
    child.wait_for("ready")
    assert child.stop(timeout_s=0) == -signal.SIGKILL


def test_a_free_port_accepts_nothing() -> None:
    port = free_port()
    assert not accepts(port)
    with pytest.raises(TimeoutError):
        wait_until_accepting(port, timeout_s=0)


def test_a_virtual_environments_scripts_are_not_peers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "dcmdump"
    script.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(Peer.DCMDUMP, "_value_", str(tmp_path / "not installed" / "dcmdump"))
    assert find_peer(Peer.DCMDUMP) == script
    (tmp_path / "pyvenv.cfg").touch()
    assert find_peer(Peer.DCMDUMP) is None
    with pytest.raises(PeerMissingError, match="apt-get install dcmtk"):
        peer_path(Peer.DCMDUMP)
