"""What a second process could bring: two whole servers side by side against one, at the same load.

`make processes`. Two servers share nothing, not even an index, so they are the most that workers in several
processes could ever reach on this machine.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.generate import ct_study
from bench.leadglass import running_site
from bench.run import allow_many_sockets, fresh, working_folder
from bench.sender import Instance, read_instance, send
from bench.wire import Endpoint

ROUNDS, IMAGES = 5, 240
ASSOCIATIONS = (4, 16)
SIZES = {"CT, 512 x 512": 512, "small, 64 x 64": 64}


def images_of(folder: Path, size: int, number: int) -> list[Instance]:
    """A study that no server has yet."""
    made = ct_study(folder / f"{size}-{number}", patient=80_000 + number, images=IMAGES, size=size)
    return [read_instance(path) for path in made]


def together(endpoints: Sequence[Endpoint], instances: Sequence[Instance], associations: int) -> float:
    """Instances a second, of all the servers, each with its share of the load."""
    count = len(endpoints)
    with ThreadPoolExecutor(count) as pool:
        runs = [
            pool.submit(send, endpoint, instances[number::count], associations // count)
            for number, endpoint in enumerate(endpoints)
        ]
    return sum(run.result() for run in runs)


def main() -> None:
    """Interleaved rounds; medians."""
    console = Console()
    allow_many_sockets()
    table = Table("stored a second", "associations", "one server", "two servers", "ratio")
    with working_folder() as folder, fresh(folder) as place, ExitStack() as stack:
        names = ("alone", "left", "right")
        alone, *pair = (stack.enter_context(running_site(place / name)).plain.endpoint for name in names)
        number = 0
        for said, size in SIZES.items():
            for associations in ASSOCIATIONS:
                rates: dict[int, list[float]] = {1: [], 2: []}
                for _ in range(ROUNDS):
                    for several in ([alone], pair):
                        number += 1
                        instances = images_of(place / "images", size, number)
                        os.sync()
                        rates[len(several)].append(together(several, instances, associations))
                one, two = (statistics.median(rates[count]) for count in (1, 2))
                table.add_row(said, str(associations), f"{one:,.0f}", f"{two:,.0f}", f"{two / one:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
