"""Associations as their acceptor sees them, over real sockets of this process."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from leadglass.dataset.identifier import encode_identifier
from leadglass.dataset.synthetic import SyntheticInstance
from leadglass.model.caller import Transport
from leadglass.model.errors import PeerProtocolError
from leadglass.model.event import Outcome
from leadglass.model.names import Uid
from leadglass.model.query import Level
from leadglass.net.acceptor import Acceptor
from leadglass.net.slots import SlotLimits
from leadglass.protocol import commands as c
from leadglass.protocol.codec import encode
from leadglass.protocol.dimse import encode_command
from leadglass.protocol.events import (
    Aborted,
    AssociationRejected,
    Closed,
    ReleaseConfirmed,
)
from leadglass.protocol.pdu import PduType
from leadglass.protocol.reasons import (
    CALLED_AE_NOT_RECOGNIZED,
    CALLING_AE_NOT_RECOGNIZED,
    LOCAL_LIMIT_EXCEEDED,
    TEMPORARY_CONGESTION,
)
from leadglass.protocol.services import STUDY_ROOT_FIND, STUDY_ROOT_GET, VERIFICATION
from leadglass.protocol.status import Status
from tests.support.archive_rig import POLICY, ct_images
from tests.support.net_rig import (
    CT_IMAGE,
    EXPLICIT,
    IMPLICIT,
    NetRig,
    RawPeer,
    associate_request,
    net_rig,
    run,
    until,
)
from tests.support.policies import policy
from tests.support.storage import Call

STORE = [(CT_IMAGE, (EXPLICIT,))]
ECHO = [(VERIFICATION, (EXPLICIT,))]
IMAGES = ct_images(4)


def store_rq(item: SyntheticInstance, message_id: int = 1) -> c.CStoreRq:
    return c.CStoreRq(message_id, item.sop_class, item.sop_instance)


async def refused_peer(rig: NetRig, calling: str, called: str) -> AssociationRejected:
    peer = await RawPeer.connect(rig.port)
    peer.association.request(associate_request(calling, ECHO, called=called))
    peer.association.transport_connected()
    await peer.flush()
    event = await peer.next()
    assert isinstance(event, AssociationRejected)
    peer.close()
    return event


def test_an_echo_is_answered_and_all_is_recorded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", ECHO)
            assert rig.server.live == {"ct1": 1}
            await peer.send(1, c.CEchoRq(7, VERIFICATION))
            assert await peer.command() == c.CEchoRsp(7, 0, VERIFICATION)
            peer.association.release()
            await peer.flush()
            assert isinstance(await peer.next(), ReleaseConfirmed)
            peer.close()
            await until(lambda: not rig.acceptors)
            kinds = [line.event.kind for line in await rig.audit()]
            assert kinds == ["association.admitted", "operation.echo", "association.ended"]

    run(scenario())


@pytest.mark.parametrize(
    ("calling", "called", "reject"),
    [
        ("STRANGER", "NORTH", CALLING_AE_NOT_RECOGNIZED),
        ("STRANGER", "SOUTH", CALLING_AE_NOT_RECOGNIZED),
        ("CT1", "SOUTH", CALLED_AE_NOT_RECOGNIZED),
        ("MUTE", "NORTH", CALLING_AE_NOT_RECOGNIZED),
    ],
)
def test_a_refused_association_learns_the_standards_code_only(
    tmp_path: Path, calling: str, called: str, reject: object
) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            event = await refused_peer(rig, calling, called)
            assert event.reject == reject
            [line] = await rig.audit()
            assert (line.event.kind, line.event.outcome) == ("association.refused", Outcome.DENIED)
            assert line.event.ladder

    run(scenario())


def test_while_nothing_can_be_recorded_nobody_is_let_in(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", STORE)
            with rig.archive.without_table("audit_event"):
                await peer.send(1, store_rq(IMAGES[0]), IMAGES[0].dataset)
                response = await peer.command()
                assert isinstance(response, c.CStoreRsp)
                assert response.status == Status.OUT_OF_RESOURCES
                event = await refused_peer(rig, "CT1", "NORTH")
                assert event.reject == TEMPORARY_CONGESTION
            await rig.audit()
            await peer.send(1, store_rq(IMAGES[0], 2), IMAGES[0].dataset)
            assert (await peer.command()) == c.CStoreRsp(2, 0, CT_IMAGE, IMAGES[0].sop_instance)
            peer.close()

    run(scenario())


def test_a_device_at_its_limit_is_refused_for_now_and_keeps_no_other_device_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path, associations_per_device=2) as rig:
            one, other = [await rig.raw("CT1", ECHO) for _ in range(2)]
            for _ in range(3):
                event = await refused_peer(rig, "CT1", "NORTH")
                assert event.reject == LOCAL_LIMIT_EXCEEDED
            workstation = await rig.raw("WS1", ECHO)
            await workstation.send(1, c.CEchoRq(1, VERIFICATION))
            assert await workstation.command() == c.CEchoRsp(1, 0, VERIFICATION)
            assert rig.server.live == {"ct1": 2, "ws1": 1}
            one.close()
            await until(lambda: rig.server.live == {"ct1": 1, "ws1": 1})
            again = await rig.raw("CT1", ECHO)
            assert rig.server.live == {"ct1": 2, "ws1": 1}
            [line] = await rig.audit("association.refused")
            assert (line.event.who, line.event.outcome) == ("ct1", Outcome.DENIED)
            assert line.event.reason == "budget: ct1 has all 2 associations that a device may have at a time"
            for peer in (other, workstation, again):
                peer.close()
            await until(lambda: not rig.server.live)

    run(scenario())


def test_an_application_context_of_another_protocol_is_refused_and_recorded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await RawPeer.connect(rig.port)
            request = encode(associate_request("CT1", ECHO))
            peer.write(request.replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9"))
            await peer.answered_with(PduType.ASSOCIATE_RJ)
            peer.close()
            await until(lambda: not rig.acceptors)
            [line] = await rig.audit()
            assert line.event.kind == "connection.refused"

    run(scenario())


def test_a_request_followed_by_nonsense_in_one_breath(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await RawPeer.connect(rig.port)
            peer.write(encode(associate_request("CT1", ECHO)) + b"\x99\0\0\0\0\0")
            await peer.answered_with(PduType.ABORT)
            peer.close()
            await until(lambda: not rig.acceptors)
            assert "association.admitted" not in [line.event.kind for line in await rig.audit()]

    run(scenario())


def test_stores_are_acknowledged_and_durable(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", STORE)
            for number, item in enumerate(IMAGES, start=1):
                await peer.send(1, store_rq(item, number), item.dataset)
                assert await peer.command() == c.CStoreRsp(number, 0, CT_IMAGE, item.sop_instance)
            peer.close()
            assert len(await rig.audit("instance.stored")) == len(IMAGES)

    run(scenario())


def test_a_window_of_stores_is_answered_each_by_its_id(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", STORE, window=4)
            for number, item in enumerate(IMAGES, start=1):
                await peer.send(1, store_rq(item, number), item.dataset)
            answers = [await peer.command() for _ in IMAGES]
            assert {answer.responding_to for answer in answers if isinstance(answer, c.CStoreRsp)} == {
                1,
                2,
                3,
                4,
            }
            peer.close()

    run(scenario())


def test_a_message_id_in_use_is_a_duplicate(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", STORE, window=4)
            first, second = IMAGES[:2]
            both = store_twice(peer, store_rq(first, 5), first.dataset, store_rq(second, 5), second.dataset)
            peer.write(both)
            answers = [await peer.command(), await peer.command()]
            statuses = {one.status for one in answers if isinstance(one, c.CStoreRsp)}
            assert statuses == {Status.SUCCESS, Status.DUPLICATE_INVOCATION}
            peer.close()
            assert len(await rig.audit("instance.stored")) == 1

    run(scenario())


def test_more_at_once_than_agreed_is_refused_and_the_rest_served(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", [*STORE, *ECHO])
            first, second = IMAGES[:2]
            peer.write(
                store_twice(peer, store_rq(first, 1), first.dataset, store_rq(second, 2), second.dataset)
            )
            answers = {}
            for _ in range(2):
                answer = await peer.command()
                assert isinstance(answer, c.CStoreRsp)
                answers[answer.responding_to] = answer.status
            assert answers == {1: Status.SUCCESS, 2: Status.OUT_OF_RESOURCES}
            await peer.send(3, c.CEchoRq(9, VERIFICATION))
            assert await peer.command() == c.CEchoRsp(9, 0, VERIFICATION)
            peer.close()

    run(scenario())


def store_twice(peer: RawPeer, first: c.Command, one: bytes, second: c.Command, other: bytes) -> bytes:
    """Two messages in one breath, so that both arrive before either is answered."""
    peer.association.send_message(1, encode_command(first), [one])
    peer.association.send_message(1, encode_command(second), [other])
    return b"".join(peer.association.data_to_send())


N_REQUESTS: list[c.Request] = [
    c.NEventReportRq(1, VERIFICATION, Uid("1.2"), 1, has_dataset=False),
    c.NGetRq(1, VERIFICATION, Uid("1.2")),
    c.NSetRq(1, VERIFICATION, Uid("1.2")),
    c.NActionRq(1, VERIFICATION, Uid("1.2"), 1, has_dataset=True),
    c.NCreateRq(1, VERIFICATION, has_dataset=True),
    c.NDeleteRq(1, VERIFICATION, Uid("1.2")),
    c.CFindRq(1, VERIFICATION),
    c.CGetRq(1, VERIFICATION),
    c.CStoreRq(1, VERIFICATION, Uid("1.2")),
]


@pytest.mark.parametrize("request_", N_REQUESTS, ids=lambda request: type(request).__name__)
def test_what_no_service_does_is_unrecognized_and_the_association_lives(
    tmp_path: Path, request_: c.Request
) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", ECHO)
            await peer.send(1, request_, *([b"junk"] if request_.has_dataset else []))
            answer = await peer.command()
            assert isinstance(answer, c.Response)
            assert answer.status == Status.UNRECOGNIZED_OPERATION
            await peer.send(1, c.CEchoRq(2, VERIFICATION))
            assert await peer.command() == c.CEchoRsp(2, 0, VERIFICATION)
            peer.close()

    run(scenario())


@pytest.mark.parametrize("request_", [c.CEchoRq(1, Uid("1.2.3")), store_rq(IMAGES[0])])
def test_a_class_that_is_not_the_contexts_is_refused(tmp_path: Path, request_: c.Request) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", ECHO)
            await peer.send(1, request_, *([b"junk"] if request_.has_dataset else []))
            answer = await peer.command()
            assert isinstance(answer, c.Response)
            assert answer.status == Status.SOP_CLASS_NOT_SUPPORTED
            peer.close()

    run(scenario())


def test_a_response_that_nobody_asked_for_is_dropped(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", ECHO)
            await peer.send(1, c.CEchoRsp(99, 0, VERIFICATION))
            await peer.send(1, c.CFindRsp(99, Status.PENDING, has_dataset=True), b"answer")
            await peer.send(1, c.CCancelRq(99))
            await peer.send(1, c.CEchoRq(2, VERIFICATION))
            assert await peer.command() == c.CEchoRsp(2, 0, VERIFICATION)
            peer.close()

    run(scenario())


def test_a_response_without_end_is_cut_off(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", ECHO)
            conversation = rig.acceptors[0].conversation
            replies = conversation.expect(99)
            with pytest.raises(PeerProtocolError):  # noqa: PT012  the last of many
                conversation.take_response(1, c.CFindRsp(99, Status.PENDING, has_dataset=True))
                for _ in range(20):
                    conversation.take_fragment(bytes(1 << 20), is_last=False)
            replies.close()
            peer.close()

    run(scenario())


@pytest.mark.parametrize(
    ("break_off", "reason"),
    [
        (RawPeer.close, "aborted"),
        (RawPeer.reset, "aborted"),
    ],
)
def test_a_half_sent_object_is_forgotten_when_the_peer_vanishes(
    tmp_path: Path, break_off: Callable[[RawPeer], None], reason: str
) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", STORE)
            await peer.send_part(1, store_rq(IMAGES[0]), IMAGES[0].dataset[:1000])
            await until(lambda: rig.archive.ingest.budget.held_bytes == 1000)
            break_off(peer)
            await until(lambda: not rig.acceptors)
            assert rig.archive.ingest.budget.held_bytes == 0
            last = (await rig.audit())[-1].event
            assert (last.kind, last.reason) == ("association.ended", reason)

    run(scenario())


def test_a_release_in_the_middle_of_an_object_is_granted_and_the_object_forgotten(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", STORE)
            await peer.send_part(1, store_rq(IMAGES[0]), IMAGES[0].dataset[:1000])
            peer.write(bytes([PduType.RELEASE_RQ, 0, 0, 0, 0, 4, 0, 0, 0, 0]))
            await peer.answered_with(PduType.RELEASE_RP)
            peer.close()
            await until(lambda: not rig.acceptors)
            assert rig.archive.ingest.budget.held_bytes == 0

    run(scenario())


def test_a_release_waits_for_the_stores_under_way(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", STORE, window=4)
            for number, item in enumerate(IMAGES, start=1):
                await peer.send(1, store_rq(item, number), item.dataset)
            peer.association.release()
            await peer.flush()
            events = [await peer.next() for _ in range(len(IMAGES) + 1)]
            assert isinstance(events[-1], ReleaseConfirmed)
            peer.close()
            assert len(await rig.audit("instance.stored")) == len(IMAGES)

    run(scenario())


def test_an_abort_by_the_peer_ends_the_association(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", STORE, window=4)
            for number, item in enumerate(IMAGES, start=1):
                await peer.send(1, store_rq(item, number), item.dataset)
            peer.association.abort()
            await peer.flush()
            await until(lambda: not rig.acceptors)
            peer.close()
            kinds = [line.event.kind for line in await rig.audit()]
            assert kinds.count("association.ended") == 1
            assert rig.archive.ingest.budget.held_bytes == 0

    run(scenario())


def test_a_broken_protocol_is_aborted_and_recorded_with_its_ladder(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", STORE)
            peer.write(bytes([PduType.P_DATA_TF, 0, 0xFF, 0xFF, 0xFF, 0xFF]))
            assert isinstance(await peer.next(), Aborted)
            assert isinstance(await peer.next(), Closed)
            peer.close()
            await until(lambda: not rig.acceptors)
            [line] = await rig.audit("association.aborted")
            assert line.event.ladder

    run(scenario())


def test_a_store_that_is_refused_says_so_and_the_next_one_is_served(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", STORE)
            for number, (dataset, status) in enumerate(
                [
                    (b"\xff" * 64, Status.CANNOT_UNDERSTAND),
                    (IMAGES[1].dataset, Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS),
                    (IMAGES[0].dataset.replace(b"CS\x02\0CT", b"CS\x02\0MR"), Status.NOT_AUTHORIZED),
                    (IMAGES[0].dataset, Status.SUCCESS),
                ],
                start=1,
            ):
                await peer.send(1, store_rq(IMAGES[0], number), dataset)
                answer = await peer.command()
                assert isinstance(answer, c.CStoreRsp)
                assert answer.status == status
            peer.close()

    run(scenario())


def test_a_large_refused_object_is_read_to_its_end_and_answered_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", STORE)
            await peer.send(1, store_rq(IMAGES[0]), b"\xff" * 3_000_000)
            answer = await peer.command()
            assert isinstance(answer, c.CStoreRsp)
            assert answer.status == Status.CANNOT_UNDERSTAND
            await peer.send(1, store_rq(IMAGES[0], 2), IMAGES[0].dataset)
            assert await peer.command() == c.CStoreRsp(2, 0, CT_IMAGE, IMAGES[0].sop_instance)
            peer.close()

    run(scenario())


def test_a_full_disk_answers_out_of_resources(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            rig.archive.disk.failures.append((Call.PWRITEV, errno.ENOSPC))
            peer = await rig.raw("CT1", STORE)
            for number, status in enumerate((Status.OUT_OF_RESOURCES, Status.SUCCESS), start=1):
                await peer.send(1, store_rq(IMAGES[0], number), IMAGES[0].dataset)
                answer = await peer.command()
                assert isinstance(answer, c.CStoreRsp)
                assert answer.status == status
            peer.close()

    run(scenario())


def test_a_changed_policy_cuts_a_live_association(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", ECHO)
            rig.server.recheck(lambda facts: facts)
            await peer.send(1, c.CEchoRq(1, VERIFICATION))
            assert await peer.command() == c.CEchoRsp(1, 0, VERIFICATION)
            rig.archive.gate.replace_policy(policy("version = 1"))
            rig.server.recheck(lambda facts: facts)
            rig.server.recheck(lambda facts: facts)
            assert isinstance(await peer.next(), Aborted)
            peer.close()
            [line] = await rig.audit("association.cut")
            assert line.event.outcome is Outcome.DENIED
            assert line.event.ladder

    run(scenario())


def test_a_permission_taken_away_refuses_the_next_operation(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", [*ECHO, *STORE])
            rig.archive.gate.replace_policy(
                policy(POLICY.replace('can = ["echo", "store"]', 'can = ["store"]'))
            )
            await peer.send(1, c.CEchoRq(1, VERIFICATION))
            assert await peer.command() == c.CEchoRsp(1, Status.NOT_AUTHORIZED, VERIFICATION)
            peer.close()

    run(scenario())


def test_what_a_device_may_never_do_is_refused_at_negotiation(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await RawPeer.connect(rig.port)
            accepted = await peer.associate(
                associate_request("CT1", [*STORE, (STUDY_ROOT_FIND, (IMPLICIT,))])
            )
            assert set(accepted.outcome.contexts) == {1}
            [line] = await rig.audit("operation.find")
            assert line.event.outcome is Outcome.DENIED
            peer.close()

    run(scenario())


def test_the_oldest_silent_connection_of_an_address_gives_way(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path, slots=SlotLimits(2, 10, 0)) as rig:
            silent = [await RawPeer.connect(rig.port) for _ in range(4)]
            await silent[0].closed()
            await silent[1].closed()
            assert rig.server.waiting == 2
            peer = await rig.raw("CT1", ECHO)
            assert rig.server.waiting == 1
            for one in (*silent, peer):
                one.close()
            reasons = [line.event.reason for line in await rig.audit("connection.refused")]
            assert any("its place was needed" in reason for reason in reasons)

    run(scenario())


def test_a_newcomer_of_a_zone_takes_the_place_of_whoever_waited_longest(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path, slots=SlotLimits(10, 1, 0)) as rig:
            silent = await RawPeer.connect(rig.port)
            await until(lambda: rig.server.waiting == 1)
            peer = await rig.raw("CT1", ECHO)
            await silent.closed()
            silent.close()
            peer.close()
            [line] = await rig.audit("connection.refused")
            assert "its place was needed: all places are taken" in line.event.reason

    run(scenario())


def test_without_a_free_slot_a_stranger_is_closed_and_recorded(tmp_path: Path) -> None:
    elsewhere = POLICY.replace("127.0.0.", "10.0.0.")

    async def scenario() -> None:
        async with net_rig(tmp_path, policy_text=elsewhere, slots=SlotLimits(10, 1, 0)) as rig:
            first = await RawPeer.connect(rig.port)
            await until(lambda: rig.server.waiting == 1)
            second = await RawPeer.connect(rig.port)
            await second.closed()
            first.close()
            second.close()
            [line] = await rig.audit("connection.refused")
            assert "no free slot" in line.event.reason

    run(scenario())


def test_drain_lets_requests_finish_and_ends_the_rest(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            idle = await rig.raw("CT1", ECHO)
            silent = await RawPeer.connect(rig.port)
            busy = await rig.raw("CT1", STORE)
            await busy.send(1, store_rq(IMAGES[0]), IMAGES[0].dataset)
            await until(lambda: any(acceptor.busy for acceptor in rig.acceptors))
            await rig.server.drain(20)
            assert await busy.command() == c.CStoreRsp(1, 0, CT_IMAGE, IMAGES[0].sop_instance)
            assert isinstance(await idle.next(), Aborted)
            await silent.closed()
            for peer in (idle, silent, busy):
                peer.close()

    run(scenario())


def test_drain_does_not_wait_for_ever(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", STORE)
            await peer.send_part(1, store_rq(IMAGES[0]), IMAGES[0].dataset[:1000])
            await until(lambda: any(acceptor.busy for acceptor in rig.acceptors))
            await rig.server.drain(0)
            assert isinstance(await peer.next(), Aborted)
            peer.close()

    run(scenario())


def test_an_operation_that_breaks_ends_its_association(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("CT1", ECHO)

            async def bug() -> None:
                raise KeyError("a bug")

            rig.acceptors[0].spawn(bug())
            assert isinstance(await peer.next(), Aborted)
            peer.close()

    run(scenario())


def test_before_an_association_there_is_no_peer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            acceptor = Acceptor(rig.hosting, rig.server, "legacy", Transport.PLAIN, "a0")
            with pytest.raises(PeerProtocolError):
                _ = acceptor.peer
            with pytest.raises(PeerProtocolError):
                _ = acceptor.conversation
            acceptor.recheck(None)
            acceptor.evict("it waited longest")
            acceptor.abort()
            assert acceptor.connection is None

    run(scenario())


def test_a_query_without_identifier_bytes_is_refused_by_its_size(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with net_rig(tmp_path) as rig:
            peer = await rig.raw("WS1", [(STUDY_ROOT_FIND, (EXPLICIT,)), (STUDY_ROOT_GET, (EXPLICIT,))])
            await peer.send(1, c.CFindRq(1, STUDY_ROOT_FIND), bytes((1 << 20) + 2))
            answer = await peer.command()
            assert isinstance(answer, c.CFindRsp)
            assert answer.status == Status.OUT_OF_RESOURCES
            await peer.send(3, c.CGetRq(1, STUDY_ROOT_GET), bytes((1 << 20) + 2))
            got = await peer.command()
            assert isinstance(got, c.CGetRsp)
            assert got.status == Status.OUT_OF_RESOURCES
            await peer.send(
                1,
                c.CFindRq(1, STUDY_ROOT_FIND),
                encode_identifier(Level.STUDY, [("StudyInstanceUID", "")], EXPLICIT),
            )
            answer = await peer.command()
            assert isinstance(answer, c.CFindRsp)
            assert answer.status == Status.SUCCESS
            peer.close()

    run(scenario())
