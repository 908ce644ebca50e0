"""How long a server takes to be ready again after kill -9 in the middle of stores, at a million instances.

`make restart`. The index is that of `bench.million`; the segments hold what is stored here.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from rich.console import Console

from bench.generate import ct_study
from bench.leadglass import COMMAND, running_site
from bench.million import fill
from bench.population import totals
from bench.run import allow_many_sockets, fresh, progress_bar, working_folder
from bench.sender import Instance, read_instance, send
from bench.wire import Endpoint, PeerFailedError
from tests.support.processes import ChildProcess

STUDIES = 670_000
ROUNDS, ASSOCIATIONS, IMAGES, FIRST_PATIENT = 5, 4, 400, 70_000
KILLED_AFTER_S = 0.5
READY_S = 120.0


def main() -> None:
    """Fill, serve, kill, start, and again: several rounds, and their median."""
    parser = argparse.ArgumentParser(description="Time to be ready after kill -9, at a million instances.")
    parser.add_argument("--studies", type=int, default=STUDIES)
    options = parser.parse_args()
    console = Console()
    allow_many_sockets()
    with working_folder() as folder, fresh(folder) as place:
        with progress_bar(console) as progress:
            prepared = partial(fill, count=options.studies, progress=progress)
            with running_site(place, prepared) as site:
                endpoint = site.plain.endpoint
                store_until_killed(endpoint, images_of(place, 0), site.plain.pid)
        taken = []
        for number in range(1, ROUNDS + 1):
            images = images_of(place, number)
            started = time.monotonic()
            command = (COMMAND, "--home", str(place / "site"), "serve")
            with ChildProcess(command, place / f"again-{number}.log") as process:
                process.wait_for(r"^ready ", timeout_s=READY_S)
                taken.append(time.monotonic() - started)
                said = [line for line in process.text().splitlines() if "recovered" in line]
                console.print(f"ready after {taken[-1]:.2f} s: {' '.join(said)}", markup=False)
                store_until_killed(endpoint, images, process.pid)
        instances = sum(totals(options.studies).instances)
    console.print(f"{instances:,} instances: median {statistics.median(taken):.2f} s")


def images_of(folder: Path, number: int) -> list[Instance]:
    """Another study of CT images."""
    return [
        read_instance(path)
        for path in ct_study(folder / "images", patient=FIRST_PATIENT + number, images=IMAGES, size=512)
    ]


def store_until_killed(endpoint: Endpoint, instances: Sequence[Instance], pid: int) -> None:
    """Kill the server while it stores."""

    def store() -> None:
        with suppress(PeerFailedError, OSError, threading.BrokenBarrierError):
            send(endpoint, instances, ASSOCIATIONS)

    storing = threading.Thread(target=store)
    storing.start()
    time.sleep(KILLED_AFTER_S)
    os.kill(pid, signal.SIGKILL)
    storing.join()


if __name__ == "__main__":
    main()
