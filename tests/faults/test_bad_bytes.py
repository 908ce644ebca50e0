"""Connections that do not speak DICOM as they should: ended by the limits, said in the audit trail, and felt
by nobody else."""

from __future__ import annotations

import contextlib
import itertools
import struct
import time
from collections.abc import Iterator

import pytest

from leadglass.model.decision import Step
from leadglass.model.event import Outcome
from leadglass.model.names import Uid
from leadglass.protocol.codec import encode
from leadglass.protocol.commands import CEchoRq, CStoreRsp, NGetRq
from leadglass.protocol.pdu import Abort, PduType, ReleaseRequest
from leadglass.protocol.reasons import AbortReason, AbortSource
from leadglass.protocol.services import VERIFICATION
from leadglass.protocol.status import Status
from tests.support.hostile_data import CT_IMAGE, small
from tests.support.ports import LOOPBACK
from tests.support.raw_peer import (
    RawPeer,
    associate_request,
    contexts_for,
    message,
    store_message,
)
from tests.support.watched_site import WatchedSite, failed_rung, watched_site

LARGEST = 0xFFFFFFFF
PDU_HEADER = struct.Struct(">BxI")
LIMITS = {"associate_rq_s": 1, "pdu_s": 1, "idle_association_s": 3, "element_mib": 1}
SOON_S = 6.0
MEMORY_KIB = 16 * 1024
PIPELINED = 64
UNREAD_BYTES = 64 << 20
BLOCKED_S = 1.0
CONTEXTS = contexts_for(CT_IMAGE, VERIFICATION)
ECHO = message(3, CEchoRq(1, VERIFICATION))
UNSERVED = message(1, NGetRq(1, VERIFICATION, Uid("1.2.3")))
GARBAGE = b"\x2a" * 64
P_DATA_IN_STA3 = "P_DATA_TF received in Sta3"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedSite]:
    with watched_site(tmp_path_factory.mktemp("site"), LIMITS) as served:
        yield served


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def address(numbers: Iterator[int]) -> str:
    """An address that nobody else calls from, so that its audit lines are this test's."""
    return f"127.65.0.{next(numbers)}"


@pytest.fixture(autouse=True)
def _unharmed(site: WatchedSite) -> Iterator[None]:
    yield
    site.require_unharmed()


def associated(site: WatchedSite, address: str) -> RawPeer:
    """``ct1``, associated."""
    peer = RawPeer(site.site.tls_port, tls=site.ct1_tls, source=address, timeout_s=SOON_S)
    peer.open("CT1", CONTEXTS)
    return peer


def require_stopped(site: WatchedSite, kind: str, address: str, step: Step, detail: str) -> None:
    """The trail has a line of it, whose ladder ends there and says so."""
    event = site.line(kind, address=address, said=detail)
    assert event.outcome in {Outcome.DENIED, Outcome.FAILED}
    rung = failed_rung(event)
    assert (rung.step, rung.detail) == (step, event.reason)


@pytest.mark.parametrize("pdu_type", [PduType.ASSOCIATE_RQ, PduType.P_DATA_TF, PduType.ABORT])
def test_a_pdu_of_4_gib_at_the_door_costs_six_bytes(
    site: WatchedSite, address: str, pdu_type: PduType
) -> None:
    before = site.resident_kib()
    with RawPeer(site.site.plain_port, source=address, timeout_s=SOON_S) as peer:
        peer.send(PDU_HEADER.pack(pdu_type, LARGEST))
        assert peer.is_aborted()
    said = "received in Sta2" if pdu_type is PduType.P_DATA_TF else f"declares {LARGEST} bytes"
    require_stopped(site, "connection.refused", address, Step.TRANSPORT, said)
    assert site.resident_kib() - before < MEMORY_KIB


def test_a_pdu_of_4_gib_ends_an_association(site: WatchedSite, address: str) -> None:
    before = site.resident_kib()
    with associated(site, address) as peer:
        peer.send(PDU_HEADER.pack(PduType.P_DATA_TF, LARGEST), bytes(100_000))
        assert peer.is_aborted()
    said = f"P_DATA_TF declares {LARGEST} bytes, the limit is 1048576"
    require_stopped(site, "association.aborted", address, Step.VERB, said)
    assert site.resident_kib() - before < MEMORY_KIB


