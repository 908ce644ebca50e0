"""A served site that is looked at while somebody attacks it: its audit trail, its log and its memory."""

from __future__ import annotations

import itertools
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from leadglass.app import Home, local_site
from leadglass.model.action import Verb
from leadglass.model.decision import Rung, RungState, Step
from leadglass.model.event import AuditEvent
from leadglass.protocol.services import VERIFICATION
from leadglass.protocol.status import Status
from tests.support.hostile_data import CT_IMAGE, small
from tests.support.processes import ChildProcess
from tests.support.raw_peer import RawPeer, client_tls, contexts_for
from tests.support.site import Credentials, LiveSite, make_site

AUDIT_WAIT_S = 5.0
POLL_S = 0.05
FIRST_SCANNER_NUMBER = 1_000_000


@dataclass
class WatchedSite:
    """The site, its server, and ``ct1``: a scanner over mutual TLS that makes CT and SR."""

    site: LiveSite
    server: ChildProcess
    ct1: Credentials
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(FIRST_SCANNER_NUMBER))

    @property
    def ct1_tls(self) -> ssl.SSLContext:
        """What ``ct1`` shows."""
        return client_tls(self.ct1)

    def line(self, kind: str, *, address: str, said: str = "") -> AuditEvent:
        """The first audit line of that kind, from that address, whose reason has ``said``; waits for it."""
        deadline = time.monotonic() + AUDIT_WAIT_S
        while True:
            events = [line.event for line in self.site.audit(kind)]
            for event in events:
                if event.address == address and said in event.reason:
                    return event
            reasons = [event.reason for event in events if event.address == address]
            assert time.monotonic() < deadline, f"no {kind} from {address} with {said!r} among {reasons}"
            time.sleep(POLL_S)

    def instances(self) -> dict[str, bytes]:
        """SHA-256 of every served object, by SOP Instance UID."""
        with local_site(Home(self.site.home)) as site:
            held = site.index.inventory(site.permit(Verb.CHECK))
            return {row.stored.sop_instance: row.stored.sha256 for row in held if row.quarantined is None}

    def resident_kib(self) -> int:
        """The server's memory. Linux: proc(5)."""
        status = Path(f"/proc/{self.server.pid}/status").read_text(encoding="ascii")
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert found, status
        return int(found[1])

    def scan(self, count: int = 1) -> None:
        """A scanner does its work: one association, and every object acknowledged."""
        with RawPeer(self.site.tls_port, tls=self.ct1_tls) as scanner:
            scanner.open("CT1", contexts_for(CT_IMAGE, VERIFICATION))
            for _ in range(count):
                assert scanner.store(1, small(next(self.numbers))) == Status.SUCCESS
            assert scanner.echo(3) == Status.SUCCESS
            scanner.release()

    def require_unharmed(self) -> None:
        """The server lives, nothing unforeseen happened in it, and a scanner can work."""
        assert self.server.exit_code is None, self.server.text()
        self.scan()
        log = self.server.text()
        assert "Traceback" not in log, log
        assert '"level": "error"' not in log, log  # a bug that reached the event loop is one


def failed_rung(event: AuditEvent) -> Rung:
    """Where the ladder of an audit line ends."""
    assert [rung.step for rung in event.ladder] == list(Step), event
    states = [rung.state for rung in event.ladder]
    height = states.index(RungState.FAILED)
    assert set(states[:height]) <= {RungState.PASSED}, event
    assert set(states[height + 1 :]) <= {RungState.NOT_REACHED}, event
    return event.ladder[height]


def set_limits(site: LiveSite, limits: Mapping[str, int]) -> None:
    """Change limits in leadglass.toml; its last table is ``[limits]``."""
    lines = "".join(f"{name} = {value}\n" for name, value in limits.items())
    with (site.home / "leadglass.toml").open("a", encoding="utf-8") as settings:
        settings.write(lines)


@contextmanager
def watched(site: LiveSite, ct1: Credentials) -> Iterator[WatchedSite]:
    """Serve the site until the block ends."""
    with site.served() as server:
        yield WatchedSite(site, server, ct1)


@contextmanager
def watched_site(folder: Path, limits: Mapping[str, int]) -> Iterator[WatchedSite]:
    """A fresh site with ``ct1`` and, in plaintext, ``us1`` in it, served until the block ends."""
    site = make_site(folder)
    set_limits(site, limits)
    ct1 = site.add_device("ct1", "modalities", "CT1", makes=("CT", "SR"))
    site.add_device("us1", "legacy", "US1", makes=("US",))
    with watched(site, ct1) as served:
        yield served
