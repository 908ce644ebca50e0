"""Query and retrieve over the wire: answers, sub-operations, cancels and failures."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from leadglass.archive.query import ANSWERS_PER_CHUNK
from leadglass.archive.retrieve import Retrieval, Wanted
from leadglass.audit.read import AuditLine
from leadglass.dataset.identifier import decode_answer, encode_identifier
from leadglass.dataset.synthetic import PATIENTS, Modality, SyntheticInstance, synthetic_study
from leadglass.model.action import Verb
from leadglass.model.errors import MoveDestinationUnknown, OutOfResources
from leadglass.model.event import Outcome
from leadglass.model.names import AETitle, Uid
from leadglass.model.query import Level, Root
from leadglass.net.connection import MAX_UNHEARD_BYTES, WRITE_HIGH_WATER_BYTES, Connection
from leadglass.net.delivery import propose
from leadglass.net.scp.query import FindOperation
from leadglass.net.scp.retrieve import OBJECTS_PER_READ
from leadglass.net.scu import ReceivedObject
from leadglass.protocol import commands as c
from leadglass.protocol.events import Aborted, DatasetFragment
from leadglass.protocol.negotiation import NegotiatedContext
from leadglass.protocol.services import (
    PATIENT_ROOT_FIND,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from leadglass.protocol.status import SUBOPERATIONS_INCOMPLETE, Status
from tests.support.archive_rig import POLICY, WS1, ct_images
from tests.support.net_hosts import Host, Story, hosted
from tests.support.net_rig import CT_IMAGE, EXPLICIT, IMPLICIT, NetRig, net_rig, run, until
from tests.support.policies import policy
from tests.support.storage import Call

IMAGES = ct_images(3)
JPEG = Uid("1.2.840.10008.1.2.4.50")
FIND = [(STUDY_ROOT_FIND, (EXPLICIT,)), (PATIENT_ROOT_FIND, (EXPLICIT,))]
GET = [(STUDY_ROOT_GET, (EXPLICIT,)), (CT_IMAGE, (EXPLICIT,))]
MOVE = [(STUDY_ROOT_MOVE, (EXPLICIT,))]


def study_of(item: SyntheticInstance) -> str:
    elements = decode_answer(item.dataset, EXPLICIT)
    return next(one.text for one in elements if one.keyword == "StudyInstanceUID")


STUDY = study_of(IMAGES[0])


def study_key(_transfer_syntax: Uid = EXPLICIT) -> bytes:
    return encode_identifier(Level.STUDY, [("StudyInstanceUID", STUDY)], EXPLICIT)


@asynccontextmanager
async def full(
    folder: Path, images: list[SyntheticInstance], *, max_answers: int = 1000
) -> AsyncIterator[NetRig]:
    async with net_rig(folder, max_answers=max_answers) as rig:
        told = [rig.archive.submit(item) for item in images]
        await until(lambda: all(one.any for one in told))
        yield rig


@dataclass
class Came:
    item: c.CStoreRq
    status: int = 0
    content: bytearray = field(default_factory=bytearray)

    def fragment(self, fragment: bytes | memoryview) -> None:
        self.content += fragment

    def finish(self) -> int:
        return self.status

    def abandon(self) -> None:
        raise AssertionError("cut off")


class Basket:
    """Takes what a C-GET brings."""

    def __init__(self, *statuses: int) -> None:
        self.came: list[Came] = []
        self._statuses = iter(statuses)

    def __call__(self, request: c.CStoreRq, _context: NegotiatedContext) -> ReceivedObject:
        self.came.append(Came(request, next(self._statuses, 0)))
        return self.came[-1]


# Query.


def test_a_query_is_answered_at_every_root(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig, await rig.connect("WS1", FIND) as peer:
            for root, level, key in (
                (STUDY_ROOT_FIND, Level.STUDY, "StudyInstanceUID"),
                (PATIENT_ROOT_FIND, Level.PATIENT, "PatientID"),
            ):
                exchange = peer.find(root, partial(encode_identifier, level, [(key, "")]))
                statuses = [reply.command.status async for reply in exchange]
                assert statuses == [Status.PENDING, Status.SUCCESS]

    run(scenario())


def test_a_key_that_cannot_be_matched_is_said_with_each_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig, await rig.connect("WS1", FIND) as peer:
            keys = [("StudyInstanceUID", ""), ("WindowCenter", "40")]
            statuses = [
                reply.command.status
                async for reply in peer.find(
                    STUDY_ROOT_FIND, lambda syntax: encode_identifier(Level.STUDY, keys, syntax)
                )
            ]
            assert statuses == [Status.PENDING_OPTIONAL_KEYS_NOT_SUPPORTED, Status.SUCCESS]

    run(scenario())


def image_keys() -> bytes:
    series = next(
        one.text for one in decode_answer(IMAGES[0].dataset, EXPLICIT) if one.keyword == "SeriesInstanceUID"
    )
    keys = [("StudyInstanceUID", STUDY), ("SeriesInstanceUID", series), ("SOPInstanceUID", "")]
    return encode_identifier(Level.IMAGE, keys, EXPLICIT)


def test_too_many_answers_are_given_up_to_the_limit_and_then_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES, max_answers=2) as rig, await rig.connect("WS1", FIND) as peer:
            replies = [reply.command async for reply in peer.find(STUDY_ROOT_FIND, lambda _: image_keys())]
            assert [one.status for one in replies] == [
                Status.PENDING,
                Status.PENDING,
                Status.OUT_OF_RESOURCES,
            ]
            assert isinstance(replies[-1], c.CFindRsp)
            assert replies[-1].error_comment == OutOfResources.public_message
            [line] = await rig.audit("query.answered")
            assert (line.event.outcome, line.event.count) == (Outcome.FAILED, 2)

    run(scenario())


def test_a_query_that_is_not_permitted_or_not_understood_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            peer = await rig.raw("WS1", FIND)
            await peer.send(1, c.CFindRq(1, STUDY_ROOT_FIND), b"\xff" * 8)
            answer = await peer.command()
            assert isinstance(answer, c.CFindRsp)
            assert answer.status == Status.CANNOT_UNDERSTAND
            rig.archive.gate.replace_policy(policy("version = 1"))
            await peer.send(1, c.CFindRq(2, STUDY_ROOT_FIND), study_key())
            answer = await peer.command()
            assert isinstance(answer, c.CFindRsp)
            assert (answer.status, answer.error_comment) == (Status.NOT_AUTHORIZED, "Not permitted.")
            peer.close()

    run(scenario())


class Hold:
    """Holds the archive's threads until told, so that a peer can act in between."""

    def __init__(self, rig: NetRig) -> None:
        self._free = threading.Event()
        for _ in range(4):
            rig.hosting.executor.submit(self._free.wait, 20)

    def let_go(self) -> None:
        self._free.set()


