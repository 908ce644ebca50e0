"""The matrix of the sample hospital over real associations: what the server does is what the policy says.

pynetdicom is each device in turn, from its own address, over each transport of DICOM, with its certificate.
It proposes every service, and performs what is accepted, for every modality.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from tests.support.hospital import (
    DELIVER,
    MODALITIES,
    VERBS,
    HospitalCell,
    cells,
    naive_answer,
    policy_text,
    tables,
)
from tests.support.ports import LOOPBACK, free_port
from tests.support.site import ARCHIVE_AE, Credentials, LiveSite, make_site

SUCCESS, NOT_AUTHORIZED, MOVE_DESTINATION_UNKNOWN = 0x0000, 0x0124, 0xA801
NOT_YET = frozenset({"worklist", "mpps", "commit"})
"""Permitted perhaps, but no service of this server yet: refused at negotiation."""
CONTEXTS = {
    "echo": Verification,
    "store": CTImageStorage,
    "find": StudyRootQueryRetrieveInformationModelFind,
    "get": StudyRootQueryRetrieveInformationModelGet,
    "move": StudyRootQueryRetrieveInformationModelMove,
    "worklist": ModalityWorklistInformationFind,
    "mpps": ModalityPerformedProcedureStep,
    "commit": StorageCommitmentPushModel,
}
WIRE = ("mtls", "plain")
ETH_P_IP: Final = 0x0800  # linux/if_ether.h


def study_of(modality: str) -> str:
    return f"1.2.826.0.1.3680043.10.1469.90.{MODALITIES.index(modality) + 1}"


@dataclass(frozen=True, slots=True)
class Hospital:
    """The served site, everybody's certificate, where ``pacs`` listens, and who called it."""

    site: LiveSite
    certificates: Mapping[str, Credentials]
    policy: Mapping[str, Any]
    pacs_port: int
    pacs_calls: list[str]

    @contextmanager
    def association(
        self, device: str, transport: str, *, ae: str = "", address: str = "", roles: Sequence[str] = ()
    ) -> Iterator[Association | None]:
        """As a device; ``None`` where it is not let in. ``roles``: classes that may be sent to it here."""
        known = self.policy["devices"][device]
        entity = AE(ae_title=ae or known["ae"][0])
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
        for context in CONTEXTS.values():
            entity.add_requested_context(context)
        came: list[str] = []

        def keep(event: evt.Event) -> int:
            came.append(event.dataset.Modality)
            return SUCCESS

        association = entity.associate(
            LOOPBACK,
            self.site.tls_port if transport == "mtls" else self.site.plain_port,
            ae_title=ARCHIVE_AE,
            bind_address=(address or known["ip"], 0),
            ext_neg=[build_role(sop_class, scp_role=True) for sop_class in roles],
            evt_handlers=[(evt.EVT_C_STORE, keep)],
            tls_args=self._tls(device) if transport == "mtls" else None,
        )
        association.came = came  # type: ignore[attr-defined]
        try:
            yield association if association.is_established else None
        finally:
            if association.is_established:
                association.release()

    def _tls(self, device: str) -> tuple[ssl.SSLContext, str]:
        credentials = self.certificates[device]
        context = ssl.create_default_context(cafile=str(credentials.ca))
        context.load_cert_chain(credentials.cert, credentials.key)
        return context, LOOPBACK


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    site = make_site(tmp_path_factory.mktemp("hospital"))
    port = free_port()
    policy = tables(port)
    certificates = {
        name: site.add_device(name, "modalities", device["ae"][0])
        for name, device in policy["devices"].items()
    }
    (site.home / "policy.toml").write_text(policy_text(port), encoding="utf-8")
    with site.served() as server:
        calls: list[str] = []
        made = Hospital(site, certificates, policy, port, calls)
        with made.association("loader", "mtls") as loader:
            assert loader is not None
            for modality in MODALITIES:
                assert loader.send_c_store(image(modality, "loaded")).Status == SUCCESS
        with pacs(port, calls):
            yield made
        assert server.stop() == 0, server.text()


@contextmanager
def pacs(port: int, calls: list[str]) -> Iterator[None]:
    """The destination: takes everything, and remembers every connection."""
    entity = AE(ae_title="PACS")
    entity.add_supported_context(CTImageStorage)
    handlers: list[Any] = [
        (evt.EVT_CONN_OPEN, lambda event: calls.append(str(event.address))),
        (evt.EVT_C_STORE, lambda _event: SUCCESS),
    ]
    server = entity.start_server((LOOPBACK, port), block=False, evt_handlers=handlers)
    assert server is not None
    yield
    server.shutdown()


