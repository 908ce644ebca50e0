"""Measure Leadglass, Orthanc and storescp in one run, rounds interleaved: `make bench`.

Every C-STORE measurement starts its server anew on an empty folder, so that no server profits from
having seen an instance before. Nothing here judges: the table says what was measured.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench import leadglass, peers, sender
from bench.cases import (
    CT,
    IDLE_ASSOCIATIONS,
    LEADGLASS_FULL,
    LEADGLASS_PLAIN,
    ORTHANC,
    SMALL,
    WINDOW,
    idle_cpu_percent,
    store_cases,
)
from bench.generate import ct_study, patient_id, small_studies, study_date, study_uid
from bench.limits import machine_limits
from bench.peers import Target
from bench.queries import PATIENT_ID, STUDY_DATE, find_studies, get_study, move_study
from bench.report import Results, markdown, print_table
from bench.wire import PeerFailedError
from tests.support.peers import Peer, peer_path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
CACHE = ROOT / "bench" / ".cache"  # on the disk of the checkout: /tmp may be memory, where syncing is free
QUERY_CASES = 6  # two of C-FIND, two each of C-GET and C-MOVE; for three servers
CT_PATIENT, SMALL_PATIENT = 99_999, 80_000
SMALL_STUDIES, SMALL_SIDE = 8, 64
FIND, FIND_DAY = "C-FIND by PatientID", "C-FIND of a day's studies"
COLD, HOT = ", cold", ", hot"

NOTES = (
    """Leadglass stores durably (one fdatasync and one index commit for each group) before it says success,
  and always encrypts at rest, asks the policy and writes its audit: “plain” is Leadglass in a plaintext
  zone with all of that, “all on” adds mutual TLS.""",
    """Orthanc runs with its default configuration, in clear, open to any caller; storescp with `--fork`.
  storescp has no index and does not sync its files.""",
    """Both peers run with `TCP_NODELAY=1`, which DCMTK does not set by itself, and our own sender
  acknowledges at once. Without these two a DCMTK server waits for the kernel's delayed acknowledgement
  (40 ms) at each instance, and every ratio would flatter Leadglass. Only the row “all as they come” is
  without: that is what two programs with their default settings do.""",
    """C-GET and C-MOVE are of the study of CT images; the moves go to one storescp in clear that keeps
  nothing. Cold: the kernel was told to drop what it holds of the servers' files, and of the sender's.""",
    f"""With a window of {WINDOW}, one association has that many instances under way (PS3.7 §D.3.3.3);
  neither peer agrees to more than one.""",
    "storescu is started with its default settings; its figures include starting it and reading the files.",
    """Our own sender encodes everything before the clock starts, sets TCP_NODELAY and waits for each answer
  before the next instance.""",
    "Before every measurement the machine's dirty pages are written out (`sync`).",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    rounds: int
    instances: int
    studies: int
    queries: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the benchmark: where it works, what it shows, what it found."""

    plan: Plan
    folder: Path
    files: Sequence[Path]
    small: Sequence[Path]
    results: Results
    progress: Progress
    task: TaskID

    def announce(self, what: str) -> None:
        """Show what is going on."""
        self.progress.update(self.task, description=what)

    def record(self, case: str, server: str, value: float) -> None:
        """One measurement is done."""
        self.results.add(case, server, value)
        self.progress.advance(self.task)

    def stores(self) -> None:
        """Every way to store, to every server, round by round."""
        for _ in range(self.plan.rounds):
            for case in store_cases():
                for server, start in case.servers.items():
                    self.announce(f"{case.name}: {server}")
                    with fresh(self.folder) as place, start(place) as target:
                        os.sync()
                        files = self.files if case.kind == CT else self.small
                        self.record(case.name, server, case.measure(target, files))

    def queries(self) -> None:
        """C-FIND and C-GET on archives of ``plan.studies`` tiny studies and the one of CT images."""
        studies = self.plan.studies
        self.announce(f"filling two archives with {studies:,} studies")
        files = (*small_studies(self.folder / "small", studies), *self.files)
        instances = [sender.read_instance(path) for path in files]
        study = study_uid(self.files[0])
        asked = {patient_id(1 + number * 7919 % studies): 1 for number in range(self.plan.queries)}
        days = Counter(study_date(path) for path in (*files[:studies], self.files[0]))
        some_days = dict(list(days.items())[: self.plan.queries])
        with fresh(self.folder) as place, ExitStack() as stack:
            sink = stack.enter_context(peers.sink(place / "sink"))
            site = stack.enter_context(leadglass.running_site(place / "leadglass", sink_port=sink))
            rival = stack.enter_context(peers.orthanc(place / "orthanc", sink_port=sink))
            targets = {LEADGLASS_PLAIN: site.plain, LEADGLASS_FULL: site.mutual_tls, ORTHANC: rival}
            for target in (site.plain, rival):
                sender.send(target.endpoint, instances, 4)
            for _ in range(self.plan.rounds):
                for server, target in targets.items():
                    self.announce(f"C-FIND, C-GET, C-MOVE: {server}")
                    os.sync()
                    self.record(FIND, server, find_studies(target.endpoint, asked, PATIENT_ID))
                    self.record(FIND_DAY, server, find_studies(target.endpoint, some_days, STUDY_DATE))
                    for how in (COLD, HOT):
                        self.retrieve(place, server, target, study, how)

    def retrieve(self, place: Path, server: str, target: Target, study: str, how: str) -> None:
        """C-GET and C-MOVE of the study of CT images; cold: no file of a server is in memory."""
        ways = {
            "C-GET of a study": partial(get_study, target.endpoint, study),
            "C-MOVE of a study": partial(move_study, target.endpoint, study, peers.SINK_AE),
        }
        for name, way in ways.items():
            if how == COLD:
                forget_files(place)
            count, rate = way()
            if count != len(self.files):
                raise PeerFailedError(f"{name}: {count} of {len(self.files)}")
            self.record(name + how, server, rate)

    def idle_percent(self) -> float:
        """Of one core, that idle associations cost Leadglass."""
        self.announce(f"{IDLE_ASSOCIATIONS:,} idle associations")
        with fresh(self.folder) as place, leadglass.mutual_tls(place) as target:
            percent = idle_cpu_percent(target)
        self.progress.advance(self.task)
        return percent


