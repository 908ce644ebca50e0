"""Leadglass itself, made and served by the commands an administrator types."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.peers import CALLING_AE, SINK_AE, Target
from bench.wire import ClientTls, Endpoint
from tests.support.ports import LOOPBACK, free_port
from tests.support.processes import ChildProcess

AE, OLD_AE = "NORTH", "BENCHOLD"
MOST_ASSOCIATIONS = 2000  # the idle ones are all of one device here
NO_SINK = 104
COMMAND = str(Path(sys.executable).with_name("leadglass"))
POLICY = f"""version = 1
per_hour = {{ objects = 10_000_000, bytes = "100 TB", patients = 1_000_000 }}
[zones]
modalities = {{ cidr = ["{LOOPBACK}/32"], transport = "mtls" }}
legacy = {{ cidr = ["{LOOPBACK}/32"], transport = "plain", review_by = 2099-01-31 }}
[devices]
bench = {{ zone = "modalities", ae = ["{CALLING_AE}"] }}
old = {{ zone = "legacy", ae = ["{OLD_AE}"], ip = "{LOOPBACK}" }}
sink = {{ zone = "legacy", ae = ["{SINK_AE}"], ip = "{LOOPBACK}", address = "{LOOPBACK}:SINK_PORT" }}
[flows]
bench = {{ from = ["zone:modalities"], to = "archive", can = ["echo", "store", "find", "get", "move"] }}
old = {{ from = ["old"], to = "archive", can = ["echo", "store", "find", "get", "move"] }}
deliver = {{ from = ["archive"], to = "sink", can = ["store"] }}
[tests]
allow = ["bench store archive", "old store archive"]
deny = ["internet echo archive"]
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A served site: the same archive behind two doors."""

    plain: Target
    mutual_tls: Target


@contextmanager
def running_site(
    folder: Path, prepared: Callable[[Path], None] | None = None, sink_port: int = NO_SINK
) -> Iterator[Site]:
    """Make a site under ``folder`` and serve it. Encryption at rest, policy and audit are always on.

    Moves go to ``sink_port``. ``prepared`` gets the site's folder before it is served, to fill its index
    say; then nothing scrubs.
    """
    home, credentials = folder / "site", folder / "bench"
    tls_port, plain_port = free_port(), free_port()
    run(
        home,
        *("init", "--name", "Bench", "--ae", AE),
        *("--dicom-tls", f"{LOOPBACK}:{tls_port}", "--dicom-plain", f"legacy={LOOPBACK}:{plain_port}"),
    )
    run(
        home,
        *(
            "device",
            "add",
            "--yes",
            "bench",
            "--zone",
            "modalities",
            "--ae",
            CALLING_AE,
            "--out",
            str(credentials),
        ),
    )
    (home / "policy.toml").write_text(POLICY.replace("SINK_PORT", str(sink_port)), encoding="utf-8")
    with (home / "leadglass.toml").open("a", encoding="utf-8") as settings:  # its last table is [limits]
        settings.write(f"associations_per_device = {MOST_ASSOCIATIONS}\n")
    if prepared is not None:
        with (home / "leadglass.toml").open("a", encoding="utf-8") as settings:
            settings.write("\n[integrity]\nscrub_days = 0\n")  # there are no images behind the index
        prepared(home)
    with ChildProcess((COMMAND, "--home", str(home), "serve"), folder / "serve.log") as process:
        process.wait_for(r"^ready ", timeout_s=60)
        tls = ClientTls(credentials / "cert.pem", credentials / "key.pem", credentials / "ca.pem")
        yield Site(
            Target(Endpoint(LOOPBACK, plain_port, AE, OLD_AE), process.pid),
            Target(Endpoint(LOOPBACK, tls_port, AE, CALLING_AE, tls), process.pid),
        )


@contextmanager
def plain(folder: Path) -> Iterator[Target]:
    """The plaintext zone."""
    with running_site(folder) as site:
        yield site.plain


@contextmanager
def mutual_tls(folder: Path) -> Iterator[Target]:
    """Everything on."""
    with running_site(folder) as site:
        yield site.mutual_tls


def run(home: Path, *arguments: str) -> None:
    """Run one leadglass command on the site.

    Raises:
        RuntimeError: it failed. Carries what it said.
    """
    done = subprocess.run(
        (COMMAND, "--home", str(home), *arguments), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"leadglass {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")