def syntaxes(association: Association) -> set[str]:
    """The abstract syntaxes that the server accepted."""
    return {str(context.abstract_syntax) for context in association.accepted_contexts}


def image(modality: str, by: str) -> Dataset:
    """A tiny image of a modality's study; ``by`` tells those of each device apart."""
    number = sum(by.encode()) * 100 + len(by)
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality = CTImageStorage, modality
    dataset.StudyInstanceUID = study_of(modality)
    dataset.SeriesInstanceUID = f"{study_of(modality)}.1"
    dataset.SOPInstanceUID = f"{study_of(modality)}.1.{number}"
    dataset.PatientID, dataset.PatientName = f"HOSP{modality}", "Test^Hospital"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20260101", "120000", ""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def of_study(modality: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", study_of(modality)
    return query


def got(hospital: Hospital, device: str, transport: str, modality: str) -> bool:
    """C-GET of a modality's study, on an association of its own; whether anything came."""
    with hospital.association(device, transport, roles=[CTImageStorage]) as association:
        assert association is not None
        responses = list(association.send_c_get(of_study(modality), CONTEXTS["get"]))
        assert responses[-1][0].Status == SUCCESS
        came: list[str] = association.came  # type: ignore[attr-defined]
        assert set(came) <= {modality}
        return bool(came)


def let_it_listen(association: Association) -> None:
    """Until pynetdicom's own loop runs again: begun sooner, an operation's answer may go to that loop."""
    deadline_s = time.monotonic() + 5
    while association._is_paused and time.monotonic() < deadline_s:
        time.sleep(0.001)


def done(association: Association, device: str, verb: str, modality: str) -> bool:
    """Perform one verb about one modality's study; whether the server did it."""
    if CONTEXTS[verb] not in syntaxes(association):
        return False
    assert verb not in NOT_YET
    let_it_listen(association)
    match verb:
        case "echo":
            return bool(association.send_c_echo().Status == SUCCESS)
        case "store":
            status = association.send_c_store(image(modality, device)).Status
            assert status in (SUCCESS, NOT_AUTHORIZED)
            return bool(status == SUCCESS)
        case "find":
            answers = list(association.send_c_find(of_study(modality), CONTEXTS["find"]))
            assert answers[-1][0].Status == SUCCESS
            return len(answers) == 2
        case _:
            responses = list(association.send_c_move(of_study(modality), "PACS", CONTEXTS["move"]))
            end = responses[-1][0]
            assert end.Status in (SUCCESS, NOT_AUTHORIZED)
            return bool(end.get("NumberOfCompletedSuboperations", 0))


def expected(hospital: Hospital, cell: HospitalCell) -> bool:
    """What the text says; a move needs the delivery as well, and some services do not exist yet."""
    if cell.verb in NOT_YET:
        return False
    allowed = naive_answer(hospital.policy, cell)
    if cell.verb == "move":
        delivery = HospitalCell("pacs", DELIVER, cell.modality, "plain")
        return allowed and naive_answer(hospital.policy, delivery)
    return allowed


@pytest.mark.parametrize("transport", WIRE)
def test_server_does_what_the_policy_says_cell_by_cell(hospital: Hospital, transport: str) -> None:
    wrong = []
    seen = 0
    for device in hospital.policy["devices"]:
        with hospital.association(device, transport) as association:
            for verb in VERBS:
                for modality in MODALITIES:
                    did = association is not None and (
                        got(hospital, device, transport, modality)
                        if verb == "get" and CONTEXTS[verb] in syntaxes(association)
                        else done(association, device, verb, modality)
                    )
                    seen += did
                    cell = HospitalCell(device, verb, modality, transport)
                    if did is not expected(hospital, cell):
                        wrong.append((cell, did))
    assert wrong == []
    assert seen > 10


def test_every_cell_of_dicom_is_in_the_matrix(hospital: Hospital) -> None:
    wire = [each for each in cells(hospital.pacs_port) if each.transport in WIRE and each.verb in VERBS]
    assert len(wire) == 12 * len(VERBS) * len(MODALITIES) * len(WIRE)