def test_half_a_request_then_silence_is_closed(site: WatchedSite, address: str) -> None:
    request = associate_request("CT1", CONTEXTS)
    with RawPeer(site.site.plain_port, source=address, timeout_s=SOON_S) as peer:
        peer.send(request[: len(request) // 2])
        assert peer.is_dropped()
    require_stopped(site, "connection.refused", address, Step.TRANSPORT, "no A-ASSOCIATE-RQ in time")


def test_a_request_that_drips_gains_no_time(site: WatchedSite, address: str) -> None:
    request = associate_request("CT1", CONTEXTS)
    with RawPeer(site.site.tls_port, tls=site.ct1_tls, source=address, timeout_s=0.1) as peer:
        for sent in range(len(request)):
            peer.send(request[sent : sent + 1])
            if peer.is_dropped():
                break
        assert sent < SOON_S / 0.1
    require_stopped(site, "connection.refused", address, Step.TRANSPORT, "no A-ASSOCIATE-RQ in time")


def test_a_handshake_that_never_begins_is_closed(site: WatchedSite, address: str) -> None:
    with RawPeer(site.site.tls_port, source=address, timeout_s=SOON_S) as peer:
        assert peer.is_dropped()
    require_stopped(site, "connection.refused", address, Step.TRANSPORT, "TLS handshake not finished in time")


def test_half_a_pdu_then_silence_ends_the_association(site: WatchedSite, address: str) -> None:
    with associated(site, address) as peer:
        peer.send(store_message(1, small(1))[:1000])
        assert peer.is_aborted()
    require_stopped(site, "association.aborted", address, Step.VERB, "a PDU not whole in time")


def test_an_idle_association_ends(site: WatchedSite, address: str) -> None:
    with associated(site, address) as peer:
        assert peer.is_aborted()
    require_stopped(site, "association.aborted", address, Step.VERB, "idle for too long")


def test_an_application_context_that_is_not_dicom_is_rejected(site: WatchedSite, address: str) -> None:
    request = associate_request("CT1", CONTEXTS).replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9")
    with RawPeer(site.site.tls_port, tls=site.ct1_tls, source=address) as peer:
        peer.send(request)
        answer = peer.receive()
        assert answer is not None
        assert answer.pdu_type == PduType.ASSOCIATE_RJ
    event = site.line("connection.refused", address=address)
    assert (event.calling_ae, failed_rung(event).step) == ("CT1", Step.TRANSPORT)


@pytest.mark.parametrize(
    ("breath", "kind", "step", "said"),
    [
        (associate_request("CT1", CONTEXTS) + ECHO, "connection.refused", Step.TRANSPORT, P_DATA_IN_STA3),
        (associate_request("CT1", CONTEXTS) + GARBAGE, "connection.refused", Step.TRANSPORT, "0x2a"),
    ],
    ids=["echo", "garbage"],
)
def test_a_request_that_does_not_wait_for_its_answer_is_broken_off(
    site: WatchedSite, address: str, breath: bytes, kind: str, step: Step, said: str
) -> None:
    with RawPeer(site.site.tls_port, tls=site.ct1_tls, source=address, timeout_s=SOON_S) as peer:
        peer.send(breath)
        assert peer.is_aborted()
    require_stopped(site, kind, address, step, said)


@pytest.mark.parametrize(
    "breath",
    [
        ECHO + encode(Abort(AbortSource.USER, AbortReason.NOT_SPECIFIED)),
        ECHO + GARBAGE,
        ECHO + encode(ReleaseRequest()) + GARBAGE,
        ECHO + encode(ReleaseRequest()) + ECHO,
        encode(ReleaseRequest()) + encode(ReleaseRequest()),
        encode(ReleaseRequest()) + encode(Abort(AbortSource.USER, AbortReason.NOT_SPECIFIED)),
        store_message(1, small(2)) + GARBAGE,
        store_message(1, small(3)) + encode(ReleaseRequest()) + encode(ReleaseRequest()),
        message(3, CEchoRq(1, VERIFICATION), b"not due"),
        message(1, CEchoRq(1, VERIFICATION)) + message(3, CEchoRq(1, VERIFICATION)) + GARBAGE,
    ],
    ids=range(10),
)
def test_a_request_and_a_violation_in_one_breath_harm_nobody(
    site: WatchedSite, address: str, breath: bytes
) -> None:
    with associated(site, address) as peer:
        peer.send(breath)
        assert peer.is_ended()
    site.line("association.ended", address=address)


def test_responses_that_nobody_waits_for_cost_nothing(site: WatchedSite, address: str) -> None:
    """A response whose data set comes in single bytes; no C-STORE-RSP has one, but a peer may say so."""
    with associated(site, address) as peer:
        peer.send(ECHO)
        assert peer.status() == Status.SUCCESS
        peer.send(message(3, CStoreRsp(7, Status.SUCCESS, VERIFICATION)), ECHO)
        assert peer.status() == Status.SUCCESS
        peer.release()


def test_requests_beyond_the_agreed_window_are_answered_and_none_is_lost(
    site: WatchedSite, address: str
) -> None:
    """No window was negotiated: one operation at a time. PS3.7 §D.3.3.3."""
    sent = [small(100 + number) for number in range(PIPELINED)]
    with associated(site, address) as peer:
        peer.send(*(store_message(1, instance, 1 + number) for number, instance in enumerate(sent)))
        responses = [peer.response() for _ in sent]
        assert peer.echo(3, 999) == Status.SUCCESS
        peer.release()
    assert sorted(response.responding_to for response in responses) == list(range(1, 1 + PIPELINED))
    stored = {
        sent[response.responding_to - 1].sop_instance
        for response in responses
        if response.status == Status.SUCCESS
    }
    refused = {response.status for response in responses} - {Status.SUCCESS}
    assert stored
    assert refused <= {Status.OUT_OF_RESOURCES}
    assert stored == {instance.sop_instance for instance in sent} & set(site.instances())


def test_a_peer_that_asks_and_never_listens_is_pushed_back(site: WatchedSite) -> None:
    """Answers that nobody takes must not pile up here: past a bound, no more is read either."""
    before = site.resident_kib()
    with RawPeer(site.site.plain_port, timeout_s=SOON_S, kernel_bytes=16 * 1024) as peer:
        peer.open("US1", contexts_for(VERIFICATION))
        sent_bytes = peer.send_until_blocked(UNSERVED * 1000, BLOCKED_S, UNREAD_BYTES)
        assert sent_bytes < UNREAD_BYTES
        assert site.resident_kib() - before < 2 * MEMORY_KIB
        peer.socket.settimeout(SOON_S)
        requests = sent_bytes // len(UNSERVED)
        answer = peer.receive()
        assert answer is not None
        rest = peer.receive_bytes((requests - 1) * (PDU_HEADER.size + len(answer.body)))
        assert rest is not None
        assert rest.count(answer.body) == requests - 1


def test_a_peer_that_never_listens_is_ended(site: WatchedSite) -> None:
    with RawPeer(site.site.plain_port, timeout_s=SOON_S, kernel_bytes=16 * 1024) as peer:
        peer.open("US1", contexts_for(VERIFICATION))
        with contextlib.suppress(ConnectionError):  # on a slow machine it may be ended before it is blocked
            peer.send_until_blocked(UNSERVED * 1000, BLOCKED_S, UNREAD_BYTES)
        require_stopped(
            site, "association.aborted", LOOPBACK, Step.VERB, "it does not take what is sent to it"
        )


def test_a_connection_that_is_reset_in_the_middle_of_an_object_leaves_nothing(
    site: WatchedSite, address: str
) -> None:
    instance = small(200)
    peer = associated(site, address)
    peer.send(store_message(1, instance)[:1500])
    peer.reset()
    event = site.line("association.ended", address=address)
    assert event.outcome is Outcome.DONE
    time.sleep(0.2)
    assert instance.sop_instance not in site.instances()
