"""A great many broken PDUs and data sets in this process: events and typed refusals, and nothing else.

Every case follows from LEADGLASS_FUZZ_SEED and its number. ``make fuzz`` runs a million of each.
"""

from __future__ import annotations

import functools
import os
import random
import zlib

from leadglass.dataset.convert import ConvertLimits, convert
from leadglass.dataset.header import HeaderLimits, NeedMoreBytes, Part, scan_header
from leadglass.dataset.identifier import decode_answer, decode_identifier, decode_retrieve, encode_identifier
from leadglass.dataset.part10 import read_part10
from leadglass.dataset.record import instance_record
from leadglass.model.action import Verb
from leadglass.model.errors import ConversionImpossible, PeerError, PeerProtocolError
from leadglass.model.names import AETitle, Uid
from leadglass.model.query import Level, Root
from leadglass.protocol.association import Association, Role
from leadglass.protocol.codec import encode
from leadglass.protocol.commands import CCancelRq, CEchoRq, CFindRq, CGetRq, CMoveRq, CStoreRq, CStoreRsp
from leadglass.protocol.dimse import decode_command, encode_command
from leadglass.protocol.events import AssociationRequested, Event
from leadglass.protocol.limits import Limits
from leadglass.protocol.negotiation import negotiate
from leadglass.protocol.pdu import (
    Abort,
    AssociateRequest,
    ProposedContext,
    ReleaseReply,
    ReleaseRequest,
    UserInformation,
)
from leadglass.protocol.reasons import CALLING_AE_NOT_RECOGNIZED, AbortReason, AbortSource
from leadglass.protocol.services import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE, VERIFICATION
from leadglass.protocol.status import Status
from leadglass.protocol.table import MachineEvent, allows
from leadglass.protocol.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from tests.support.corpus import storable
from tests.support.fuzzing import run_many
from tests.support.hostile_data import CT_IMAGE, small
from tests.support.mutations import in_pieces, mutate
from tests.support.raw_peer import message, store_message
from tests.unit.dataset.building import BIG, DEFLATED, EXPLICIT, IMPLICIT, JPEG

PDUS = int(os.environ.get("LEADGLASS_FUZZ_PDUS", "20000"))
DATASETS = int(os.environ.get("LEADGLASS_FUZZ_DATASETS", "6000"))
MOST_BYTES = 4_000
SYNTAXES = (EXPLICIT, IMPLICIT, BIG, DEFLATED, JPEG)
HEADER_LIMITS = HeaderLimits(max_depth=20)
EVERYTHING = frozenset({Verb.ECHO, Verb.STORE, Verb.FIND, Verb.GET, Verb.MOVE})
REQUEST = AssociateRequest(
    AETitle("NORTH"),
    AETitle("FUZZ"),
    (
        ProposedContext(1, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,)),
        ProposedContext(3, STUDY_ROOT_FIND, (EXPLICIT_VR_LITTLE_ENDIAN,)),
        ProposedContext(5, STUDY_ROOT_GET, (EXPLICIT_VR_LITTLE_ENDIAN,)),
        ProposedContext(7, STUDY_ROOT_MOVE, (EXPLICIT_VR_LITTLE_ENDIAN,)),
        ProposedContext(9, CT_IMAGE, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)),
    ),
    UserInformation(implementation_class_uid=Uid("2.25.1")),
)


@functools.cache
def conversation() -> tuple[bytes, ...]:
    """PDUs that may come on an association, each kind of them."""
    wanted = encode_identifier(Level.STUDY, [("PatientID", "P1"), ("StudyInstanceUID", "")], EXPLICIT)
    accept, _ = negotiate(REQUEST, permitted=EVERYTHING, limits=Limits())
    return (
        message(1, CEchoRq(1, VERIFICATION)),
        message(3, CFindRq(2, STUDY_ROOT_FIND), wanted, 40),
        message(5, CGetRq(3, STUDY_ROOT_GET), wanted),
        message(7, CMoveRq(4, STUDY_ROOT_MOVE, AETitle("WS1")), wanted),
        message(3, CCancelRq(2)),
        message(9, CStoreRsp(5, Status.SUCCESS, CT_IMAGE, Uid("1.2.3"))),
        store_message(9, small(1), 6, 700),
        encode(REQUEST),
        encode(accept),
        encode(CALLING_AE_NOT_RECOGNIZED),
        encode(ReleaseRequest()),
        encode(ReleaseReply()),
        encode(Abort(AbortSource.USER, AbortReason.NOT_SPECIFIED)),
    )


