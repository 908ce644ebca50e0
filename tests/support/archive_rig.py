"""An archive without a network: real gate, committer, index, segments and audit trail in a folder."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import Engine, text

from leadglass.archive.check import Checker
from leadglass.archive.committer import Committer
from leadglass.archive.ingest import Announced, Incoming, Ingest, IngestLimits
from leadglass.archive.jobs import Deliver, Done, StoreResult
from leadglass.archive.query import Finder
from leadglass.archive.recover import RecoveryRooms
from leadglass.archive.retrieve import Retriever
from leadglass.audit.read import AuditLine, Filters, after
from leadglass.audit.signing import Signer, create_signer
from leadglass.audit.trail import AuditTrail
from leadglass.dataset.convert import ConvertLimits
from leadglass.dataset.deidentify import Pseudonyms
from leadglass.dataset.header import HeaderLimits
from leadglass.dataset.inflate import InflateLimits
from leadglass.dataset.synthetic import PATIENTS, Modality, SyntheticInstance, synthetic_study
from leadglass.gate import Gate
from leadglass.index.engine import open_engine, reading
from leadglass.index.index import Index
from leadglass.index.migrate import migrate
from leadglass.model.action import SITE, Action, Verb
from leadglass.model.caller import LocalAdministrator, Peer, Transport
from leadglass.model.names import AETitle
from leadglass.model.permit import EVERYTHING, Permit, issue_permit
from leadglass.storage.local import LocalLimits, LocalSegmentStore
from leadglass.storage.mark import IndexMark
from tests.support.audit_rig import FakeClock
from tests.support.executors import InThisThread
from tests.support.policies import NOW, policy
from tests.support.storage import SITE_KEY, FailingDisk, KeyRing, SteppingClock

WAIT_S = 20.0

POLICY = """
version = 1
[zones]
legacy = { cidr = ["127.0.0.0/8"], transport = "plain", review_by = 2027-01-31 }
[devices]
ct1 = { zone = "legacy", ae = ["CT1"], ip = "127.0.0.1", makes = ["CT"] }
ws1 = { zone = "legacy", ae = ["WS1"], ip = "127.0.0.1" }
dest = { zone = "legacy", ae = ["DEST"], ip = "127.0.0.1", makes = [], address = "127.0.0.1:11113" }
mute = { zone = "legacy", ae = ["MUTE"], ip = "127.0.0.1" }
[flows]
acquire = { from = ["ct1"], to = "archive", can = ["echo", "store"] }
read = { from = ["ws1"], to = "archive", can = ["echo", "find", "get", "move"] }
deliver = { from = ["archive"], to = "dest", can = ["store"] }
"""

CT1 = Peer("127.0.0.1", Transport.PLAIN, "legacy", None, "CT1", "NORTH")
WS1 = replace(CT1, calling_ae="WS1")

LIMITS = IngestLimits(
    HeaderLimits(max_depth=100, max_element_bytes=1 << 20, inflate=InflateLimits(200, 1 << 24)),
    in_memory_bytes=64 << 10,
    portion_bytes=32 << 10,
    header_bytes=256 << 10,
    in_flight_bytes=1 << 20,
)


def ct_images(count: int, seed: int = 1, *, rows: int = 16) -> list[SyntheticInstance]:
    """Images of one synthetic CT study, small ones."""
    return list(synthetic_study(seed, Modality.CT, PATIENTS[0], instances=count, rows=rows, columns=16))


class Told:
    """Takes one result, from whatever thread."""

    def __init__(self) -> None:
        self._results: list[StoreResult] = []
        self._came = threading.Event()

    def __call__(self, result: StoreResult) -> None:
        self._results.append(result)
        self._came.set()

    @property
    def any(self) -> bool:
        return self._came.is_set()

    def result(self) -> StoreResult:
        """The one result."""
        assert self._came.wait(WAIT_S), "nobody was told"
        assert len(self._results) == 1, "told twice"
        return self._results[0]


def tell(results: Sequence[tuple[Done, StoreResult]]) -> None:
    for done, result in results:
        done(result)


@dataclass
class ArchiveRig:
    """The rooms, and what tests do with them."""

    folder: Path
    engine: Engine
    disk: FailingDisk
    keys: KeyRing
    clock: FakeClock
    signer: Signer
    trail: AuditTrail
    store: LocalSegmentStore
    mark: IndexMark
    committer: Committer
    gate: Gate
    index: Index
    ingest: Ingest
    limits: IngestLimits = LIMITS
    max_answers: int = 1000
    started: bool = False
    _closed: bool = field(default=False, repr=False)

    def start(self) -> None:
        self.started = True
        self.committer.start()

    @property
    def finder(self) -> Finder:
        return Finder(self.gate, self.index, AETitle("NORTH"), self.max_answers)

    @property
    def retriever(self) -> Retriever:
        limits = ConvertLimits(100, InflateLimits(200, 1 << 24))
        return Retriever(self.gate, self.index, self.store, "NORTH", limits, Pseudonyms(bytes(32)))

    @property
    def recovery(self) -> RecoveryRooms:
        return RecoveryRooms(self.index, self.engine, self.store, self.mark)

    @property
    def checker(self) -> Checker:
        checkpoints = self.folder / "audit.checkpoints"
        return Checker(self.index, self.store, self.engine, checkpoints, self.signer.public_key)

    def permit(self, verb: Verb) -> Permit:
        return self.gate.permit(LocalAdministrator("tester"), Action(verb, SITE))

    def permit_for_counting(self) -> Permit:
        """One that is not recorded: for when the committer has ended."""
        return issue_permit(
            LocalAdministrator("tester"), Action(Verb.CHECK, SITE), EVERYTHING, who="tester", rule="test"
        )

    def incoming(self, item: SyntheticInstance, peer: Peer = CT1) -> Incoming:
        announced = Announced(peer, "a1", item.sop_class, item.sop_instance, item.transfer_syntax)
        return self.ingest.begin(announced, lambda: None)

    def submit(self, item: SyntheticInstance, *, step_bytes: int = 16 << 10, peer: Peer = CT1) -> Told:
        """Send an object in fragments; the result comes when the committer is through with it."""
        incoming, told = self.incoming(item, peer), Told()
        for start in range(0, len(item.dataset), step_bytes):
            incoming.fragment(item.dataset[start : start + step_bytes])
        incoming.finish(told)
        return told

    def stored(self, items: Sequence[SyntheticInstance]) -> list[StoreResult]:
        told = [self.submit(item) for item in items]
        return [one.result() for one in told]

    def audit(self, kind: str | None = None) -> list[AuditLine]:
        with reading(self.engine).connect() as connection:
            return list(after(connection, 0, Filters(kind=kind)))

    def sql(self, statement: str, **values: str | int) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    @contextmanager
    def without_table(self, table: str) -> Iterator[None]:
        """The database fails at whatever needs the table."""
        self.sql(f"ALTER TABLE {table} RENAME TO taken_away")
        yield
        self.sql(f"ALTER TABLE taken_away RENAME TO {table}")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self.started:
                self.committer.stop()
            self.store.close()
            self.mark.close()
            self.engine.dispose()


@contextmanager
def archive_rig(
    folder: Path,
    *,
    policy_text: str = POLICY,
    limits: IngestLimits = LIMITS,
    segment_bytes: int = 1 << 20,
    deliver: Deliver = tell,
) -> Iterator[ArchiveRig]:
    """An archive whose committer is not started yet: what is submitted before is one batch."""
    folder.mkdir(parents=True, exist_ok=True)
    engine = open_engine(str(folder / "index.db"), bytes(range(32)))
    migrate(engine)
    clock, disk, keys = FakeClock(time=NOW), FailingDisk(), KeyRing(SITE_KEY)
    signer_path = folder / "audit.key"
    signer = create_signer(signer_path)
    trail = AuditTrail("NORTH", clock, signer, folder / "audit.checkpoints")
    store = LocalSegmentStore(
        folder / "segments",
        keys,
        SteppingClock(),
        os.urandom,
        filesystem=disk,
        limits=LocalLimits(segment_bytes, 4, 16 << 10),
    )
    mark = IndexMark(folder / "segments", disk, clock)
    committer = Committer(store, mark, keys, engine, trail, clock, os.urandom, deliver)
    gate = Gate(policy(policy_text), committer, clock)
    ingest = Ingest(gate, store, committer, os.urandom, limits, InThisThread())
    rig = ArchiveRig(
        folder,
        engine,
        disk,
        keys,
        clock,
        signer,
        trail,
        store,
        mark,
        committer,
        gate,
        Index(engine),
        ingest,
        limits,
    )
    try:
        yield rig
    finally:
        rig.close()