def test_certificate_with_another_s_title_or_from_another_s_address_is_let_in_nowhere(
    hospital: Hospital,
) -> None:
    devices = hospital.policy["devices"]
    for name, other in zip(devices, [*list(devices)[1:], next(iter(devices))], strict=True):
        for transport in WIRE:
            with hospital.association(name, transport, ae=devices[other]["ae"][0]) as association:
                assert association is None, (name, other, transport)
            with hospital.association(name, transport, address=devices[other]["ip"]) as association:
                assert association is None, (name, other, transport)


def test_address_without_a_device_is_let_in_nowhere(hospital: Hospital) -> None:
    for transport in WIRE:
        for address in ("127.0.1.99", "127.0.9.99", "127.0.77.1"):
            with hospital.association("loader", transport, address=address) as association:
                assert association is None


class Wire:
    """Counts what leaves for an address and port, packet by packet, below every listener."""

    def __init__(self) -> None:
        self._tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self._tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._tap.bind(("lo", 0))
        self._tap.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tap.close()

    def packets_to(self, address: str, port: int) -> int:
        """How many were seen since the last call; all others are forgotten."""
        wanted, count = socket.inet_aton(address), 0
        while True:
            try:
                packet = self._tap.recv(64)
            except BlockingIOError:
                return count
            header_bytes = (packet[0] & 0x0F) * 4
            is_tcp = packet[9] == socket.IPPROTO_TCP
            (to_port,) = struct.unpack_from(">H", packet, header_bytes + 2)
            count += is_tcp and packet[16:20] == wanted and to_port == port


@contextmanager
def listening(address: str, port: int) -> Iterator[socket.socket]:
    """A listener that takes nothing: any packet that opens a connection would make it readable."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        yield listener


def was_called(listener: socket.socket) -> bool:
    readable, _, _ = select.select([listener], [], [], 0.2)
    return bool(readable)


@pytest.mark.parametrize(
    ("title", "modality", "status"),
    [
        ("NOBODY", "CT", MOVE_DESTINATION_UNKNOWN),
        ("WS2", "CT", MOVE_DESTINATION_UNKNOWN),  # a device without an address
        ("WS1", "CT", NOT_AUTHORIZED),  # one that no flow sends to
        ("PACS", "US", NOT_AUTHORIZED),  # one that may have others
    ],
)
def test_move_to_where_nothing_may_go_sends_not_a_packet(
    hospital: Hospital, title: str, modality: str, status: int
) -> None:
    places = [("127.0.3.11", hospital.pacs_port), (LOOPBACK, hospital.pacs_port)]
    for place in places:
        with (
            Wire() as wire,
            listening("127.0.3.11", hospital.pacs_port) as ws1,
            hospital.association("ws2", "mtls") as asking,
        ):
            assert asking is not None
            before = len(hospital.pacs_calls)
            responses = list(asking.send_c_move(of_study(modality), title, CONTEXTS["move"]))
            assert [response.Status for response, _ in responses] == [status]
            assert not was_called(ws1)
            assert len(hospital.pacs_calls) == before
            assert wire.packets_to(*place) == 0


def test_listener_and_wire_would_have_noticed(hospital: Hospital) -> None:
    with (
        Wire() as wire,
        listening("127.0.3.11", hospital.pacs_port) as ws1,
        socket.create_connection(ws1.getsockname()),
    ):
        assert was_called(ws1)
        assert wire.packets_to(*ws1.getsockname()) >= 2  # SYN and ACK
    with Wire() as wire, hospital.association("ws2", "mtls") as asking:
        assert asking is not None
        end = list(asking.send_c_move(of_study("CT"), "PACS", CONTEXTS["move"]))[-1][0]
        assert end.NumberOfCompletedSuboperations > 0
        assert wire.packets_to(LOOPBACK, hospital.pacs_port) >= 2


def test_move_of_what_a_destination_may_have_in_part_sends_that_part(hospital: Hospital) -> None:
    with hospital.association("ws2", "mtls") as asking:
        assert asking is not None
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        query.StudyInstanceUID = [study_of("CT"), study_of("XA")]
        end = list(asking.send_c_move(query, "PACS", CONTEXTS["move"]))[-1][0]
    assert end.NumberOfCompletedSuboperations > 0
    assert end.NumberOfFailedSuboperations > 0