def acceptor(clean: int) -> Association:
    """Ours, waiting for a request, or with an association after ``clean`` whole messages."""
    ours = Association(Role.ACCEPTOR, Limits())
    ours.transport_connected()
    if clean:
        for event in ours.receive_data(encode(REQUEST)):
            answer(ours, event)
    for pdus in conversation()[: clean - 1] if clean else ():
        ours.receive_data(pdus)
    return ours


def requestor(clean: int) -> Association:
    """Ours, waiting for the answer to its request, or with an association."""
    ours = Association(Role.REQUESTOR, Limits())
    ours.request(REQUEST)
    ours.transport_connected()
    if clean:
        accept, _ = negotiate(REQUEST, permitted=EVERYTHING, limits=Limits())
        ours.receive_data(encode(accept))
    if clean > 1:
        ours.release()
    return ours


def answer(ours: Association, event: Event) -> None:
    """As the shell does, which looks whether it was broken off in the same breath."""
    if isinstance(event, AssociationRequested) and allows(ours.state, MachineEvent.ASSOCIATE_ACCEPT):
        ours.accept(negotiate(event.request, permitted=EVERYTHING, limits=Limits())[0])


def one_of_pdus(chance: random.Random) -> bytes:
    """A broken message at some moment of an association, in pieces."""
    ours = chance.choice((acceptor, requestor))(chance.choice((0, 0, 1, 2, 4)))
    content = mutate(chance, chance.choice(conversation()))
    for piece in in_pieces(chance, content):
        for event in ours.receive_data(piece):
            answer(ours, event)
        ours.data_to_send()
    if chance.random() < 0.2:
        ours.artim_expired()
    ours.transport_closed()
    return content


def one_of_commands(chance: random.Random) -> bytes:
    content = mutate(chance, encode_command(CStoreRq(1, CT_IMAGE, Uid("1.2.3"))))
    try:
        decode_command(content)
    except PeerProtocolError:
        return content
    return content


@functools.cache
def seeds() -> tuple[tuple[bytes, Uid], ...]:
    """Real data sets of all kinds, as long as a header is."""
    return tuple((file.dataset_bytes()[:MOST_BYTES], Uid(file.transfer_syntax)) for file in storable())


def one_of_datasets(chance: random.Random) -> bytes:
    """A broken data set, at each door by which one comes in."""
    seed, syntax = chance.choice(seeds())
    content = mutate(chance, seed)
    if syntax != DEFLATED and chance.random() < 0.1:
        content, syntax = zlib.compress(content, wbits=-zlib.MAX_WBITS), DEFLATED
    for door in (_scanned, _converted, _identified, _taken_apart):
        try:
            door(content, syntax)
        except (PeerError, NeedMoreBytes, ConversionImpossible):
            continue
    return content


def _scanned(content: bytes, syntax: Uid) -> None:
    header = scan_header(content, syntax, HEADER_LIMITS, Part.WHOLE)
    instance_record(header, sop_class=CT_IMAGE, sop_instance=Uid("1.2"), transfer_syntax=syntax)


def _converted(content: bytes, syntax: Uid) -> None:
    convert(content, syntax, IMPLICIT if syntax == EXPLICIT else EXPLICIT, ConvertLimits(max_depth=20))


def _identified(content: bytes, syntax: Uid) -> None:
    for decode in (decode_identifier, decode_retrieve):
        try:
            decode(b"\x08\x00\x52\x00CS\x06\x00STUDY " + content, syntax, Root.STUDY)
        except PeerError:
            continue
    decode_answer(content, syntax)


def _taken_apart(content: bytes, _syntax: Uid) -> None:
    read_part10(bytes(128) + b"DICM" + content)


def test_broken_pdus_give_events_and_nothing_else() -> None:
    assert run_many(one_of_pdus, PDUS).executions == PDUS


def test_broken_commands_are_read_or_refused() -> None:
    assert run_many(one_of_commands, PDUS).executions == PDUS


def test_broken_data_sets_are_read_or_refused() -> None:
    assert run_many(one_of_datasets, DATASETS).executions == DATASETS