def test_a_cancelled_query_ends_with_cancel(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            peer = await rig.raw("WS1", FIND)
            hold = Hold(rig)
            await peer.send(1, c.CFindRq(1, STUDY_ROOT_FIND), study_key())
            await peer.send(1, c.CCancelRq(1))
            await peer.send(1, c.CEchoRsp(55, 0))  # so that the cancel has been read
            await until(lambda: cancelled(rig))
            hold.let_go()
            answer = await peer.command()
            assert isinstance(answer, c.CFindRsp)
            assert answer.status == Status.CANCEL
            [line] = await rig.audit("query.answered")
            assert line.event.reason == "cancelled by the peer"
            peer.close()

    run(scenario())


def cancelled(rig: NetRig) -> bool:
    operations = [one for acceptor in rig.acceptors for one in acceptor._operations.values()]
    return any(isinstance(one, FindOperation) and one._stopped_by for one in operations)


def test_a_query_whose_asker_vanishes_stops(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            peer = await rig.raw("WS1", FIND)
            hold = Hold(rig)
            await peer.send(1, c.CFindRq(1, STUDY_ROOT_FIND), study_key())
            await until(lambda: any(acceptor.busy for acceptor in rig.acceptors))
            peer.reset()
            await until(lambda: not rig.acceptors)
            hold.let_go()
            lines: list[AuditLine] = []
            while not lines:
                lines = await rig.audit("query.answered")
            assert lines[0].event.reason == "the association ended"

    run(scenario())


def test_a_slow_reader_of_answers_holds_nothing_up_for_ever(tmp_path: Path) -> None:
    async def scenario() -> None:
        images = ct_images(ANSWERS_PER_CHUNK * 2 + 1, rows=1)
        async with full(tmp_path, images) as rig, await rig.connect("WS1", FIND) as peer:
            answers = [reply async for reply in peer.find(STUDY_ROOT_FIND, lambda _: image_keys())]
            assert len(answers) == len(images) + 1

    run(scenario())


# C-GET.


async def last_of_get(
    rig: NetRig, basket: Basket, contexts: Sequence[tuple[Uid, tuple[Uid, ...]]]
) -> c.CGetRsp:
    peer = await rig.connect("WS1", contexts, receive=basket, received=[CT_IMAGE])
    async with peer:
        replies = [reply.command async for reply in peer.get(STUDY_ROOT_GET, study_key)]
    last = replies[-1]
    assert isinstance(last, c.CGetRsp)
    remaining = [one.remaining for one in replies[:-1] if isinstance(one, c.CGetRsp)]
    assert remaining == sorted(remaining, key=lambda number: -(number or 0))
    return last


def test_a_study_comes_as_it_was_stored(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            basket = Basket()
            last = await last_of_get(rig, basket, GET)
            assert (last.status, last.completed, last.failed) == (Status.SUCCESS, 3, 0)
            assert [bytes(one.content) for one in basket.came] == [item.dataset for item in IMAGES]
            [line] = await rig.audit("retrieval.sent")
            assert (line.event.count, line.event.study, line.event.target) == (3, STUDY, "ws1")

    run(scenario())


def test_a_study_of_several_readings_comes_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        images = ct_images(2 * OBJECTS_PER_READ + 3, rows=4)
        async with full(tmp_path, images) as rig:
            basket = Basket()
            last = await last_of_get(rig, basket, GET)
            assert (last.status, last.completed, last.failed) == (Status.SUCCESS, len(images), 0)
            assert [bytes(one.content) for one in basket.came] == [item.dataset for item in images]

    run(scenario())


def test_a_peer_of_another_syntax_is_served_by_conversion(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            basket = Basket()
            last = await last_of_get(rig, basket, [GET[0], (CT_IMAGE, (IMPLICIT,))])
            assert last.status == Status.SUCCESS
            assert len(basket.came) == 3
            assert bytes(basket.came[0].content) != IMAGES[0].dataset

    run(scenario())


@pytest.mark.parametrize("contexts", [[GET[0], (CT_IMAGE, (JPEG,))], [GET[0]]])
def test_what_no_syntax_fits_fails_as_a_sub_operation_and_is_listed(
    tmp_path: Path, contexts: list[tuple[Uid, tuple[Uid, ...]]]
) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            peer = await rig.raw("WS1", contexts, received=[CT_IMAGE])
            await peer.send(1, c.CGetRq(1, STUDY_ROOT_GET), study_key())
            pending = [await peer.command() for _ in range(2)]
            assert all(isinstance(one, c.CGetRsp) and one.status == Status.PENDING for one in pending)
            last = await peer.command()
            assert isinstance(last, c.CGetRsp)
            assert (last.status, last.failed) == (Status.OUT_OF_RESOURCES_SUBOPERATIONS, 3)
            failed_list = await peer.next()
            assert isinstance(failed_list, DatasetFragment)
            elements = decode_answer(bytes(failed_list.fragment), EXPLICIT)
            assert elements[0].text.split("\\") == [item.sop_instance for item in IMAGES]
            peer.close()
            [line] = await rig.audit("retrieval.sent")
            assert (line.event.outcome, line.event.count) == (Outcome.FAILED, 3)

    run(scenario())


def test_refusals_and_warnings_of_the_receiver_are_counted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            basket = Basket(0, Status.COERCION_OF_DATA_ELEMENTS, Status.OUT_OF_RESOURCES)
            last = await last_of_get(rig, basket, GET)
            assert (last.status, last.completed, last.warning, last.failed) == (
                SUBOPERATIONS_INCOMPLETE,
                1,
                1,
                1,
            )

    run(scenario())


def test_a_damaged_object_fails_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            path = next((rig.archive.folder / "segments").iterdir())
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
            basket = Basket()
            last = await last_of_get(rig, basket, GET)
            assert (last.status, last.completed, last.failed) == (SUBOPERATIONS_INCOMPLETE, 2, 1)

    run(scenario())


def large_image() -> SyntheticInstance:
    """Many chunks: more than are read ahead."""
    return ct_images(1, 9, rows=8000)[0]


def test_damage_deep_in_an_object_ends_the_association_and_is_recorded(tmp_path: Path) -> None:
    async def scenario() -> None:
        image = large_image()
        async with full(tmp_path, [image]) as rig:
            path = next((rig.archive.folder / "segments").iterdir())
            content = bytearray(path.read_bytes())
            content[-100] ^= 1
            path.write_bytes(content)
            peer = await rig.raw("WS1", GET, received=[CT_IMAGE])
            key = encode_identifier(Level.STUDY, [("StudyInstanceUID", study_of(image))], EXPLICIT)
            await peer.send(1, c.CGetRq(1, STUDY_ROOT_GET), key)
            event = await peer.next()
            while not isinstance(event, Aborted):
                event = await peer.next()
            peer.close()
            await until(lambda: not rig.acceptors)
            [line] = await rig.audit("retrieval.sent")
            assert (line.event.outcome, line.event.count) == (Outcome.FAILED, 1)

    run(scenario())


def test_a_cancelled_get_says_what_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            peer = await rig.raw("WS1", GET, received=[CT_IMAGE])
            await peer.send(1, c.CGetRq(1, STUDY_ROOT_GET), study_key())
            first = await peer.command()
            assert isinstance(first, c.CStoreRq)
            await peer.send(1, c.CCancelRq(1))
            await peer.send(3, c.CStoreRsp(first.message_id, 0, CT_IMAGE, first.sop_instance))
            last = await peer.command()
            assert isinstance(last, c.CGetRsp)
            assert (last.status, last.remaining, last.completed) == (Status.CANCEL, 2, 1)
            peer.close()

    run(scenario())


def test_a_release_in_the_middle_of_a_get_ends_it_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            peer = await rig.raw("WS1", GET, received=[CT_IMAGE])
            await peer.send(1, c.CGetRq(1, STUDY_ROOT_GET), study_key())
            assert isinstance(await peer.command(), c.CStoreRq)
            peer.association.release()
            await peer.flush()
            last = await peer.command()
            assert isinstance(last, c.CGetRsp)
            assert last.failed == 3
            await until(lambda: not rig.acceptors[0].busy)
            peer.close()

    run(scenario())


def test_a_get_whose_receiver_vanishes_is_recorded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            peer = await rig.raw("WS1", GET, received=[CT_IMAGE])
            await peer.send(1, c.CGetRq(1, STUDY_ROOT_GET), study_key())
            assert isinstance(await peer.command(), c.CStoreRq)
            peer.reset()
            lines: list[AuditLine] = []
            while not lines:
                lines = await rig.audit("retrieval.sent")
            assert (lines[0].event.outcome, lines[0].event.count) == (Outcome.FAILED, 3)

    run(scenario())


def test_a_receiver_that_takes_nothing_keeps_no_server_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        [image] = synthetic_study(9, Modality.CT, PATIENTS[0], instances=1, rows=4096, columns=4096)
        async with full(tmp_path, [image]) as rig:
            peer = await rig.raw("WS1", GET, received=[CT_IMAGE])
            study = study_of(ct_images(1, 9)[0])  # the same one
            key = encode_identifier(Level.STUDY, [("StudyInstanceUID", study)], EXPLICIT)
            await peer.send(1, c.CGetRq(1, STUDY_ROOT_GET), key)
            connection = rig.acceptors[0].conversation.connection
            await until(lambda: not connection._can_write.is_set())
            await rig.server.drain(0)
            assert rig.acceptors == []
            peer.close()

    run(scenario())


def test_two_gets_at_once_share_the_association(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            peer = await rig.raw("WS1", [*GET, *FIND], window=4, received=[CT_IMAGE])
            for message_id in (1, 2):
                await peer.send(1, c.CGetRq(message_id, STUDY_ROOT_GET), study_key())
            await peer.send(5, c.CFindRq(3, STUDY_ROOT_FIND), study_key())
            finished: set[int] = set()
            while len(finished) < 3:
                command = await peer.command()
                if isinstance(command, c.CStoreRq):
                    await peer.send(3, c.CStoreRsp(command.message_id, 0, CT_IMAGE, command.sop_instance))
                elif isinstance(command, c.CGetRsp | c.CFindRsp) and command.status == Status.SUCCESS:
                    finished.add(command.responding_to)
            assert finished == {1, 2, 3}
            peer.close()

    run(scenario())


def test_many_gets_of_a_peer_that_takes_nothing_leave_no_more_waiting_than_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[int] = []
    real = Connection.flush

    def flush(connection: Connection) -> None:
        real(connection)
        if connection._transport is not None:
            waiting.append(connection._transport.get_write_buffer_size())

    monkeypatch.setattr(Connection, "flush", flush)

    async def scenario() -> None:
        images = [*synthetic_study(9, Modality.CT, PATIENTS[0], instances=2, rows=640, columns=512)]
        key = encode_identifier(Level.STUDY, [("StudyInstanceUID", study_of(images[0]))], EXPLICIT)
        async with full(tmp_path, images) as rig:
            peer = await rig.raw("WS1", GET, window=16, received=[CT_IMAGE])
            for message_id in range(1, 17):
                await peer.send(1, c.CGetRq(message_id, STUDY_ROOT_GET), key)
            connection = rig.acceptors[0].conversation.connection
            await until(lambda: not connection._can_write.is_set())
            await asyncio.sleep(0.5)  # those that could, have queued by now
            assert WRITE_HIGH_WATER_BYTES // 2 < max(waiting) < MAX_UNHEARD_BYTES
            peer.close()

    run(scenario())


# C-MOVE.


async def last_of_move(rig: NetRig, destination: str = "DEST") -> c.CMoveRsp:
    async with await rig.connect("WS1", MOVE) as peer:
        replies = [
            reply.command async for reply in peer.move(STUDY_ROOT_MOVE, AETitle(destination), study_key)
        ]
    last = replies[-1]
    assert isinstance(last, c.CMoveRsp)
    return last


def address_of(rig: NetRig, port: int) -> None:
    rig.archive.gate.replace_policy(policy(POLICY.replace("127.0.0.1:11113", f"127.0.0.1:{port}")))


def test_a_study_moves_to_its_destination_with_its_originator(tmp_path: Path) -> None:
    came: list[c.CStoreRq] = []

    async def story(host: Host) -> None:
        await host.accept()
        for _ in IMAGES:
            request = await host.request()
            assert isinstance(request, c.CStoreRq)
            came.append(request)
            context = 1
            await host.send(context, c.CStoreRsp(request.message_id, 0, CT_IMAGE, request.sop_instance))
        await host.next()
        host.association.reply_release()
        await host.flush()
        await host.until_gone()

    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig, hosted(story) as target:
            address_of(rig, target.port)
            last = await last_of_move(rig)
            assert (last.status, last.completed) == (Status.SUCCESS, 3)
            assert [one.sop_instance for one in came] == [item.sop_instance for item in IMAGES]
            assert {one.move_originator_ae for one in came} == {"WS1"}
            [line] = await rig.audit("retrieval.sent")
            assert (line.event.target, line.event.count) == ("dest", 3)
            assert (line.event.rule, line.event.onward_rule) == ("flow read", "flow deliver")

    run(scenario())


async def accepts_and_vanishes(host: Host) -> None:
    await host.accept()
    request = await host.request()
    assert isinstance(request, c.CStoreRq)
    await host.send(1, c.CStoreRsp(request.message_id, 0, CT_IMAGE, request.sop_instance))
    await host.request()


async def closes_at_once(_host: Host) -> None:
    return


@pytest.mark.parametrize(
    ("story", "status", "completed"),
    [
        (accepts_and_vanishes, SUBOPERATIONS_INCOMPLETE, 1),
        (closes_at_once, Status.OUT_OF_RESOURCES_SUBOPERATIONS, 0),
    ],
)
def test_a_destination_that_fails_is_told_with_counts(
    tmp_path: Path, story: Story, status: int, completed: int
) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig, hosted(story) as target:
            address_of(rig, target.port)
            last = await last_of_move(rig)
            assert (last.status, last.completed, last.failed) == (status, completed, 3 - completed)
            failures = [line.event for line in await rig.audit("retrieval.sent")]
            assert failures[-1].outcome is Outcome.FAILED
            assert failures[-1].reason

    run(scenario())


def test_an_unknown_destination_is_said(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            last = await last_of_move(rig, "NOBODY")
            assert last.status == Status.MOVE_DESTINATION_UNKNOWN

    run(scenario())


def test_a_destination_that_may_have_nothing_is_not_called(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            closed = POLICY.replace('deliver = { from = ["archive"], to = "dest", can = ["store"] }\n', "")
            rig.archive.gate.replace_policy(policy(closed))
            last = await last_of_move(rig)
            assert last.status == Status.NOT_AUTHORIZED

    run(scenario())


def test_a_move_of_part_of_what_was_asked_lists_the_rest(tmp_path: Path) -> None:
    sent: list[str] = []

    async def story(host: Host) -> None:
        await host.accept()
        request = await host.request()
        while isinstance(request, c.CStoreRq):
            sent.append(request.sop_instance)
            await host.send(1, c.CStoreRsp(request.message_id, 0, CT_IMAGE, request.sop_instance))
            request = await host.request()

    async def scenario() -> None:
        other = ct_images(1, seed=5)
        async with full(tmp_path, [*IMAGES, *other]) as rig, hosted(story, strict=False) as target:
            labelled = POLICY.replace("127.0.0.1:11113", f"127.0.0.1:{target.port}").replace(
                'to = "dest", can = ["store"]', 'to = "dest", can = ["store"], only = "label:night"'
            )
            rig.archive.gate.replace_policy(policy(labelled))
            label_study(rig, STUDY)
            both = encode_identifier(
                Level.STUDY, [("StudyInstanceUID", f"{STUDY}\\{study_of(other[0])}")], EXPLICIT
            )
            async with await rig.connect("WS1", MOVE) as peer:
                replies = [
                    reply async for reply in peer.move(STUDY_ROOT_MOVE, AETitle("DEST"), lambda _: both)
                ]
            last = replies[-1].command
            assert isinstance(last, c.CMoveRsp)
            assert (last.status, last.completed, last.failed) == (SUBOPERATIONS_INCOMPLETE, 3, 1)
            assert decode_answer(replies[-1].dataset, EXPLICIT)[0].text == other[0].sop_instance
            assert sent == [item.sop_instance for item in IMAGES]

    run(scenario())


def label_study(rig: NetRig, study: str) -> None:
    manage = rig.archive.permit(Verb.MANAGE)
    with rig.archive.index.transaction() as transaction:
        assert transaction.label_study(manage, Uid(study), "night")


def retrieval_of(rig: NetRig) -> Retrieval:
    return rig.archive.retriever.begin_get(Wanted(WS1, "a1", Root.STUDY, study_key(), EXPLICIT))


def test_too_many_kinds_for_one_association_are_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            instance = retrieval_of(rig).locate()[0]
            assert [context.transfer_syntaxes for context in propose([instance])] == [
                (EXPLICIT,),
                (IMPLICIT,),
            ]
            many = [replace(instance, sop_class=Uid(f"1.2.{number}")) for number in range(65)]
            with pytest.raises(OutOfResources):
                propose(many)

    run(scenario())


def test_a_delivery_without_destination_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            retrieval = retrieval_of(rig)
            with pytest.raises(MoveDestinationUnknown):
                async with rig.hosting.services.deliver(retrieval, retrieval.locate()):
                    pass

    run(scenario())


def test_an_object_that_cannot_be_read_at_all_fails_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with full(tmp_path, IMAGES) as rig:
            rig.archive.disk.failures.append((Call.PREAD, errno.EIO))
            last = await last_of_get(rig, Basket(), GET)
            assert (last.completed, last.failed) == (2, 1)

    run(scenario())
