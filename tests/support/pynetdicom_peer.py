"""pynetdicom as a device: a user of every service, and a destination."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association

from leadglass.protocol.services import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from tests.support.ports import LOOPBACK
from tests.support.site import Credentials
from tests.support.studies import Study

SUCCESS = 0x0000
CLASSES = (CTImageStorage, MRImageStorage)
DEFAULT_PDU_BYTES = 16382


@dataclass(slots=True)
class Retrieved:
    """The responses to a C-GET or C-MOVE, the last one's failed list, and what came."""

    responses: list[Dataset] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    came: list[Dataset] = field(default_factory=list)

    @property
    def end(self) -> Dataset:
        return self.responses[-1]

    @property
    def uids(self) -> list[str]:
        """Of what came, sorted."""
        return sorted(str(dataset.SOPInstanceUID) for dataset in self.came)

    def counts(self) -> list[tuple[int, int | None, int]]:
        """Status, remaining and completed of each response."""
        return [
            (
                one.Status,
                one.get("NumberOfRemainingSuboperations"),
                one.get("NumberOfCompletedSuboperations"),
            )
            for one in self.responses
        ]

    def read(self, responses: Iterable[tuple[Dataset, Dataset | None]]) -> None:
        """Take them all."""
        for status, identifier in responses:
            self.responses.append(status)
            if identifier is not None and "FailedSOPInstanceUIDList" in identifier:
                uids = identifier.FailedSOPInstanceUIDList
                self.failed = sorted([uids] if isinstance(uids, str) else uids)


@dataclass(frozen=True, slots=True)
class Pynetdicom:
    """A device that is pynetdicom; over mutual TLS with credentials."""

    port: int
    calling: str
    called: str
    credentials: Credentials | None = None

    @contextmanager
    def association(
        self,
        contexts: Sequence[str],
        *,
        transfer_syntax: str | None = None,
        items: Sequence[Any] = (),
        handlers: Sequence[Any] = (),
        max_pdu_bytes: int = DEFAULT_PDU_BYTES,
    ) -> Iterator[Association]:
        """An association that must be accepted, and that must end in order."""
        entity = AE(ae_title=self.calling)
        for context in contexts:
            entity.add_requested_context(context, transfer_syntax)
        association = entity.associate(
            LOOPBACK,
            self.port,
            ae_title=self.called,
            ext_neg=list(items),
            evt_handlers=list(handlers),
            max_pdu=max_pdu_bytes,
            tls_args=self._tls(),
        )
        assert association.is_established
        yield association
        association.release()
        assert association.is_released

    def get(
        self,
        query: Dataset,
        model: str = STUDY_ROOT_GET,
        *,
        classes: Sequence[str] = CLASSES,
        answers: Mapping[str, int] | None = None,
        items: Sequence[Any] = (),
        transfer_syntax: str | None = None,
        max_pdu_bytes: int = DEFAULT_PDU_BYTES,
    ) -> Retrieved:
        """C-GET of these classes. ``answers`` are statuses for single instances; success is usual."""
        retrieved = Retrieved()

        def store(event: evt.Event) -> int:
            dataset = event.dataset
            retrieved.came.append(dataset)
            return (answers or {}).get(str(dataset.SOPInstanceUID), SUCCESS)

        roles = [build_role(sop_class, scp_role=True) for sop_class in classes]
        with self.association(
            [model, *classes],
            transfer_syntax=transfer_syntax,
            items=[*roles, *items],
            handlers=[(evt.EVT_C_STORE, store)],
            max_pdu_bytes=max_pdu_bytes,
        ) as association:
            retrieved.read(association.send_c_get(query, model))
        return retrieved

    def move(self, query: Dataset, destination: str) -> Retrieved:
        """C-MOVE to an AE title."""
        retrieved = Retrieved()
        with self.association([STUDY_ROOT_MOVE]) as association:
            retrieved.read(association.send_c_move(query, destination, STUDY_ROOT_MOVE))
        return retrieved

    def _tls(self) -> tuple[ssl.SSLContext, str] | None:
        if self.credentials is None:
            return None
        context = ssl.create_default_context(cafile=str(self.credentials.ca))
        context.load_cert_chain(self.credentials.cert, self.credentials.key)
        return context, LOOPBACK


@contextmanager
def destination(port: int, ae: str, refused: Sequence[str] = ()) -> Iterator[list[Dataset]]:
    """A listener in plaintext that takes everything but these instances; what it took."""
    received: list[Dataset] = []

    def store(event: evt.Event) -> int:
        dataset = event.dataset
        if dataset.SOPInstanceUID in refused:
            return 0xA700
        received.append(dataset)
        return SUCCESS

    entity = AE(ae_title=ae)
    for sop_class in CLASSES:
        entity.add_supported_context(sop_class)
    server = entity.start_server((LOOPBACK, port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    assert server is not None
    yield received
    server.shutdown()


def identifier(level: str, **keys: str) -> Dataset:
    """Of a query or retrieval, by keyword."""
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


def of_study(study: Study) -> Dataset:
    """All of a study."""
    return identifier("STUDY", StudyInstanceUID=study.uid)
