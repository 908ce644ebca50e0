"""Put instances into the index, inside one transaction owned by the committer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import Connection, Engine, Text, bindparam, delete, func, insert, literal_column, select, text

from leadglass.dataset import tags
from leadglass.index.attributes import encode_attributes
from leadglass.index.driver import Driver, Statement, Values, insertion
from leadglass.index.entries import Conflict, ExistingInstance, NewInstance, Outcome, Placed, microseconds
from leadglass.index.failures import database_failures
from leadglass.index.folding import parse_integer, storable
from leadglass.index.lineage import Known, Lineage
from leadglass.index.lists import json_list
from leadglass.index.schema import instance, quarantine, study, study_label
from leadglass.index.verbs import MAY_ASK_EXISTENCE, MAY_DELETE, MAY_LABEL, MAY_WRITE, require
from leadglass.model.errors import NotPermitted
from leadglass.model.names import Uid
from leadglass.model.permit import Keeping, Permit
from leadglass.model.query import Level

ROWS_KNOWN: Final = 2_000  # from one transaction to the next; past that, all is forgotten

_WANTED: Final = func.json_each(bindparam("uids", type_=Text)).table_valued("value")
_FIND: Final = Statement(
    select(
        _WANTED.c.value,
        instance.c.sha256,
        instance.c.transfer_syntax,
        quarantine.c.sha256,
        quarantine.c.reason,
        quarantine.c.received_from,
    ).select_from(
        _WANTED.outerjoin(instance, instance.c.sop_instance == _WANTED.c.value).outerjoin(
            quarantine, quarantine.c.sop_instance == _WANTED.c.value
        )
    )
)
_LEARNED: Final = Statement(
    select(func.count(), func.coalesce(func.sum(quarantine.c.size_bytes), literal_column("0"))).where(
        quarantine.c.reason == bindparam("reason", type_=Text),
        quarantine.c.received_from == bindparam("sender", type_=Text),
    )
)
_INSERT_INSTANCE: Final = insertion(instance)
_INSERT_QUARANTINE: Final = insertion(quarantine)
_STUDY_ROW: Final = select(study.c.id).where(study.c.study_uid == bindparam("uid"))
# Another value than in this connection's last transaction: somebody else has committed since then.
_OTHERS_WROTE: Final = Statement(text("PRAGMA data_version"))


@dataclass(slots=True)
class _Found:
    """What the database holds under one SOP Instance UID."""

    stored: ExistingInstance | None = None
    quarantined: set[bytes] = field(default_factory=set)
    learned: set[tuple[str, bytes]] = field(default_factory=set)  # by whom it was sent, and its SHA-256

    def keep_apart(self, reason: str, sender: str, sha256: bytes) -> None:
        """Remember one that is in quarantine.

        What is there of somebody being learned does not keep the same out of the archive when it comes from
        somebody who may store it.
        """
        if reason == Conflict.LEARNED.name:
            self.learned.add((sender, sha256))
        else:
            self.quarantined.add(sha256)


class WriteTransaction:
    """One transaction on the index; all of it is durable when the ``with`` block ends, or none.

    Every method may raise what ``database_failures`` names; after that the block must raise too.
    """

    def __init__(self, connection: Connection, driver: Driver, known: Known) -> None:
        self._connection = connection
        self._driver = driver
        self._lineage = Lineage(driver, known)
        self._found: dict[Uid, _Found] = {}

    @property
    def connection(self) -> Connection:
        """The connection, for the audit rows that must commit with these."""
        return self._connection

    def existing(self, permit: Permit, sop_instances: Sequence[Uid]) -> dict[Uid, ExistingInstance]:
        """Which of these instances are stored, and with what content."""
        require(permit, MAY_ASK_EXISTENCE)
        self._look_up(sop_instances)
        known = ((uid, self._found[uid].stored) for uid in sop_instances)
        return {uid: stored for uid, stored in known if stored is not None}

    def quarantined(self, permit: Permit, sop_instances: Sequence[Uid]) -> frozenset[tuple[Uid, bytes]]:
        """Which contents (by SHA-256) of these instances are in quarantine already, for a contradiction.

        A device that repeats a conflicting object forever need not fill the disk.
        """
        require(permit, MAY_ASK_EXISTENCE)
        self._look_up(sop_instances)
        return frozenset((uid, sha256) for uid in sop_instances for sha256 in self._found[uid].quarantined)

    def learned(self, permit: Permit, sop_instance: Uid) -> frozenset[tuple[str, bytes]]:
        """Which contents of an instance are kept of those being learned: the sender, and the SHA-256."""
        require(permit, MAY_ASK_EXISTENCE)
        self._look_up([sop_instance])
        return frozenset(self._found[sop_instance].learned)

    def learned_from(self, permit: Permit, sender: str) -> tuple[int, int]:
        """How much is kept of one that is being learned: objects, and their bytes."""
        require(permit, MAY_ASK_EXISTENCE)
        [(objects, size_bytes)] = self._driver.rows(
            _LEARNED, {"reason": Conflict.LEARNED.name, "sender": sender}
        )
        return int(objects), int(size_bytes)

    def insert(self, permit: Permit, entry: NewInstance) -> Outcome:
        """``insert_many`` of one."""
        return self.insert_many([(permit, entry)])[0]

    def insert_many(self, arrivals: Sequence[tuple[Permit, NewInstance]]) -> list[Outcome]:
        """Store each instance that contradicts nothing; say for each, in order, what became of it.

        Two arrivals of one call may be the same instance. A conflict writes nothing: the original
        stays served, and the newcomer goes to ``quarantine``.

        Raises:
            NotPermitted: one of the permits is not for a store, or for quarantine alone; nothing is written.
        """
        for permit, _ in arrivals:
            require(permit, MAY_WRITE)
            if permit.keeping is not Keeping.SERVED:
                raise NotPermitted("a permit for quarantine does not serve here")
        return self._insert([(permit.site, entry) for permit, entry in arrivals])

    def put_back(self, permit: Permit, arrivals: Sequence[tuple[str, NewInstance]]) -> list[Outcome]:
        """As ``insert_many``, of instances out of the bin, each with the site it came from."""
        require(permit, MAY_DELETE)
        return self._insert(arrivals)

    def _insert(self, arrivals: Sequence[tuple[str, NewInstance]]) -> list[Outcome]:
        self._look_up([entry.record.sop_instance for _, entry in arrivals])
        self._lineage.load(entry.record for _, entry in arrivals)
        rows: list[Values] = []
        outcomes = [self._place(site, _storable_entry(entry), rows) for site, entry in arrivals]
        if rows:
            self._driver.run(_INSERT_INSTANCE, rows)
        self._lineage.flush()
        return outcomes

    def quarantine(self, permit: Permit, entry: NewInstance, reason: Conflict) -> None:
        """Keep an instance that may not be stored, unseen by every search and retrieval."""
        require(permit, MAY_WRITE)
        record = entry.record
        self._look_up([record.sop_instance])
        self._found[record.sop_instance].keep_apart(reason.name, entry.received_from, entry.sha256)
        row = {
            "reason": reason.name,
            "sop_instance": record.sop_instance,
            "sop_class": record.sop_class,
            "study_uid": record.study,
            "series_uid": record.series,
            "modality": storable(record.modality),
            "transfer_syntax": record.transfer_syntax,
            **_object_values(entry),
        }
        self._driver.run(_INSERT_QUARANTINE, [row])

    def label_study(self, permit: Permit, study_uid: Uid, label: str) -> bool:
        """Put a label on a study; whether there is such a study."""
        require(permit, MAY_LABEL)
        row = self._connection.execute(_STUDY_ROW, {"uid": study_uid}).scalar_one_or_none()
        if row is None:
            return False
        statement = insert(study_label).prefix_with("OR IGNORE", dialect="sqlite")
        self._connection.execute(statement, {"study": row, "label": label})
        return True

    def labels(self, permit: Permit, study_uid: Uid) -> frozenset[str]:
        """The labels that a study bears."""
        require(permit, MAY_LABEL)
        bears = select(study_label.c.label).join(study).where(study.c.study_uid == study_uid)
        return frozenset(self._connection.execute(bears).scalars())

    def unlabel_study(self, permit: Permit, study_uid: Uid, label: str) -> bool:
        """Take a label off a study; whether it bore it."""
        require(permit, MAY_LABEL)
        row = select(study.c.id).where(study.c.study_uid == study_uid).scalar_subquery()
        gone = delete(study_label).where(study_label.c.study == row, study_label.c.label == label)
        return self._connection.execute(gone).rowcount > 0

    def _look_up(self, sop_instances: Sequence[Uid]) -> None:
        unknown = sorted({uid for uid in sop_instances if uid not in self._found})
        if not unknown:
            return
        self._found.update((uid, _Found()) for uid in unknown)
        for uid, stored, transfer_syntax, quarantined, reason, sender in self._driver.rows(
            _FIND, {"uids": json_list(unknown)}
        ):
            found = self._found[uid]
            if stored is not None:
                found.stored = ExistingInstance(stored, Uid(transfer_syntax))
            if quarantined is not None:
                found.keep_apart(reason, sender, quarantined)

    def _place(self, site: str, entry: NewInstance, rows: list[Values]) -> Outcome:
        record = entry.record
        content = ExistingInstance(entry.sha256, record.transfer_syntax)
        found = self._found[record.sop_instance]
        if found.stored is not None:
            return Placed.ALREADY_STORED if found.stored == content else Conflict.DIFFERENT_CONTENT
        series_row = self._lineage.place(record, site)
        if isinstance(series_row, Conflict):
            return series_row
        found.stored = content
        rows.append(
            {
                "series": series_row,
                "sop_instance": record.sop_instance,
                "sop_class": record.sop_class,
                "transfer_syntax": record.transfer_syntax,
                "number": parse_integer(record.attributes.get(tags.INSTANCE_NUMBER, "")),
                "attributes": encode_attributes(Level.IMAGE, record.attributes),
                **_object_values(entry),
            }
        )
        return Placed.STORED


class Writer:
    """One transaction after another, for one thread at a time.

    Keeps what would cost each of them most: a connection, and what the last one learned of patients, studies
    and series. That is forgotten as soon as another connection, of this process or another, has
    committed, or a transaction of our own has not.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: tuple[Connection, Driver] | None = None
        self._known = Known()
        self._data_version = -1

    @contextmanager
    def transaction(self) -> Iterator[WriteTransaction]:
        """Begin IMMEDIATE; commit when the block ends, roll back when it raises.

        Raises:
            OutOfResources: the disk is full, another process holds the lock too long, an I/O error.
        """
        try:
            with database_failures():
                connection, driver = self._kept = self._kept or self._open()
                with connection.begin():
                    self._forget_if_stale(driver)
                    yield WriteTransaction(connection, driver, self._known)
        except BaseException:
            self.close()  # what was not committed is not known, and the connection may be broken
            raise

    def close(self) -> None:
        """Give the connection back. A later transaction takes another."""
        self._known.forget()
        if self._kept is not None:
            (connection, _), self._kept = self._kept, None
            connection.close()

    def _open(self) -> tuple[Connection, Driver]:
        connection = self._engine.connect()
        return connection, Driver(connection)

    def _forget_if_stale(self, driver: Driver) -> None:
        [(data_version,)] = driver.rows(_OTHERS_WROTE, {})
        if data_version != self._data_version or self._known.rows > ROWS_KNOWN:
            self._known.forget()
        self._data_version = data_version


@contextmanager
def write_transaction(engine: Engine) -> Iterator[WriteTransaction]:
    """A single transaction of a ``Writer``.

    Raises:
        OutOfResources: as ``Writer.transaction``.
    """
    with closing(Writer(engine)) as writer, writer.transaction() as transaction:
        yield transaction


def _object_values(entry: NewInstance) -> dict[str, str | int | bytearray | None]:
    return {
        "object_id": bytearray(entry.object_id),
        "segment": entry.location.segment,
        "offset": entry.location.offset,
        "length": entry.location.length,
        "size_bytes": entry.size_bytes,
        "sha256": bytearray(entry.sha256),
        "received_at_us": microseconds(entry.received_at),
        "received_from": entry.received_from,
    }


def _storable_entry(entry: NewInstance) -> NewInstance:
    """The entry with text the database can hold: one bad character must not sink a whole batch."""
    attributes, modality = entry.record.attributes, entry.record.modality
    try:
        "".join((modality, *attributes.values())).encode()
    except UnicodeEncodeError:
        cleaned = {tag: storable(value) for tag, value in attributes.items()}
        record = replace(entry.record, attributes=cleaned, modality=storable(modality))
        return replace(entry, record=record)
    return entry
