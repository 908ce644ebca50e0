"""``leadglass demo`` as a new user runs it: another process, a real server, nothing left behind."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import ChildProcess

COMMAND = [sys.executable, "-m", "leadglass", "demo"]
ENDS_S = 60.0
ALLOWED = ("1", "2", "3")
DENIED = {"4": "verb", "5a": "device", "5b": "device", "5c": "zone", "6": "device"}
IMAGES = 24
INTERRUPTED = 130  # 128 and SIGINT, as shells count


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the demo makes its folder."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def environment(temporary: Path, **more: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("LEADGLASS", "NO_COLOR"))
    }
    return {**kept, "TMPDIR": str(temporary), **more}


def processes_of(temporary: Path) -> list[str]:
    """The command lines of living processes that name the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it ended meanwhile
            continue
        if str(temporary) in line:
            found.append(line)
    return found


def assert_nothing_left(temporary: Path) -> None:
    assert list(temporary.iterdir()) == []
    assert processes_of(temporary) == []


def section(text: str, number: str) -> str:
    """What is shown of one scene."""
    found = re.search(rf"^(ALLOWED|DENIED|WHOLE)  {number}  .*\n(?:  .*\n)+", text, re.MULTILINE)
    assert found, f"scene {number} is missing:\n{text}"
    return found[0]


@pytest.mark.parametrize(("encoding", "passed", "failed"), [("utf-8", "✓", "✗"), ("ascii", "+", "x")])
def test_once_shows_each_verdict_with_its_reason_and_leaves_nothing(
    temporary: Path, encoding: str, passed: str, failed: str
) -> None:
    env = environment(temporary, PYTHONIOENCODING=encoding)
    ended = subprocess.run([*COMMAND, "--once"], env=env, capture_output=True, timeout=ENDS_S, check=False)
    text = ended.stdout.decode(encoding)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "\x1b" not in text
    for number in ALLOWED:
        scene = section(text, number)
        assert scene.startswith("ALLOWED")
        assert re.search(r"^  rule +flow \S+, for \w+ in zone \w+$", scene, re.MULTILINE)
    assert f"{IMAGES} of {IMAGES} came back with the SHA-256" in section(text, "2")
    assert "spoofable" in section(text, "3")
    for number, step in DENIED.items():
        scene = section(text, number)
        assert scene.startswith("DENIED")
        assert f"{passed} tcp " in scene
        assert re.findall(rf"{re.escape(failed)} (\w+) ", scene.partition("why")[2]) == [step]
        assert re.search(r"^  fix +\S", scene, re.MULTILINE)
    assert "signed checkpoints" in section(text, "7")
    assert_nothing_left(temporary)


@contextmanager
def staying(temporary: Path, log: Path) -> Iterator[ChildProcess]:
    with ChildProcess(COMMAND, log, env=environment(temporary)) as child:
        child.wait_for(r"Ctrl-C ends it", timeout_s=ENDS_S)
        yield child


def printed_commands(text: str) -> list[str]:
    """The commands to try next, each as it would be pasted."""
    after = text.partition("in another terminal:")[2].partition("It stays up.")[0]
    blocks = re.findall(r"^# .*\n((?:[^#\n].*\n)+)", after, re.MULTILINE)
    assert len(blocks) == after.count("\n# ")
    return [block.rstrip("\n") for block in blocks]


def test_staying_up_every_printed_command_works_until_ctrl_c_cleans_up(
    temporary: Path, tmp_path: Path
) -> None:
    with staying(temporary, tmp_path / "demo.log") as child:
        enter, *commands = printed_commands(child.text())
        assert len(processes_of(temporary)) == 1  # the server

        def paste(command: str) -> subprocess.CompletedProcess[str]:
            script = f"{enter}\n{command}"
            return subprocess.run(
                ["sh", "-c", script], capture_output=True, text=True, timeout=ENDS_S, check=False
            )

        ended = {" ".join(command.split()[1:3]): paste(command) for command in commands}
        codes = {name: done.returncode for name, done in ended.items()}
        assert codes == {
            "echo --to": 0,
            "find --to": 0,
            "get --to": 0,
            "zones explain": 3,
            "audit tail": 0,
            "device revoke": 0,
        }
        assert "SYN-0002" in ended["find --to"].stdout
        (folder,) = temporary.iterdir()
        assert len(list((folder / "pulled").glob("*.dcm"))) == IMAGES
        search = next(command for command in commands if command.startswith("leadglass find"))
        assert paste(search).returncode != 0
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout_s=ENDS_S) == 0
    assert_nothing_left(temporary)


def test_sigterm_cleans_up_like_ctrl_c(temporary: Path, tmp_path: Path) -> None:
    with staying(temporary, tmp_path / "demo.log") as child:
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout_s=ENDS_S) == 0
    assert_nothing_left(temporary)


@pytest.mark.parametrize("moment", ["A new site", "Served", "DENIED  5a"])
def test_an_interruption_in_the_middle_leaves_nothing(temporary: Path, tmp_path: Path, moment: str) -> None:
    log = tmp_path / "demo.log"
    with ChildProcess([*COMMAND, "--once"], log, env=environment(temporary)) as child:
        child.wait_for(moment, timeout_s=ENDS_S)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout_s=ENDS_S) == INTERRUPTED
        assert "Traceback" not in child.text()
    assert_nothing_left(temporary)


def test_a_server_that_dies_ends_the_demo_with_its_reason(temporary: Path, tmp_path: Path) -> None:
    with staying(temporary, tmp_path / "demo.log") as child:
        (line,) = processes_of(temporary)
        (pid,) = [
            int(entry.parent.name)
            for entry in Path("/proc").glob("[0-9]*/cmdline")
            if entry.parent.name != "self" and str(temporary).encode() in entry.read_bytes()
        ]
        assert "serve" in line
        os.kill(pid, signal.SIGKILL)
        assert child.wait(timeout_s=ENDS_S) == 1
        assert "error: the server ended with code -9" in child.text()
    assert_nothing_left(temporary)


def test_a_terminal_gets_panels_and_no_colour_is_respected(temporary: Path) -> None:
    shown, ended = on_a_terminal(environment(temporary, TERM="xterm-256color", NO_COLOR="1"))
    assert ended == 0
    assert "╭─" in shown
    assert not re.search(r"\x1b\[(?:\d+;)*(?:3|4|9)\d", shown)
    assert_nothing_left(temporary)


def on_a_terminal(env: dict[str, str]) -> tuple[str, int]:
    """Run the demo once on a terminal of its own; what it wrote there, and its exit code."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen([*COMMAND, "--once"], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    pieces = []
    try:
        while piece := os.read(ours, 1 << 16):
            pieces.append(piece)
    except OSError:  # EIO: the other side has closed
        pass
    finally:
        os.close(ours)
    return b"".join(pieces).decode(), child.wait(ENDS_S)
