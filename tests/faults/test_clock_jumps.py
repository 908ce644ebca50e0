"""The wall clock jumps, by a day or by ten years, forwards and back, under a serving site.

What the policy and certificates say of dates goes on counting: ten years on, the plaintext zone is overdue
for review and closed, and whoever shows a certificate is refused at the door. Nothing else may notice: what
was acknowledged stays, before and after a new start, and with the true clock everybody works again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from leadglass.dataset.synthetic import SyntheticInstance, SyntheticPatient
from leadglass.protocol.pdu import AssociateAccept, PduType
from leadglass.protocol.status import Status
from tests.support.compiling import compile_native
from tests.support.fault_journal import SCANNER_AE, FaultJournal, add_scanner_and_desk, require_recorded
from tests.support.fork_server import ForkServer, fork_server
from tests.support.hostile_data import CT_IMAGE, large, small
from tests.support.leadglass import leadglass
from tests.support.raw_peer import DROPPED, RawPeer, Received, client_tls, contexts_for
from tests.support.site import Credentials, LiveSite, make_site

DAY_S = 86_400
TEN_YEARS_S = 3_653 * DAY_S
JUMPS_S = (0, DAY_S, 0, -DAY_S, 0, TEN_YEARS_S, 0, -TEN_YEARS_S, 0)
TLS_AE = "CT2"
STREAMED_BYTES, STREAMED_EVERY = 9 << 20, 12

pytestmark = pytest.mark.timeout(300)


@dataclass
class MovedClock:
    """The wall clock of a fork server and its children."""

    path: Path

    def move(self, offset_s: int) -> None:
        """To so many seconds from the true time."""
        with self.path.open("r+b") as file:  # in place: it is mapped
            file.write(offset_s.to_bytes(8, "little", signed=True))


@pytest.fixture
def clock(tmp_path: Path) -> MovedClock:
    path = tmp_path / "clock"
    path.write_bytes(bytes(8))
    return MovedClock(path)


@pytest.fixture
def forks(clock: MovedClock, tmp_path: Path) -> Iterator[ForkServer]:
    library = compile_native("moved_clock.c", tmp_path / "moved_clock.so", "-shared", "-fPIC")
    environment = {"LD_PRELOAD": str(library), "LEADGLASS_CLOCK_OFFSET": str(clock.path)}
    with fork_server(environment) as server:
        yield server


@pytest.fixture
def site(tmp_path: Path) -> LiveSite:
    made = make_site(tmp_path)
    add_scanner_and_desk(made)
    return made


@pytest.fixture(params=["plain", "mtls"])
def scanner(request: pytest.FixtureRequest, site: LiveSite, tmp_path: Path) -> Scanner:
    """One of the plaintext zone, and one with a certificate."""
    if request.param == "plain":
        return Scanner(site, tmp_path)
    return Scanner(site, tmp_path, site.add_device("ct2", "modalities", TLS_AE, makes=("CT",)))


class Scanner:
    """Stores a few objects whenever it is asked to, and keeps the journal."""

    def __init__(self, site: LiveSite, folder: Path, credentials: Credentials | None = None) -> None:
        self.site = site
        self.ae = TLS_AE if credentials else SCANNER_AE
        self._tls = client_tls(credentials) if credentials else None
        self.journal = FaultJournal(
            folder / "journal", SyntheticPatient("Clock^Test", "CLOCK-1", "19700101", "O")
        )
        self.numbers = 0

    @property
    def overdue(self) -> Status:
        """What a standing association is told ten years on: a certificate is looked at when it begins."""
        return Status.SUCCESS if self._tls else Status.NOT_AUTHORIZED

    def expected_anew(self, offset_s: int) -> set[int] | None:
        """Ten years on all is over; ten years ago the plaintext zone was as good, and no certificate yet."""
        closed = {TEN_YEARS_S, -TEN_YEARS_S} if self._tls else {TEN_YEARS_S}
        return None if offset_s in closed else {Status.SUCCESS}

    def store(self, peer: RawPeer) -> set[int]:
        """Three objects; the statuses that came."""
        statuses = set()
        for _ in range(3):
            instance = self._object()
            self.journal.sending(instance)
            status = peer.store(1, instance)
            statuses.add(status)
            if status == Status.SUCCESS:
                self.journal.acknowledge(instance)
        return statuses

    def _object(self) -> SyntheticInstance:
        self.numbers += 1
        if self.numbers % STREAMED_EVERY == 1:
            return large(self.numbers, STREAMED_BYTES, self.journal.patient)
        return small(self.numbers, patient=self.journal.patient)

    def connected(self) -> RawPeer:
        """A connection of the kind that this scanner has."""
        return RawPeer(self.site.tls_port if self._tls else self.site.plain_port, tls=self._tls)

    def store_anew(self) -> set[int] | None:
        """The same on an association of its own; ``None`` where that is refused, or the connection is."""
        try:
            with self.connected() as peer:
                answer = peer.associate(self.ae, contexts_for(CT_IMAGE))
                if answer is None or (
                    isinstance(answer, Received) and answer.pdu_type == PduType.ASSOCIATE_RJ
                ):
                    return None
                assert isinstance(answer, AssociateAccept), answer
                return self.store(peer)
        except DROPPED:
            return None


def require_sound(site: LiveSite, journal: FaultJournal) -> None:
    """By the true clock: the trail is a chain, its numbers go up by one, and every object is whole."""
    require_recorded(site, [journal])
    verified = leadglass(site.home, "audit", "verify")
    assert verified.exit_code == 0, verified
    numbers = [line.seq for line in site.audit(count=100_000)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    checked = leadglass(site.home, "check", "--json")
    assert checked.exit_code == 0, checked
    assert json.loads(checked.out)


def test_a_clock_that_jumps_under_a_server_loses_nothing(
    site: LiveSite, forks: ForkServer, clock: MovedClock, scanner: Scanner
) -> None:
    with site.forked(forks) as server:
        server.wait_for(r"^ready ", timeout_s=30)
        with scanner.connected() as standing:
            standing.open(scanner.ae, contexts_for(CT_IMAGE))
            for offset_s in JUMPS_S:
                clock.move(offset_s)
                expected = scanner.overdue if offset_s == TEN_YEARS_S else Status.SUCCESS
                assert scanner.store(standing) == {expected}, offset_s
                assert scanner.store_anew() == scanner.expected_anew(offset_s), offset_s
        assert scanner.journal.require(site) == len(scanner.journal.acknowledged)
        assert server.stop() == 0
        assert "Traceback" not in server.text(), server.text()
    require_sound(site, scanner.journal)


def test_a_server_started_with_a_wrong_clock_recovers_and_loses_nothing(
    site: LiveSite, forks: ForkServer, clock: MovedClock, scanner: Scanner
) -> None:
    for offset_s in JUMPS_S:
        clock.move(offset_s)
        with site.forked(forks) as server:
            server.wait_for(r"^ready ", timeout_s=30)
            assert scanner.store_anew() == scanner.expected_anew(offset_s), offset_s
            server.kill()
            assert "Traceback" not in server.text(), server.text()
    with site.forked(forks) as server:
        server.wait_for(r"^ready ", timeout_s=30)
        assert scanner.journal.require(site) == len(scanner.journal.acknowledged)
        assert server.stop() == 0
    require_sound(site, scanner.journal)
