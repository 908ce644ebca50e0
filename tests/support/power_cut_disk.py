"""A file system that forgets, at a power cut, what was not synced."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.compiling import cannot, compile_native

HEADERS = Path("/usr/include/fuse3")
READY_S = 10.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class PowerCutDisk:
    """It is mounted at ``mount``."""

    mount: Path

    def settle(self) -> None:
        """All that is there stays there."""
        self._order("settle")

    def cut(self, seed: int) -> None:
        """Lose what was not synced: which part of it, the seed says. Nobody has a file open."""
        self._order(f"cut {seed}")

    def _order(self, text: str) -> None:
        power = os.open(self.mount / ".power", os.O_WRONLY)
        try:
            os.write(power, text.encode())
        finally:
            os.close(power)


@contextmanager
def power_cut_disk(folder: Path) -> Iterator[PowerCutDisk]:
    """An empty one in this folder, until the block ends.

    Where FUSE is missing the test fails in CI and skips elsewhere, with the reason.
    """
    if not HEADERS.is_dir() or not Path("/dev/fuse").exists():
        cannot("a test of power cuts needs /dev/fuse, and: apt-get install fuse3 libfuse3-dev")
    flags = ("-D_FILE_OFFSET_BITS=64", f"-I{HEADERS}", "-lfuse3")
    program = compile_native("power_cut_disk.c", folder / "power_cut_disk", *flags)
    mount = folder / "disk"
    mount.mkdir(mode=0o700)
    command = [str(program), str(mount), "-f", "-s"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as serving:
        _wait_until_mounted(mount, serving)
        try:
            yield PowerCutDisk(mount)
        finally:
            subprocess.run(["fusermount3", "-u", "-z", str(mount)], check=True)
            serving.terminate()


def _wait_until_mounted(mount: Path, serving: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + READY_S
    while not mount.is_mount():
        if serving.poll() is not None:
            said = serving.stderr.read().strip() if serving.stderr else ""
            cannot(f"a test of power cuts needs the right to mount FUSE: {said}")
        if time.monotonic() > deadline:
            serving.kill()
            raise TimeoutError("FUSE does not mount")
        time.sleep(POLL_S)