def measure(plan: Plan, console: Console) -> tuple[Results, float, dict[str, dict[str, float]]]:
    """Everything: the results, the per cent of a core that idle associations cost, the machine's limits."""
    with working_folder() as folder, progress_bar(console) as progress:
        files = ct_study(folder / "ct", patient=CT_PATIENT, images=plan.instances)
        small = [
            path
            for number in range(SMALL_STUDIES)
            for path in ct_study(
                folder / "small-images",
                patient=SMALL_PATIENT + number,
                images=plan.instances,
                size=SMALL_SIDE,
            )
        ]
        sizes = {CT: files[0].stat().st_size, SMALL: small[0].stat().st_size}
        limits = {kind: machine_limits(folder, size) for kind, size in sizes.items()}
        task = progress.add_task("", total=plan.rounds * measurements_a_round() + 1)
        run = Run(plan, folder, files, small, Results(), progress, task)
        run.stores()
        run.queries()
        return run.results, run.idle_percent(), limits


def measurements_a_round() -> int:
    """How many numbers a round gives."""
    return sum(len(case.servers) for case in store_cases()) + 3 * QUERY_CASES


def forget_files(folder: Path) -> None:
    """Have the kernel drop from memory what it holds of the files under a folder."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


@contextmanager
def working_folder() -> Iterator[Path]:
    """A folder on the checkout's disk that is gone afterwards."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        yield Path(folder)


@contextmanager
def fresh(folder: Path) -> Iterator[Path]:
    """An empty folder for one server."""
    place = folder / "server"
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place)


def progress_bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<60}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def circumstances(plan: Plan, idle_percent: float) -> dict[str, str]:
    """What the figures depend on."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "Leadglass": version("leadglass"),
        "Orthanc": first_line(peer_path(Peer.ORTHANC), "--version"),
        "DCMTK": first_line(peer_path(Peer.STORESCU), "--version"),
        "CT": f"{plan.instances} images of 512 × 512, 16 bits (0.5 MB), one study",
        "small": f"{plan.instances * SMALL_STUDIES} images of {SMALL_SIDE} × {SMALL_SIDE}, 16 bits (9 kB)",
        "C-FIND": f"{plan.queries} queries at {plan.studies + 1:,} studies",
        "rounds": str(plan.rounds),
        f"{IDLE_ASSOCIATIONS:,} idle associations over mutual TLS": f"{idle_percent:.2f} % of a core",
    }


def first_line(*command: str) -> str:
    """What a program says of its version: its first line, without decoration."""
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return said.splitlines()[0].strip("$ ").rpartition("/")[2]


def allow_many_sockets() -> None:
    """As many open files as the system lets us: one a connection, here and in the servers we start."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """Parse the command line, measure, print the table, write the page."""
    parser = argparse.ArgumentParser(description="Measure Leadglass against Orthanc and DCMTK.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--instances", type=int, default=200)
    parser.add_argument("--studies", type=int, default=5000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--output", type=Path, default=PAGE, help="the page to write")
    options = parser.parse_args()
    plan = Plan(options.rounds, options.instances, options.studies, options.queries)
    console = Console()
    allow_many_sockets()
    results, idle_percent, limits = measure(plan, console)
    print_table(results, console)
    console.print(f"{IDLE_ASSOCIATIONS:,} idle associations: {idle_percent:.2f} % of a core")
    page = markdown(results, circumstances(plan, idle_percent), limits, NOTES)
    options.output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
